"""Plans, cards and subscriptions that really exist at the sandbox, and a worker to run by hand.

Each function needs the fixtures `stripe_account` and `db` (or `transactional_db`); `advance` also `clock`.
"""

import datetime as dt
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import requests
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts import clock as product_clock
from accounts.events import By
from accounts.models import Account
from accounts.notices import send_due_notices
from accounts.tests.worlds import owner_of
from billing import inbox, mirror, outgoing
from billing.checkout import start_checkout
from billing.customers import ensure_customer
from billing.models import Customer, Plan, Subscription
from billing.provider_clocks import HOP, clocks_of_customers, turn_test_clocks
from billing.stripe_api import calling
from billing.sync import sync_customer, sync_everything

ROUNDS = 50

_number = count(1)


@dataclass
class Moved:
    """What one run of the worker did."""

    delivered: int = 0
    sent: int = 0
    applied: int = 0
    mailed: int = 0
    mirrored: int = 0


class TurnableClock(Protocol):
    """The fixture `clock`."""

    def now(self) -> dt.datetime: ...

    def turn_to(self, moment: dt.datetime) -> None: ...


def control(method: str, path: str, document: Any = None) -> Any:
    """One call of the sandbox's own controls (`/_sandbox/...`) as the Stripe account of this test."""
    answer = requests.request(
        method,
        settings.STRIPE_API_BASE + path,
        json=document,
        headers={"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"},
        timeout=30,
    )
    assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


def fault(kind: str, *, method: str = "POST", path: str = "", **more: Any) -> None:
    """Plan one fault for the next call that matches: drop_before, drop_after, 500_before, 429, slow, ..."""
    planned = {"method": method, "path": path, "kind": kind, "count": 1} | more
    control("POST", "/_sandbox/faults", {"faults": [planned]})


def make_plan(
    code: str = "", *, amount: int = 2900, currency: str = "EUR", interval: str = "month", **columns: Any
) -> Plan:
    """A plan with its product and price at the sandbox; 29.00 EUR a month unless told otherwise."""
    code = code or f"plan-{next(_number)}"
    price = ""
    if amount:
        with calling() as stripe:
            product = stripe.v1.products.create(params={"name": code})
            price = stripe.v1.prices.create(
                params={
                    "product": product.id,
                    "unit_amount": amount,
                    "currency": currency.lower(),
                    "recurring": {"interval": interval},  # type: ignore[typeddict-item]
                }
            ).id
    defaults: dict[str, Any] = {"name_en": code.title(), "name_es": code.title(), "provider_price": price}
    return Plan.objects.create(
        code=code, amount=amount, currency=currency, interval=interval, **(defaults | columns)
    )


def make_customer_with_card(account: Account, card: str = "pm_card_visa") -> Customer:
    """The account's customer at the sandbox (on a test clock of its own) with this card to charge."""
    at = product_clock.now()
    customer = ensure_customer(account, by=By.customer(owner_of(account)), at=at)
    with calling() as stripe:
        method = stripe.v1.payment_methods.attach(card, params={"customer": customer.provider_id})
        stripe.v1.customers.update(
            customer.provider_id, params={"invoice_settings": {"default_payment_method": method.id}}
        )
    sync_customer(customer, at=at)
    customer.refresh_from_db()
    return customer


def make_subscription(
    account: Account, plan: Plan | None = None, *, card: str = "pm_card_visa"
) -> Subscription:
    """A subscription started on the pay page's own path, paid with this card, and read back.

    With a trial that needs a card the card is saved and nothing is paid yet.
    """
    plan = plan or make_plan()
    by, at = By.customer(owner_of(account)), product_clock.now()
    checkout = start_checkout(account, plan, by=by, at=at)
    confirm(checkout.client_secret, card)
    run_worker()
    customer = Customer.objects.select_related("account").get(account=account)
    sync_everything(customer, at=product_clock.now())
    return Subscription.objects.select_related("plan", "account").get(
        account=account, plan=plan, provider_id__isnull=False, status__in=Subscription.LIVE
    )


def confirm(client_secret: str, card: str = "pm_card_visa") -> None:
    """What the browser does with the Payment Element: confirm the intent with this card."""
    intent = client_secret.partition("_secret_")[0]
    if not intent:
        return
    with calling() as stripe:
        service: Any = stripe.v1.setup_intents if intent.startswith("seti_") else stripe.v1.payment_intents
        service.confirm(intent, params={"payment_method": card, "return_url": "https://example.com/done"})


def deliver_webhooks() -> int:
    """Pull what the sandbox has to deliver and post it to the real view; each must be taken."""
    found: list[dict[str, Any]] = control("GET", "/_sandbox/deliveries")["deliveries"]
    for delivery in found:
        answer = post_webhook(delivery)
        assert answer.status_code == 200, answer.content
    return len(found)


def post_webhook(delivery: dict[str, Any], **headers: str) -> Any:
    """Post one delivery of the sandbox to the product's webhook address."""
    sent = delivery["headers"] | headers
    return Client().post(
        reverse("stripe_webhook"),
        data=delivery["body"],
        content_type=sent["Content-Type"],
        headers={"Stripe-Signature": sent["Stripe-Signature"]},
    )


def run_worker(at: dt.datetime | None = None, *, follow_mirror: bool = False) -> Moved:
    """Do what beat and the doorbell would, until nothing moves: webhooks, instructions, events, mails.

    The mirror costs many calls and decides nothing, so it follows only when asked to.
    """
    total = Moved()
    for _ in range(ROUNDS):
        moment = at or product_clock.now()
        once = Moved(
            delivered=deliver_webhooks(),
            sent=outgoing.send_due_instructions(at=moment),
            applied=inbox.apply_due_events(at=moment),
            mailed=send_due_notices(at=moment),
            mirrored=mirror.follow_due(at=moment) if follow_mirror else 0,
        )
        for name, value in vars(once).items():
            setattr(total, name, getattr(total, name) + value)
        # A call whose answer was lost moved nothing here, and something there.
        if once == Moved() and not deliver_webhooks():
            return total
    raise AssertionError(f"the worker does not come to rest: {total}")


def advance(clock: TurnableClock, to: dt.datetime) -> None:
    """Turn the product's clock and every customer's test clock to `to`, in hops, working at each."""
    while clock.now() < to:
        moment = min(to, clock.now() + HOP)
        clock.turn_to(moment)
        let_the_provider_follow(moment)
        run_worker()
        if moment == to:
            return


def let_the_provider_follow(moment: dt.datetime) -> None:
    """Turn every customer's test clock to `moment`."""
    turn_test_clocks(clocks_of_customers(), moment, hop=HOP)
