"""A sandbox process for the session; for each test an account and a client that checks what it gets."""

import json
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.tests.shapes import problems

ROOT = Path(__file__).resolve().parents[2]


class CheckingClient(stripe.RequestsClient):
    """The library's own HTTP client; every 200 must have the shape that the library describes."""

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body, status, answer_headers = super().request(method, url, headers, post_data)
        if status == 200:
            answer = json.loads(body)
            assert problems(answer) == []
        return body, status, answer_headers


class Account:
    """One isolated account of the sandbox: the library's client and the control API."""

    def __init__(self, base: str, key: str) -> None:
        self.base, self.key = base, key
        self.stripe = stripe.StripeClient(
            key, base_addresses={"api": base}, http_client=CheckingClient(), max_network_retries=0
        )
        self.v1 = self.stripe.v1

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control API."""
        request = urllib.request.Request(
            f"{self.base}/_sandbox{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def make_clock(self, at: int) -> str:
        """A test clock."""
        return self.v1.test_helpers.test_clocks.create({"frozen_time": at}).id

    def advance(self, clock: str, to: int) -> None:
        """Turn a clock and wait for `ready`."""
        self.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
        until = time.monotonic() + 20
        while (status := self.v1.test_helpers.test_clocks.retrieve(clock).status) == "advancing":
            assert time.monotonic() < until
            time.sleep(0.01)
        assert status == "ready"

    def make_price(self, amount: int = 1000, interval: str = "month", **more: Any) -> str:
        """A recurring price in dollars of a new product called Gold."""
        product = self.v1.products.create({"name": "Gold"})
        recurring = {"interval": interval, "interval_count": more.pop("interval_count", 1)}
        given = {
            "product": product.id,
            "unit_amount": amount,
            "currency": "usd",
            "recurring": recurring,
            **more,
        }
        return self.v1.prices.create(given).id

    def make_customer(self, card: str | None = "pm_card_visa", **more: Any) -> str:
        """A customer with a default card."""
        if card:
            more |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return self.v1.customers.create({"email": "ada@example.com", **more}).id

    def subscribe(self, customer: str, price: str, **more: Any) -> Any:
        """A subscription with its latest invoice."""
        given = {"customer": customer, "items": [{"price": price}], "expand": ["latest_invoice"], **more}
        return self.v1.subscriptions.create(given)

    def invoice_intent(self, invoice: Any) -> str:
        """The payment intent that pays an invoice."""
        id = invoice if isinstance(invoice, str) else invoice.id
        return self.v1.invoice_payments.list({"invoice": id}).data[0].payment.payment_intent

    def event_types(self) -> list[str]:
        """All events so far, oldest first."""
        events = self.v1.events.list({"limit": 100}).auto_paging_iter()
        return [event.type for event in reversed(list(events))]

    def new_events(self) -> list[str]:
        """The types of events since the last call; needs `listen`."""
        return [d["event"]["type"] for d in self.control("GET", "/deliveries")["deliveries"]]

    def listen(self) -> str:
        """Register a pulled endpoint for everything; its signing secret."""
        given = {"url": "https://pull.invalid/hook", "enabled_events": ["*"]}
        return self.v1.webhook_endpoints.create(given).secret


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a sandbox of this test session."""
    log = (tmp_path_factory.mktemp("sandbox") / "log").open("w")
    command = [sys.executable, "-m", "sandbox", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture
def account(base: str) -> Account:
    """An account of this test alone."""
    return Account(base, f"sk_test_{secrets.token_hex(16)}")


@pytest.fixture
def other(base: str) -> Account:
    """Another account."""
    return Account(base, f"sk_test_{secrets.token_hex(16)}")
