"""The inbox of the provider's webhooks: unique signed events on eight connections.

Ours checks the signature and stores the event in one statement; what it is about is looked at later, by a
worker. `djstripe_view` is dj-stripe's own view, which writes the request down, checks it and applies the
event while the provider waits; it is asked about a subscription, and in `djstripe_customer` about a customer,
for which it looks up least. `bare_view` checks the signature and runs one INSERT with no ORM and no model.
"""

import contextlib
import hashlib
import hmac
import io
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections
from django.test.utils import override_settings

from accounts.ids import new_token
from bench.harness import Result, Run, ratio, take_turns, watching
from billing.models import Incoming

SIZE: Final = 400
ROUNDS: Final = 9
CONNECTIONS: Final = 8
#: Events in a turn of dj-stripe's view, which takes so long that fewer say as much.
FEWER: Final = 5
SECRET: Final = "whsec_bench"

_number = count(1)


def run(size: int, rounds: int, *, threads: int = CONNECTIONS) -> Result:
    """Post `size` events in a turn; everybody gets events of their own, made and signed before."""
    logging.getLogger("djstripe").setLevel(logging.CRITICAL)
    latencies: dict[str, list[float]] = {}
    with _mirror_can_look_up() as (uuid, subject, customer), override_settings(**_settings()):
        handler = WSGIHandler()
        mirror, fewer = f"/mirror/webhook/{uuid}/", max(threads, size // FEWER)
        paths = {
            "ours": ("/webhooks/stripe/", size, subject),
            "bare_view": ("/bare/", size, subject),
            "djstripe_view": (mirror, fewer, subject),
            "djstripe_customer": (mirror, fewer, customer),
        }
        runs = {name: _run(handler, *paths[name], threads, latencies, name) for name in paths}
        for each in runs.values():
            each.seconds()
        latencies.clear()
        before = Incoming.objects.count()
        with watching() as seen:
            post(handler, paths["ours"][0], make_event(subject))
        seconds = take_turns(runs, rounds)
        stored = Incoming.objects.count() - before
    if stored != 1 + rounds * size * 2:
        raise AssertionError(f"{stored} events were stored")
    per_event = {name: [took / paths[name][1] for took in seconds[name]] for name in seconds}
    found = {name: ratio(per_event, "ours", name) for name in paths if name != "ours"}
    result = Result("webhooks", size, rounds, found, statements=seen.statements)
    result.seconds_per_row = statistics.median(per_event["ours"])
    p99 = {name: sorted(took)[len(took) * 99 // 100] * 1000 for name, took in latencies.items()}
    result.notes = [
        "p99 in ms: " + ", ".join(f"{name} {value:.1f}" for name, value in p99.items()),
        f"p99 of ours is {p99['ours'] / p99['djstripe_view']:.3f} of djstripe_view's",
    ]
    return result


def _settings() -> dict[str, Any]:
    return {
        "ROOT_URLCONF": "bench._webhook_urls",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "ALLOWED_HOSTS": ["*"],
    }


def _run(
    handler: WSGIHandler,
    path: str,
    size: int,
    subject: dict[str, Any],
    threads: int,
    latencies: dict[str, list[float]],
    name: str,
) -> Run:
    waiting: list[tuple[bytes, str]] = []

    def prepare() -> None:
        waiting[:] = [make_event(subject) for _each in range(size)]

    def one(event: tuple[bytes, str]) -> float:
        started = time.perf_counter()
        post(handler, path, event)
        return time.perf_counter() - started

    def work() -> float:
        if threads == 1:
            started = time.perf_counter()
            took = [one(event) for event in waiting]
            spent = time.perf_counter() - started
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda _each: connection.ensure_connection(), range(threads)))
                started = time.perf_counter()
                took = list(pool.map(one, waiting))
                spent = time.perf_counter() - started
                list(pool.map(lambda _each: connections.close_all(), range(threads)))
        latencies.setdefault(name, []).extend(took)
        return spent

    return Run(work=work, prepare=prepare)


def make_event(subject: dict[str, Any]) -> tuple[bytes, str]:
    """The body of an event that nobody saw before, and its signature as Stripe writes it."""
    event = {
        "id": f"evt_{next(_number)}_{new_token()[:12]}",
        "object": "event",
        "api_version": "2025-08-27.basil",
        "type": "customer.updated" if subject["object"] == "customer" else "customer.subscription.updated",
        "created": int(time.time()),
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "data": {"object": subject},
    }
    body, at = json.dumps(event).encode(), int(time.time())
    mark = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return body, f"t={at},v1={mark}"


def post(handler: WSGIHandler, path: str, event: tuple[bytes, str]) -> None:
    """One delivery as a server hands it over; anything but 200 is an error of the bench."""
    body, signature = event
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_STRIPE_SIGNATURE": signature,
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
    }
    response = handler(environ, lambda status, headers, exc_info=None: lambda body: None)
    response.close()
    if response.status_code != 200:
        raise AssertionError(f"{path} answers {response.status_code}")


@contextlib.contextmanager
def _mirror_can_look_up() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """dj-stripe's endpoint, and a subscription and its customer at a Stripe of our own, to look up."""
    from config.demo.stripe_sandbox import SandboxAccount, start_sandbox

    with tempfile.TemporaryDirectory(prefix="good-terms-bench-") as folder:
        process, url = start_sandbox(port=0, database=":memory:", log=Path(folder) / "sandbox.log")
        try:
            account = SandboxAccount.open(url)
            subject = _subscription(account)
            customer = dict(account.call("GET", f"/v1/customers/{subject['customer']}"))
            pointed = {
                "STRIPE_API_BASE": account.url,
                "STRIPE_API_HOST": account.url,
                "STRIPE_SECRET_KEY": account.secret_key,
                "STRIPE_TEST_SECRET_KEY": account.secret_key,
            }
            with override_settings(**pointed), _library_at(account):
                yield _mirror_endpoint(), subject, customer
        finally:
            process.stop()


def _subscription(account: Any) -> dict[str, Any]:
    """A paid subscription as the provider has it."""
    product = account.call("POST", "/v1/products", {"name": "Team"})
    price = account.call(
        "POST",
        "/v1/prices",
        {
            "product": product["id"],
            "unit_amount": "2900",
            "currency": "eur",
            "recurring[interval]": "month",
        },
    )
    customer = account.call("POST", "/v1/customers", {"email": "a@bench.example"})
    card = account.call("POST", "/v1/payment_methods/pm_card_visa/attach", {"customer": customer["id"]})
    asked = {
        "customer": customer["id"],
        "items[0][price]": price["id"],
        "default_payment_method": card["id"],
    }
    return dict(account.call("POST", "/v1/subscriptions", asked))


@contextlib.contextmanager
def _library_at(account: Any) -> Iterator[None]:
    import stripe

    before = stripe.api_base, stripe.api_key
    stripe.api_base, stripe.api_key = account.url, account.secret_key
    try:
        yield
    finally:
        stripe.api_base, stripe.api_key = before


def _mirror_endpoint() -> str:
    """A row of dj-stripe for its own view, checked by signature as ours is."""
    model: Any = apps.get_model("djstripe", "WebhookEndpoint")
    endpoint = model.objects.create(
        id=f"we_{new_token()[:12]}",
        livemode=False,
        secret=SECRET,
        url="https://bench.example/",
        enabled_events=["*"],
        status="enabled",
        api_version="2025-08-27.basil",
    )
    return str(endpoint.djstripe_uuid)
