"""Every change of access is told, signed, to whoever listens; and to nobody else's network."""

import base64
import datetime as dt
import hashlib
import hmac
import http.server
import json
import socket
import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts import outgoing
from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.models import WebhookDelivery, WebhookEndpoint
from accounts.outgoing import BACK_OFF, NotSent, is_public, look_up, send_due_webhooks
from accounts.states import move_account, move_accounts
from accounts.tests.worlds import NOON, make_account
from accounts.webhooks_out import forget_taken, new_secret, rotate_secret, send_again, sign

pytestmark = pytest.mark.django_db


NOT_PUBLIC = [
    "127.0.0.1",
    "10.0.0.8",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.8",
    "64:ff9b::a00:8",
    "2002:a00:8::",
    "2001:0:4136:e378::1",
]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what comes, and answers as it was told."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.taken.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def receiver():
    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    server.taken, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def listening(server=None, **columns):
    url = f"http://127.0.0.1:{server.server_port}/hook?a=1" if server else "https://hooks.example/"
    return WebhookEndpoint.objects.create(url=url, secret=new_secret(), created_at=NOON, **columns)


def freeze(account, at=NOON):
    move_account(account, "frozen", by=SYSTEM, at=at, reason="test")


def checked(secret, headers, body):
    """What a receiver does by the standard, written from its text and not from our code."""
    headers = {name.lower(): value for name, value in headers.items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split(" ")


@pytest.mark.once
def test_the_signature_is_that_of_the_standards_own_example():
    """From the specification's reference libraries."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", '{"test": 2432232314}'
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_freeze_is_told_signed_and_once(receiver):
    endpoint, account = listening(receiver), make_account()
    freeze(account)

    assert [send_due_webhooks(at=NOON), send_due_webhooks(at=NOON)] == [1, 0]
    [(path, headers, body)] = receiver.taken
    assert path == "/hook?a=1"
    assert checked(endpoint.secret, headers, body)
    assert json.loads(body) == {
        "type": "access.frozen",
        "timestamp": NOON.isoformat(),
        "data": {"account": account.public_id, "state": "frozen", "is_open": False, "access_until": None},
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [("trialing", "grace"), ("frozen", "active"), ("active", "closed"), ("closed", "erased")],
)
def test_every_move_is_told(before, after):
    listening()
    closed_at = NOON if before == "closed" else None
    account = make_account(state=before, closed_at=closed_at)
    move_account(account, after, by=SYSTEM, at=NOON, reason="test")

    assert WebhookDelivery.objects.get().kind == f"access.{after}"


def test_a_set_is_told_in_as_many_statements_as_one(django_assert_num_queries):
    listening(), listening()
    listening(is_active=False)
    accounts = [make_account() for _each in range(5)]
    from accounts.webhooks_out import owe_deliveries

    with django_assert_num_queries(3):
        owe_deliveries([account.pk for account in accounts], at=NOON)
    move_accounts([a.pk for a in accounts], ["active"], "frozen", by=SYSTEM, at=NOON, reason="x")
    assert WebhookDelivery.objects.filter(kind="access.frozen").count() == 10


def test_a_move_that_was_taken_back_is_not_told():
    listening()
    account = make_account()
    with transaction.atomic():
        freeze(account)
        transaction.set_rollback(True)

    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("status", [302, 400, 410, 500])
def test_anything_but_yes_is_tried_again_and_in_the_end_a_persons_matter(receiver, status):
    listening(receiver)
    freeze(make_account())
    receiver.status, at = status, NOON
    for _each in range(len(BACK_OFF) + 5):
        send_due_webhooks(at=at)
        at = WebhookDelivery.objects.get().next_attempt_at
    letter = WebhookDelivery.objects.get()

    assert len(receiver.taken) == len(BACK_OFF) + 1
    assert (letter.status, letter.error) == ("dead", f"the answer was {status}")
    assert at - NOON < dt.timedelta(hours=1)
    assert len({headers["webhook-id"] for _path, headers, _body in receiver.taken}) == 1
    receiver.status = 200
    send_again(WebhookDelivery.objects.all(), at=at)
    assert send_due_webhooks(at=at) == 1
    with pytest.raises(WrongState):
        send_again(WebhookDelivery.objects.all(), at=at)


def test_nobody_sends_what_somebody_else_holds(receiver):
    listening(receiver)
    freeze(make_account())
    pk = WebhookDelivery.objects.get().pk
    held = outgoing._claim(pk, at=NOON)

    assert outgoing._claim(pk, at=NOON) is None
    assert send_due_webhooks(at=NOON) == 0
    assert send_due_webhooks(at=NOON + outgoing.LEASE) == 1  # whoever held it was killed
    assert not outgoing._record(held, status="dead")


def test_an_endpoint_that_fails_does_not_hold_the_others_up(receiver):
    dead = WebhookEndpoint.objects.create(url="http://127.0.0.1:1/", secret=new_secret(), created_at=NOON)
    listening(receiver)
    for _each in range(3):
        freeze(make_account())

    assert send_due_webhooks(at=NOON) == 3
    assert dead.deliveries.filter(attempts=0).count() == 2


def test_a_former_secret_signs_along_for_a_day(receiver):
    endpoint = listening(receiver)
    former, present = endpoint.secret, rotate_secret(endpoint, at=NOON)
    for at in (NOON + dt.timedelta(hours=23), NOON + dt.timedelta(hours=25)):
        freeze(make_account(), at=at)
        send_due_webhooks(at=at)
    first, second = receiver.taken

    assert checked(former, *first[1:])
    assert checked(present, *first[1:])
    assert not checked(former, *second[1:])
    assert checked(present, *second[1:])


@pytest.mark.once
@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_no_address_that_is_not_public_is_connected_to(address, monkeypatch, settings):
    settings.WEBHOOKS_MAY_STAY_HERE = False
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]
    public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **more: public + answer)

    assert not is_public(outgoing.ipaddress.ip_address(address))
    with pytest.raises(NotSent, match="not public"):
        look_up("https://rebinding.example/")


@pytest.mark.once
@pytest.mark.parametrize(
    "url", ["http://a.example/", "ftp://a.example/", "https://u:p@a.example/", "https:///x", "x"]
)
def test_only_plain_https_is_an_address(url, monkeypatch, settings):
    settings.WEBHOOKS_MAY_STAY_HERE = False
    public = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **more: public)

    with pytest.raises(NotSent):
        look_up(url)


def test_here_is_allowed_in_demo_and_tests_only(receiver, settings):
    endpoint = listening(receiver)
    freeze(make_account())
    settings.WEBHOOKS_MAY_STAY_HERE = False

    assert send_due_webhooks(at=NOON) == 0
    assert receiver.taken == []
    with pytest.raises(ValidationError):
        endpoint.clean()


def test_the_name_is_looked_up_once_and_that_address_is_connected_to(receiver, monkeypatch):
    """A second answer of the name server, to somewhere else, comes too late."""
    asked, ours = [], socket.getaddrinfo

    def answer(host, port, *more, **named):
        if host != "hooks.example":
            return ours(host, port, *more, **named)
        asked.append(host)
        return ours("127.0.0.1" if len(asked) == 1 else "127.0.0.9", port, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    endpoint = listening(receiver)
    url = f"http://hooks.example:{receiver.server_port}/"
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(url=url)
    freeze(make_account())

    assert send_due_webhooks(at=NOON) == 1
    assert asked == ["hooks.example"]
    assert receiver.taken[0][1]["Host"] == f"hooks.example:{receiver.server_port}"


def test_a_receiver_that_never_ends_its_answer_is_left(monkeypatch):
    """It sends a byte of a header now and then, for ever."""
    monkeypatch.setattr(outgoing, "DEADLINE", 0.5)
    silent = socket.create_server(("127.0.0.1", 0))

    def drip():
        client, _address = silent.accept()
        with client:
            try:
                while True:
                    client.sendall(b"H")
                    threading.Event().wait(0.1)
            except OSError:
                return

    threading.Thread(target=drip, daemon=True).start()
    endpoint = listening()
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(url=url)
    freeze(make_account())
    started = outgoing.time.monotonic()

    assert send_due_webhooks(at=NOON) == 0
    assert outgoing.time.monotonic() - started < 3
    silent.close()


def test_what_was_taken_goes_after_a_month(receiver):
    listening(receiver)
    freeze(make_account())
    send_due_webhooks(at=NOON)

    assert forget_taken(at=NOON + dt.timedelta(days=30)) == 0
    assert forget_taken(at=NOON + dt.timedelta(days=30, seconds=1)) == 1
