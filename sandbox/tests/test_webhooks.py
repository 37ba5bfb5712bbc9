"""Deliveries: signed as the library wants, pulled or pushed, in order or as a seeded plan distorts them."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from sandbox.tests.conftest import Account


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent; answers what the test wants."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.received.append((body, self.headers["Stripe-Signature"]))
        answers = self.server.answers
        self.send_response(answers.pop(0) if answers else 200)
        self.end_headers()

    def log_message(self, *parts: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.received, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def wait_for(receiver: Any, count: int) -> None:
    until = time.monotonic() + 15
    while len(receiver.received) < count:
        assert time.monotonic() < until, receiver.received
        time.sleep(0.02)


def make_customers(account: Account, count: int) -> list[str]:
    return [account.v1.customers.create({"name": str(n)}).id for n in range(count)]


def pulled(account: Account) -> list[str]:
    """Names of the customers whose events are handed out, in that order."""
    found = account.control("GET", "/deliveries")["deliveries"]
    secret = None if not found else account.secret
    events = [
        stripe.Webhook.construct_event(d["body"], d["headers"]["Stripe-Signature"], secret) for d in found
    ]
    return [event.data.object.name for event in events]


def test_a_pulled_delivery_is_signed_and_handed_out_once(account: Account) -> None:
    account.secret = account.listen()
    make_customers(account, 3)

    assert pulled(account) == ["0", "1", "2"]
    assert pulled(account) == []


def test_a_forged_body_fails_the_signature(account: Account) -> None:
    secret = account.listen()
    make_customers(account, 1)
    delivery = account.control("GET", "/deliveries")["deliveries"][0]

    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(
            delivery["body"] + " ", delivery["headers"]["Stripe-Signature"], secret
        )


def test_an_endpoint_hears_only_what_it_asked_for(account: Account) -> None:
    given: Any = {"url": "https://pull.invalid/x", "enabled_events": ["product.created"]}
    endpoint = account.v1.webhook_endpoints.create(given)
    make_customers(account, 1)
    account.v1.products.create({"name": "Gold"})

    assert account.new_events() == ["product.created"]
    assert "secret" not in account.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()
    account.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    account.v1.products.create({"name": "Silver"})
    assert account.new_events() == []


def test_a_pushed_delivery_arrives_signed_and_in_order(account: Account, receiver: Any) -> None:
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    secret = account.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]}).secret
    make_customers(account, 5)

    wait_for(receiver, 5)

    events = [
        stripe.Webhook.construct_event(body, signature, secret) for body, signature in receiver.received
    ]
    assert [event.data.object.name for event in events] == list("01234")


def test_a_refused_delivery_is_tried_again(account: Account, receiver: Any) -> None:
    receiver.answers = [500, 302]
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    account.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    make_customers(account, 1)

    wait_for(receiver, 3)
    time.sleep(0.2)

    assert len({body for body, _ in receiver.received}) == 1
    assert account.control("GET", "/deliveries/log")["deliveries"][0]["state"] == "delivered"
    assert account.control("GET", "/deliveries/log")["deliveries"][0]["attempts"] == 3


def test_nothing_is_posted_off_this_machine(account: Account) -> None:
    account.v1.webhook_endpoints.create({"url": "https://example.com/hook", "enabled_events": ["*"]})
    make_customers(account, 1)

    until = time.monotonic() + 10
    while (row := account.control("GET", "/deliveries/log")["deliveries"][0])["state"] == "pending":
        assert time.monotonic() < until
        time.sleep(0.02)

    assert (row["state"], row["answer"]) == ("failed", "refused: only http on loopback is called")


@pytest.mark.parametrize(
    ("plan", "check"),
    [
        ({"drop": 1}, lambda got: got == []),
        ({"duplicate": 1}, lambda got: got == sorted([*"0123456789"] * 2)),
        ({"shuffle": 1}, lambda got: got != sorted(got) and sorted(got) == [*"0123456789"]),
        ({"drop": 0.5, "duplicate": 0.5}, lambda got: 0 < len(set(got)) < 10),
    ],
)
def test_a_plan_distorts_deliveries(account: Account, plan: Any, check: Any) -> None:
    account.secret = account.listen()
    account.control("POST", "/webhook_plan", {"seed": 7, **plan})
    make_customers(account, 10)

    assert check(pulled(account))


def test_a_delayed_delivery_comes_one_pull_later(account: Account) -> None:
    account.secret = account.listen()
    account.control("POST", "/webhook_plan", {"seed": 3, "delay": 0.5})
    make_customers(account, 10)

    first, second = pulled(account), pulled(account)

    assert first
    assert second
    assert sorted(first + second) == [*"0123456789"]


def test_the_same_seed_makes_the_same_disorder(account: Account, other: Account) -> None:
    seen = []
    for one in (account, other):
        one.secret = one.listen()
        one.control("POST", "/webhook_plan", {"seed": 11, "drop": 0.3, "duplicate": 0.3, "delay": 0.3})
        make_customers(one, 10)
        seen.append((pulled(one), pulled(one)))

    assert seen[0] == seen[1]


def test_manual_mode_holds_back_every_endpoint(account: Account, receiver: Any) -> None:
    account.control("POST", "/settings", {"webhook_mode": "manual"})
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    account.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]})
    make_customers(account, 2)
    time.sleep(0.3)

    assert receiver.received == []
    assert account.new_events() == ["customer.created", "customer.created"]
