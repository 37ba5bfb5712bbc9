"""The script double in a real Chromium, on a page of another port with a strict policy."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sandbox.tests.conftest import Account

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pay</title>
<meta name="viewport" content="width=device-width">
<script src="{base}/v3/"></script><script src="/page.js" defer></script></head>
<body data-key="{key}" data-secret="{secret}" data-redirect="{redirect}" data-locale="{locale}">
<div id="element"></div><button id="go">Go</button><pre id="out"></pre></body></html>"""

SCRIPT = """
const { key, secret, redirect, locale } = document.body.dataset;
const stripe = Stripe(key);
const elements = stripe.elements({ clientSecret: secret, locale, appearance: { theme: "stripe" } });
elements.create("payment").mount("#element");
document.getElementById("go").addEventListener("click", async () => {
  const options = { elements, redirect, confirmParams: { return_url: location.origin + "/done?x=1" } };
  const confirm = secret.startsWith("seti_") ? stripe.confirmSetup : stripe.confirmPayment;
  const result = await confirm(options);
  document.getElementById("out").textContent = JSON.stringify(result);
});
"""


class Page(BaseHTTPRequestHandler):
    """Serves whatever document the test put on the server."""

    def do_GET(self) -> None:
        is_script = self.path == "/page.js"
        body, kind = (SCRIPT, "text/javascript") if is_script else (self.server.document, "text/html")
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Security-Policy", self.server.policy)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *parts: Any) -> None:
        """Quiet."""


@pytest.fixture
def site(account: Account) -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.policy = (
        f"default-src 'none'; script-src 'self' {account.base}; frame-src {account.base}; "
        f"connect-src {account.base}; style-src 'self'"
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pay_page(account: Account, site: Any, browser: Any) -> Iterator[Any]:
    opened = []

    def open_page(secret: str, *, redirect: str = "if_required", locale: str = "en", width: int = 800) -> Any:
        key = account.key.replace("sk_", "pk_")
        site.document = PAGE.format(
            base=account.base, key=key, secret=secret, redirect=redirect, locale=locale
        )
        page = browser.new_page(viewport={"width": width, "height": 700})
        page.problems = []
        page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
        page.goto(f"http://127.0.0.1:{site.server_port}/")
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()


def type_card(page: Any, number: str, *labels: str) -> Any:
    frame = page.frame_locator("#element iframe")
    names = labels or ("Card number", "Expiration date", "Security code")
    for name, text in zip(names, (number, "1234", "123"), strict=True):
        frame.get_by_label(name).press_sequentially(text)
    page.click("#go")
    return frame


def outcome(page: Any) -> Any:
    return json.loads(page.locator("#out:not(:empty)").inner_text(timeout=10_000))


def test_a_card_is_saved_without_the_page_ever_seeing_it(account: Account, pay_page: Any) -> None:
    customer = account.make_customer(card=None)
    intent = account.v1.setup_intents.create({"customer": customer})

    page = pay_page(intent.client_secret)
    type_card(page, "4242424242424242")

    assert outcome(page)["setupIntent"]["status"] == "succeeded"
    assert account.v1.customers.payment_methods.list(customer).data[0].card.last4 == "4242"
    assert page.problems == []


def test_the_buyer_comes_back_to_the_return_url(account: Account, pay_page: Any) -> None:
    intent = account.v1.payment_intents.create({"amount": 1900, "currency": "eur"})

    page = pay_page(intent.client_secret, redirect="always")
    type_card(page, "5555555555554444")
    page.wait_for_url("**/done?**")

    assert f"x=1&payment_intent={intent.id}&payment_intent_client_secret=" in page.url
    assert page.url.endswith("redirect_status=succeeded")


@pytest.mark.parametrize(("button", "status"), [("Complete", "succeeded"), ("Fail", None)])
def test_the_bank_asks_in_a_dialog(account: Account, pay_page: Any, button: str, status: str | None) -> None:
    intent = account.v1.payment_intents.create({"amount": 1900, "currency": "eur"})

    page = pay_page(intent.client_secret)
    type_card(page, "4000002760003184")
    page.frame_locator("[role=dialog] iframe").get_by_role("button", name=button).click()
    result = outcome(page)

    if status:
        assert result["paymentIntent"]["status"] == status
    else:
        assert result["error"]["code"] == "payment_intent_authentication_failure"
        assert account.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_a_decline_is_told_in_spanish_at_320_pixels(account: Account, pay_page: Any) -> None:
    intent = account.v1.payment_intents.create({"amount": 1900, "currency": "eur"})

    page = pay_page(intent.client_secret, locale="es", width=320)
    labels = ("Número de tarjeta", "Fecha de caducidad", "Código de seguridad")
    frame = type_card(page, "4000000000009995", *labels)
    error = outcome(page)["error"]

    assert (error["code"], error["decline_code"]) == ("card_declined", "insufficient_funds")
    assert error["message"] == "Tu tarjeta no tiene fondos suficientes."
    assert frame.locator("html").evaluate(
        "e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight"
    )


def test_an_incomplete_card_is_refused_in_the_form(account: Account, pay_page: Any) -> None:
    intent = account.v1.payment_intents.create({"amount": 1900, "currency": "eur"})

    page = pay_page(intent.client_secret)
    frame = type_card(page, "42424242")

    assert outcome(page)["error"]["code"] == "incomplete_number"
    assert frame.get_by_role("alert").first.inner_text() == "Your card number is incomplete."
    assert account.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_the_banks_page_works_as_a_page_of_its_own(account: Account, browser: Any) -> None:
    given = {
        "amount": 500,
        "currency": "usd",
        "payment_method": "pm_card_authenticationRequired",
        "confirm": True,
    }
    intent = account.v1.payment_intents.create({**given, "return_url": f"{account.base}/v3/frame.html"})

    page = browser.new_page()
    page.goto(intent.next_action.redirect_to_url.url)
    page.get_by_role("button", name="Complete").click()
    page.wait_for_url("**/frame.html?**")

    assert "redirect_status=succeeded" in page.url
    assert account.v1.payment_intents.retrieve(intent.id).status == "succeeded"
    page.close()
