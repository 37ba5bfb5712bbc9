"""What customers do, in steps that can be taken up again, on worlds that are prepared once.

Each function runs in a child of its own, on a database and a Stripe account of its own.
"""

import datetime as dt
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from django.test import Client
from django.urls import reverse

from accounts import clock
from accounts.events import By
from accounts.models import Account, Notice
from accounts.tests.worlds import make_account, make_terms, make_user, owner_of
from billing import backfill
from billing.checkout import start_checkout
from billing.customers import ensure_customer
from billing.models import Customer, Incoming, Instruction, Plan
from billing.stripe_api import StripeUnavailable, calling
from billing.sync import sync_customer, sync_everything
from billing.tests.worlds import advance, control, make_plan, make_subscription, run_worker
from billing.tests.worlds import confirm as confirm_intent
from offboarding import purges
from offboarding.models import Cancellation, Closure
from offboarding.tests.leaving import (
    choose,
    complete_due_now,
    confirm,
    latest,
    owners_browser,
    paying_account,
)

#: Far enough from where one cent more or less begins that a slow machine sees the same refund.
INTO_THE_PERIOD = dt.timedelta(days=20, hours=3)
#: Longer than every lease and most of the back-off.
A_WHILE = dt.timedelta(minutes=10)
TURNS = 12


# --- Worlds -----------------------------------------------------------------------------------


def prepare_paid() -> None:
    """A month paid, twenty days of it used: stopping now refunds a part."""
    paying_account()
    advance(clock, clock.now() + INTO_THE_PERIOD)


def prepare_unpaid() -> None:
    """The second month could not be charged: its invoice is open."""
    account = paying_account()
    customer = Customer.objects.get(account=account)
    with calling() as stripe:
        method = stripe.v1.payment_methods.attach(
            "pm_card_chargeCustomerFail", params={"customer": customer.provider_id}
        )
        [live] = stripe.v1.subscriptions.list(params={"customer": customer.provider_id}).data
        stripe.v1.subscriptions.update(live.id, params={"default_payment_method": method.id})
    advance(clock, clock.now() + dt.timedelta(days=34))


def prepare_unpaid_used() -> None:
    """The same, where the terms ask for the part that was used."""
    make_terms(open_invoice="used_part")
    prepare_unpaid()


def prepare_credit() -> None:
    """The month was paid with 20.00 of credit and 9.00 by card."""
    account = make_account(owner=make_user(password="correct horse battery staple"))
    customer = ensure_customer(account, by=By.customer(owner_of(account)), at=clock.now())
    with calling() as stripe:
        stripe.v1.customers.balance_transactions.create(
            customer.provider_id, params={"amount": -2000, "currency": "eur"}
        )
    sync_customer(customer, at=clock.now())
    make_subscription(account)
    advance(clock, clock.now() + INTO_THE_PERIOD)


def prepare_new() -> None:
    """An account that has not paid yet, and a plan."""
    make_account(owner=make_user(password="correct horse battery staple"))
    make_plan("basic")


WORLDS = {
    "paid": prepare_paid,
    "unpaid": prepare_unpaid,
    "unpaid_used": prepare_unpaid_used,
    "credit": prepare_credit,
    "new": prepare_new,
}


# --- The worker -------------------------------------------------------------------------------


def come_to_rest(*, with_backfill: bool = False) -> None:
    """Beat, worker and webhooks until nothing is left to do; leases and back-off pass meanwhile."""
    for _ in range(TURNS):
        complete_due_now()
        run_worker()
        if with_backfill:
            backfill.fetch_missed_events(at=clock.now())
            run_worker()
        left = what_is_left()
        if not left:
            return
        if any(" unknown " in row for row in left):
            time.sleep(0.3)  # a slow provider is slow by the system's clock
        clock.turn_to(clock.now() + A_WHILE)


def what_is_left() -> list[str]:
    """What the worker would still do in the next minutes, and what it has given up."""
    at = clock.now()
    rows = [
        *Instruction.objects.open().values_list("kind", "status", "error"),
        *Instruction.objects.filter(status="dead").values_list("kind", "status", "error"),
        *Incoming.objects.filter(status="new").values_list("type", "status", "error"),
        *Notice.objects.filter(status__in=("owed", "sending"), window_from__lte=at).values_list(
            "kind", "status", "reason"
        ),
    ]
    log = control("GET", "/_sandbox/deliveries/log")["deliveries"]
    pending = [f"webhook {d['event']}" for d in log if d["state"] == "pending"]
    return [" ".join(row) for row in rows] + pending


def outlive_the_dead() -> None:
    """Time passes, so that what a killed process held is free again.

    The lock on a customer counts by the system's clock; waiting ninety seconds is written here as
    one update.
    """
    clock.turn_to(clock.now() + A_WHILE)
    Customer.objects.exclude(lock_until=None).update(lock_until=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


# --- Journeys ---------------------------------------------------------------------------------


@dataclass
class Traveller:
    """The customer with a browser, who notes what the pages have promised."""

    account: Account
    progress: Path

    @cached_property
    def browser(self) -> Client:
        """Signed in when it is first needed: after a deletion there is nobody left to sign in."""
        return owners_browser(self.account)

    def promised(self) -> list[str]:
        """What a page has said is done."""
        return self.progress.read_text().split() if self.progress.exists() else []

    def saw(self, what: str) -> None:
        """The answer has come: from here on it is a promise."""
        handle = os.open(self.progress, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{what}\n".encode())
        os.close(handle)

    def declare(self, ending: str) -> None:
        """Two clicks, unless it is on record."""
        known = Cancellation.objects.filter(account=self.account).exists()
        assert known or "declared" not in self.promised(), "a receipt that was shown is lost (C1)"
        if not known:
            choose(self.browser, self.account, ending)
        assert Cancellation.objects.filter(account=self.account).exists(), "it was not recorded"
        self.saw("declared")

    def confirm(self, **answers: str) -> None:
        """The last step, unless it was taken."""
        done = latest(self.account).confirmed_at
        assert done or "confirmed" not in self.promised(), "a confirmation that was shown is lost"
        if not done:
            confirm(self.browser, self.account, **answers)
        assert latest(self.account).confirmed_at, "it was not confirmed"
        self.saw("confirmed")

    def press(self, page: str, mark: str) -> None:
        """A button on the page of this cancellation, pressed again if no answer came."""
        if mark not in self.promised():
            self.browser.post(reverse(page, args=[self.account.public_id, latest(self.account).public_id]))
            self.saw(mark)


def stop_now(one: Traveller) -> None:
    """Declare, confirm, refund, cancel, complete."""
    one.declare("stop_now")
    come_to_rest()
    one.confirm()
    come_to_rest()


def stop_now_at_once(one: Traveller) -> None:
    """The same, confirmed before the worker has done anything."""
    one.declare("stop_now")
    one.confirm()
    come_to_rest()


def stop_renewing(one: Traveller) -> None:
    """Two clicks, and nothing more until the paid period ends."""
    one.declare("stop_renewing")
    come_to_rest()


def undo(one: Traveller) -> None:
    """Stop renewing, and keep the subscription after all."""
    one.declare("stop_renewing")
    come_to_rest()
    one.press("leaving_keep", "kept")
    come_to_rest()


def free_days(one: Traveller) -> None:
    """Free days first, then the refund that was kept."""
    one.declare("free_days")
    one.confirm()
    come_to_rest()
    one.press("leaving_claim", "claimed")
    come_to_rest()


def close_delete(one: Traveller) -> None:
    """Close and delete soon: refund, end, and on the date everything goes, at the provider too."""
    one.declare("close_delete")
    one.confirm(when="soon")
    come_to_rest()
    due = Closure.objects.filter(account=one.account).latest("pk").purge_on
    clock.turn_to(max(clock.now(), due + dt.timedelta(minutes=1)))
    for _ in range(TURNS):
        purges.run_purges(at=clock.now())
        come_to_rest()
        one.account.refresh_from_db()
        if one.account.state == Account.State.ERASED:
            return
        clock.turn_to(clock.now() + A_WHILE)


def subscribe(one: Traveller) -> None:
    """Pay for the first time; whoever gets no answer presses again."""
    plan, by = Plan.objects.get(code="basic"), By.customer(owner_of(one.account))
    for _ in range(TURNS):
        try:
            checkout = start_checkout(one.account, plan, by=by, at=clock.now())
        except StripeUnavailable:
            time.sleep(0.3)
            clock.turn_to(clock.now() + A_WHILE)
            run_worker()
            continue
        confirm_intent(checkout.client_secret)
        break
    come_to_rest()
    sync_everything(Customer.objects.get(account=one.account), at=clock.now())


def from_first_to_last(one: Traveller) -> None:
    """Pay for the first time, use most of the month, stop now."""
    subscribe(one)
    advance(clock, clock.now() + INTO_THE_PERIOD)
    come_to_rest()
    stop_now(one)


@dataclass(frozen=True)
class Journey:
    """The world it starts from, the ending that is declared first ("": none), and its steps."""

    world: str
    ending: str
    make: Callable[[Traveller], None]


JOURNEYS = {
    "stop_now": Journey("paid", "stop_now", stop_now),
    "stop_now_at_once": Journey("paid", "stop_now", stop_now_at_once),
    "stop_renewing": Journey("paid", "stop_renewing", stop_renewing),
    "undo": Journey("paid", "stop_renewing", undo),
    "free_days": Journey("paid", "free_days", free_days),
    "close_delete": Journey("paid", "close_delete", close_delete),
    "unpaid": Journey("unpaid", "stop_now", stop_now_at_once),
    "unpaid_used": Journey("unpaid_used", "stop_now", stop_now_at_once),
    "credit": Journey("credit", "stop_now", stop_now_at_once),
    "subscribe": Journey("new", "", subscribe),
    "from_first_to_last": Journey("new", "", from_first_to_last),
}
