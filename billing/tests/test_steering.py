"""Steering a subscription at the sandbox: end, undo, end now, another plan, moved end, unpaid invoice."""

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client

from accounts.events import SYSTEM
from accounts.models import Event, Notice
from accounts.tests.worlds import NOON, make_account
from billing.cards import start_card
from billing.models import Customer, Instruction, Invoice, Payment, Subscription
from billing.stripe_api import calling
from billing.subscriptions import change_plan, steer_subscription
from billing.tests.worlds import (
    TurnableClock,
    advance,
    confirm,
    fault,
    make_plan,
    make_subscription,
    run_worker,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon", "alone")]

AFTER_RENEWAL = NOON + dt.timedelta(days=31, hours=2)


def at_provider(subscription: Subscription) -> Any:
    with calling() as stripe:
        return stripe.v1.subscriptions.retrieve(str(subscription.provider_id))


def steer(subscription: Subscription, ends: str, clock: TurnableClock, **more: Any) -> None:
    steer_subscription(subscription, ends=ends, by=SYSTEM, at=clock.now(), **more)
    run_worker()
    subscription.refresh_from_db()


def unpaid_renewal(clock: TurnableClock) -> tuple[Subscription, Invoice]:
    """A subscription whose renewal was refused, with its open invoice."""
    account = make_account()
    subscription = make_subscription(account)
    secret = start_card(account, by=SYSTEM, at=clock.now())
    confirm(secret, "pm_card_chargeCustomerFail")
    run_worker()
    advance(clock, AFTER_RENEWAL)
    subscription.refresh_from_db()
    return subscription, Invoice.objects.get(account=account, status="open")


def test_it_ends_with_the_period_and_nothing_more_is_charged(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    steer(subscription, "period_end", noon)
    told = subscription.cancel_at
    advance(noon, AFTER_RENEWAL)

    subscription.refresh_from_db()
    assert told == subscription.period_end
    assert (subscription.status, subscription.renews_at) == ("canceled", None)
    assert Payment.objects.count() == 1


def test_an_undo_brings_the_renewal_back(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    steer(subscription, "period_end", noon)
    steer(subscription, "never", noon)
    advance(noon, AFTER_RENEWAL)

    subscription.refresh_from_db()
    assert (subscription.status, subscription.cancel_at) == ("active", None)
    assert Payment.objects.count() == 2


def test_an_undo_before_the_worker_ran_supersedes_the_order(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    steer_subscription(subscription, ends="now", by=SYSTEM, at=noon.now())
    steer_subscription(subscription, ends="never", by=SYSTEM, at=noon.now())
    run_worker()

    orders = Instruction.objects.filter(kind="subscription").order_by("version")
    assert list(orders.values_list("status", flat=True)) == ["superseded", "done"]
    assert at_provider(subscription).status == "active"


def test_ending_now_ends_at_once_and_refunds_nothing_by_itself(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    steer(subscription, "now", noon)

    customer = Customer.objects.get()
    assert subscription.status == "canceled"
    assert subscription.ended_at is not None
    assert customer.credit == 0
    assert Payment.objects.get().refund_reserved == 0


def test_ending_now_deletes_pending_items_and_voids_the_draft(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    advance(noon, NOON + dt.timedelta(days=31, minutes=10))
    with calling() as stripe:
        stripe.v1.invoice_items.create(
            params={
                "customer": Customer.objects.get().provider_id,
                "subscription": str(subscription.provider_id),
                "amount": 500,
                "currency": "eur",
            }
        )
        drafts = stripe.v1.invoices.list(params={"status": "draft"}).data
    steer(subscription, "now", noon)
    advance(noon, noon.now() + dt.timedelta(days=3))

    with calling() as stripe:
        left = stripe.v1.invoice_items.list(params={"pending": True}).data
        states = {i.status for i in stripe.v1.invoices.list(params={"limit": 10}).data}
    assert len(drafts) == 1
    assert left == []
    assert states == {"paid", "void"}
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("path", ["/finalize$", "/void$", "/v1/subscriptions/sub_[A-Za-z0-9]+$"])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "500_after", "500_before"])
def test_an_outage_at_any_step_of_ending_now_leaves_nothing_half_done(
    kind: str, path: str, noon: TurnableClock
) -> None:
    subscription = make_subscription(make_account())
    advance(noon, NOON + dt.timedelta(days=31, minutes=10))
    fault(kind, method="DELETE" if "subscriptions" in path else "POST", path=path)
    steer(subscription, "now", noon)
    noon.turn_to(noon.now() + dt.timedelta(minutes=2))
    run_worker()

    subscription.refresh_from_db()
    assert subscription.status == "canceled"
    assert set(Invoice.objects.values_list("status", flat=True)) == {"paid", "void"}
    assert Instruction.objects.get(kind="subscription").status == "done"


def test_credit_that_a_draft_would_use_up_stays_with_the_customer(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    with calling() as stripe:
        stripe.v1.customers.balance_transactions.create(
            Customer.objects.get().provider_id, params={"amount": -5000, "currency": "eur"}
        )
    advance(noon, NOON + dt.timedelta(days=31, minutes=10))
    steer(subscription, "now", noon)

    assert Customer.objects.get().credit == 5000


def test_another_plan_is_charged_from_the_next_renewal_on(noon: TurnableClock) -> None:
    account, other = make_account(), make_plan(amount=4900)
    subscription = make_subscription(account)
    change_plan(subscription, other, by=SYSTEM, at=noon.now())
    run_worker()
    advance(noon, AFTER_RENEWAL)

    amounts = Payment.objects.order_by("paid_at").values_list("amount", flat=True)
    assert list(amounts) == [2900, 4900]


def test_a_moved_end_charges_nothing_before_it_and_is_no_trial(noon: TurnableClock) -> None:
    account = make_account()
    subscription = make_subscription(account)
    ends = subscription.period_end + dt.timedelta(days=14)
    steer(subscription, "never", noon, paid_end=ends)
    advance(noon, ends - dt.timedelta(hours=1))
    before = Payment.objects.count()
    advance(noon, ends + dt.timedelta(hours=2))

    account.refresh_from_db()
    assert (before, Payment.objects.count()) == (1, 2)
    assert account.state == "active"
    assert not Notice.objects.filter(kind="subscription_started").exists()
    assert Event.objects.filter(kind="subscription.free_time").count() == 1
    assert not Event.objects.filter(kind="subscription.trialing").exists()


@pytest.mark.parametrize("kind", ["drop_after", "500_after", "drop_before"])
def test_a_moved_end_whose_answer_was_lost_is_moved_once(kind: str, noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    ends = subscription.period_end + dt.timedelta(days=14)
    fault(kind, path="/v1/subscriptions/")
    steer(subscription, "never", noon, paid_end=ends)
    noon.turn_to(noon.now() + dt.timedelta(minutes=2))
    run_worker()

    subscription.refresh_from_db()
    assert Instruction.objects.get(kind="subscription").status == "done"
    assert abs(subscription.trial_end - ends) < dt.timedelta(seconds=1)


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "500_after"])
def test_free_time_ended_now_is_charged_once_whatever_was_lost(kind: str, noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    ends = subscription.period_end + dt.timedelta(days=14)
    steer(subscription, "never", noon, paid_end=ends)
    fault(kind, path="/v1/subscriptions/")
    steer(subscription, "never", noon, paid_end="now")
    noon.turn_to(noon.now() + dt.timedelta(minutes=2))
    run_worker()
    noon.turn_to(noon.now() + dt.timedelta(hours=30))
    run_worker()

    assert Payment.objects.count() == 2
    assert Instruction.objects.filter(kind="subscription", status="done").count() == 2


def test_a_refused_renewal_is_told_in_plain_words(noon: TurnableClock, mailoutbox: list[Any]) -> None:
    subscription, invoice = unpaid_renewal(noon)

    mails = [m for m in mailoutbox if "did not go through" in m.subject]
    assert subscription.status == "past_due"
    assert len(mails) == 1
    assert "Your bank refused the payment and did not say why" in mails[0].body
    [path] = re.findall(r"/pay/[\w-]{22,}/", mails[0].body)
    assert str(invoice.amount_remaining // 100) in Client().get(path).content.decode()


def test_whoever_leaves_gets_no_more_reminders(noon: TurnableClock) -> None:
    subscription, _invoice = unpaid_renewal(noon)
    steer(subscription, "period_end", noon)
    Notice.objects.filter(kind="payment_failed").update(
        status="owed", sent_at=None, next_attempt_at=noon.now(), window_to=noon.now() + dt.timedelta(days=1)
    )
    run_worker()

    notice = Notice.objects.get(kind="payment_failed")
    assert (notice.status, notice.reason) == ("dropped", "no_longer_true")


def test_an_unpaid_invoice_is_voided_when_the_terms_say_so(noon: TurnableClock) -> None:
    subscription, invoice = unpaid_renewal(noon)
    steer(subscription, "now", noon, open_invoices={invoice.provider_id: {"rule": "void"}})

    invoice.refresh_from_db()
    assert (subscription.status, invoice.status) == ("canceled", "void")


def test_only_the_used_part_of_an_unpaid_invoice_is_owed(noon: TurnableClock) -> None:
    subscription, invoice = unpaid_renewal(noon)
    choice = {"rule": "used_part", "credit": 2000}
    steer(subscription, "now", noon, open_invoices={invoice.provider_id: choice})

    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_remaining) == ("open", 900)


def test_an_unpaid_invoice_that_stays_is_collected_by_nobody_but_the_customer(noon: TurnableClock) -> None:
    subscription, invoice = unpaid_renewal(noon)
    steer(subscription, "now", noon, open_invoices={invoice.provider_id: {"rule": "full"}})
    advance(noon, noon.now() + dt.timedelta(days=20))

    invoice.refresh_from_db()
    assert (invoice.status, invoice.amount_remaining) == ("open", 2900)
    assert Payment.objects.count() == 1
    assert Notice.objects.filter(kind="payment_failed").count() == 1


def test_bringing_back_what_has_ended_needs_a_person(noon: TurnableClock) -> None:
    subscription = make_subscription(make_account())
    steer(subscription, "now", noon)
    steer(subscription, "never", noon)

    assert Instruction.objects.order_by("-pk")[0].status == "dead"
    assert Instruction.objects.needing_a_person(noon.now()).count() == 1
