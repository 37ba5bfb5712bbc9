"""Lives of subscriptions by the clock, with the exact sequence of events."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from sandbox.tests.conftest import Account

HOUR, DAY = 3600, 86400
JAN_31 = int(datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp())

PAID = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice_payment.paid",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
]
FINALIZED = ["customer.updated", "invoice.finalized", "payment_intent.created"]
FAILED = ["charge.failed", "payment_intent.payment_failed", "invoice.updated", "invoice.payment_failed"]


def period_end(subscription: Any) -> int:
    return subscription["items"].data[0].current_period_end


def day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %H:%M")


class Life:
    """A customer on a clock with one monthly subscription, and an ear for events."""

    def __init__(self, account: Account, **given: Any) -> None:
        self.account, self.v1 = account, account.v1
        self.clock = account.make_clock(JAN_31)
        self.price = account.make_price()
        card = given.pop("card", "pm_card_visa")
        self.customer = account.make_customer(card=card, test_clock=self.clock)
        account.listen()
        self.id = account.subscribe(self.customer, self.price, **given).id
        self.first_events = account.new_events()

    def at(self, seconds: int) -> list[str]:
        """Advance to so many seconds after the start; the events of it, without the clock's own."""
        self.account.advance(self.clock, JAN_31 + seconds)
        return [t for t in self.account.new_events() if not t.startswith("test_helpers")]

    @property
    def now(self) -> Any:
        return self.v1.subscriptions.retrieve(self.id, {"expand": ["latest_invoice"]})

    @property
    def item(self) -> str:
        return self.now["items"].data[0].id

    def amounts(self) -> list[tuple[str | None, str | None, int]]:
        """(reason, status, total) of all invoices, oldest first."""
        found = self.v1.invoices.list({"customer": self.customer, "limit": 100}).data
        return [(i.billing_reason, i.status, i.total) for i in reversed(found)]


def test_the_first_payment_tells_its_events_in_order(account: Account) -> None:
    life = Life(account)

    assert life.first_events == [
        "customer.subscription.created",
        "invoice.created",
        *FINALIZED,
        *PAID,
        "customer.subscription.updated",
    ]
    assert life.now.status == "active"


def test_a_renewal_is_drafted_at_the_end_of_the_month_and_charged_an_hour_later(account: Account) -> None:
    life = Life(account)

    at_end = life.at(28 * DAY)
    draft = life.now.latest_invoice
    an_hour_later = life.at(28 * DAY + HOUR)

    assert at_end == ["invoice.created", "customer.subscription.updated"]
    assert (draft.status, draft.automatically_finalizes_at) == ("draft", JAN_31 + 28 * DAY + HOUR)
    assert an_hour_later == [*FINALIZED, *PAID]
    assert life.amounts() == [("subscription_create", "paid", 1000), ("subscription_cycle", "paid", 1000)]


def test_months_are_counted_from_the_anchor(account: Account) -> None:
    life = Life(account)

    ends = [day(period_end(life.now))]
    for days in (29, 60, 91):
        life.at(days * DAY)
        ends.append(day(period_end(life.now)))

    assert ends == ["28 Feb 10:00", "31 Mar 10:00", "30 Apr 10:00", "31 May 10:00"]


def test_an_event_says_what_changed(account: Account) -> None:
    life = Life(account)
    life.at(28 * DAY)

    event = account.v1.events.list({"type": "customer.subscription.updated", "limit": 1}).data[0].to_dict()

    previous = event["data"]["previous_attributes"]
    assert set(previous) == {"items", "latest_invoice"}
    assert previous["items"]["data"][0]["current_period_end"] == JAN_31 + 28 * DAY
    assert event["api_version"] == stripe.api_version
    assert event["request"] == {"id": None, "idempotency_key": None}


def test_a_trial_warns_three_days_before_and_is_billed_at_its_end(account: Account) -> None:
    life = Life(account, trial_period_days=10)
    first = list(life.first_events)

    before = life.at(7 * DAY - 1)
    warned = life.at(7 * DAY)
    ended = life.at(10 * DAY)
    paid = life.at(10 * DAY + HOUR)

    assert first == [
        "customer.subscription.created", "invoice.created", "customer.updated", "invoice.finalized",
        "invoice.updated",
        "invoice.paid", "invoice.payment_succeeded",
    ]  # fmt: skip
    assert before == []
    assert warned == ["customer.subscription.trial_will_end"]
    assert ended == ["invoice.created", "customer.subscription.updated"]
    assert paid == [*FINALIZED, *PAID]
    assert life.amounts() == [("subscription_create", "paid", 0), ("subscription_cycle", "paid", 1000)]
    assert (life.now.status, day(period_end(life.now))) == ("active", "10 Mar 10:00")


@pytest.mark.parametrize(
    ("behavior", "status", "events"),
    [
        ("cancel", "canceled", ["customer.subscription.deleted"]),
        ("pause", "paused", ["customer.subscription.updated", "customer.subscription.paused"]),
    ],
)
def test_a_trial_without_a_card_ends_as_it_was_told_to(
    account: Account, behavior: str, status: str, events: list[str]
) -> None:
    settings = {"end_behavior": {"missing_payment_method": behavior}}
    life = Life(account, card=None, trial_period_days=2, trial_settings=settings)

    assert life.first_events[-1] == "customer.subscription.trial_will_end"
    assert life.at(2 * DAY) == events
    assert life.now.status == status


def test_a_paused_subscription_wakes_with_a_paid_invoice(account: Account) -> None:
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    life = Life(account, card=None, trial_period_days=2, trial_settings=settings)
    life.at(3 * DAY)
    card = account.v1.payment_methods.attach("pm_card_visa", {"customer": life.customer}).id
    account.v1.subscriptions.update(life.id, {"default_payment_method": card})
    account.new_events()

    account.v1.subscriptions.resume(life.id)

    assert account.new_events()[-2:] == ["customer.subscription.updated", "customer.subscription.resumed"]
    assert (life.now.status, day(period_end(life.now))) == ("active", "03 Mar 10:00")


def test_the_end_at_the_period_end_bills_nothing_more(account: Account) -> None:
    life = Life(account)
    account.v1.subscriptions.update(life.id, {"cancel_at_period_end": True})
    account.new_events()

    announced = life.now
    ended = life.at(28 * DAY)

    assert (announced.cancel_at, announced.canceled_at) == (JAN_31 + 28 * DAY, JAN_31)
    assert announced.cancellation_details.reason == "cancellation_requested"
    assert ended == ["customer.subscription.deleted"]
    assert (life.now.status, life.now.ended_at) == ("canceled", JAN_31 + 28 * DAY)
    assert len(life.amounts()) == 1


def test_an_announced_end_can_be_taken_back(account: Account) -> None:
    life = Life(account)
    account.v1.subscriptions.update(life.id, {"cancel_at_period_end": True})
    account.v1.subscriptions.update(life.id, {"cancel_at_period_end": False})

    life.at(29 * DAY)

    assert (life.now.status, life.now.cancel_at, life.now.canceled_at) == ("active", None, None)
    assert len(life.amounts()) == 2


def test_cancelling_leaves_pending_items_and_stops_collecting(account: Account) -> None:
    life = Life(account)
    life.at(28 * DAY)
    account.v1.invoice_items.create({"customer": life.customer, "amount": 300, "currency": "usd"})
    account.new_events()

    account.v1.subscriptions.cancel(life.id)
    events = account.new_events()
    life.at(29 * DAY)

    assert events == ["customer.subscription.deleted", "invoice.updated"]
    assert [i.amount for i in account.v1.invoice_items.list({"pending": True}).data] == [300]
    assert life.amounts()[-1] == ("subscription_cycle", "draft", 1000)


def test_a_failed_renewal_is_past_due_and_not_retried_by_default(account: Account) -> None:
    life = Life(account)
    bad = account.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": life.customer}).id
    account.v1.subscriptions.update(life.id, {"default_payment_method": bad})
    account.new_events()

    events = life.at(28 * DAY + HOUR)
    invoice = life.now.latest_invoice
    later = life.at(40 * DAY)

    assert events[2:] == [*FINALIZED, *FAILED, "customer.updated", "customer.subscription.updated"]
    assert (life.now.status, invoice.attempt_count, invoice.next_payment_attempt) == ("past_due", 1, None)
    assert later == []


@pytest.mark.parametrize(
    ("end", "status"), [("past_due", "past_due"), ("unpaid", "unpaid"), ("cancel", "canceled")]
)
def test_retries_follow_the_accounts_days_and_end_as_told(account: Account, end: str, status: str) -> None:
    life = Life(account)
    account.control("POST", "/settings", {"retry_days": [3, 5], "retry_end": end})
    bad = account.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": life.customer}).id
    account.v1.subscriptions.update(life.id, {"default_payment_method": bad})

    life.at(28 * DAY + HOUR)
    first = life.now.latest_invoice
    life.at(31 * DAY + HOUR)
    second = life.now.latest_invoice
    life.at(36 * DAY + HOUR)
    third = life.now

    assert (first.attempt_count, first.next_payment_attempt) == (1, JAN_31 + 31 * DAY + HOUR)
    assert (second.attempt_count, second.next_payment_attempt) == (2, JAN_31 + 36 * DAY + HOUR)
    assert (third.status, third.latest_invoice.attempt_count) == (status, 3)
    assert third.latest_invoice.next_payment_attempt is None


def test_paying_by_hand_counts_no_attempt_and_revives_the_subscription(account: Account) -> None:
    life = Life(account)
    bad = account.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": life.customer}).id
    account.v1.subscriptions.update(life.id, {"default_payment_method": bad})
    life.at(28 * DAY + HOUR)
    invoice = life.now.latest_invoice.id
    account.new_events()

    with pytest.raises(stripe.CardError) as declined:
        account.v1.invoices.pay(invoice)
    after_decline = account.new_events()
    account.v1.invoices.pay(invoice, {"payment_method": "pm_card_visa"})

    assert declined.value.http_status == 402
    assert after_decline == [*FAILED[:2], "invoice.payment_failed"]
    assert life.now.latest_invoice.attempt_count == 1
    assert account.new_events()[-2:] == ["customer.updated", "customer.subscription.updated"]
    assert life.now.status == "active"


@pytest.mark.parametrize(
    ("behavior", "status", "event"),
    [
        ("void", "void", "invoice.voided"),
        ("mark_uncollectible", "uncollectible", "invoice.marked_uncollectible"),
        ("keep_as_draft", "draft", None),
    ],
)
def test_a_paused_collection_charges_nothing_and_resumes_by_itself(
    account: Account, behavior: str, status: str, event: str | None
) -> None:
    life = Life(account)
    pause = {"behavior": behavior, "resumes_at": JAN_31 + 40 * DAY}
    account.v1.subscriptions.update(life.id, {"pause_collection": pause})
    account.new_events()

    renewed = life.at(30 * DAY)
    resumed = life.at(40 * DAY)
    life.at(60 * DAY)

    assert event is None or event in renewed
    assert "charge.succeeded" not in renewed
    assert life.amounts()[1][1] == status
    assert resumed == ["customer.subscription.updated"]
    assert life.now.pause_collection is None
    assert life.amounts()[2][1] == "paid"


def test_pushing_the_trial_end_moves_the_anchor_and_bills_nothing_until_then(account: Account) -> None:
    life = Life(account)
    given: Any = {"trial_end": JAN_31 + 45 * DAY, "proration_behavior": "none"}

    moved = account.v1.subscriptions.update(life.id, given)
    life.at(44 * DAY)
    quiet = life.amounts()
    life.at(46 * DAY)

    assert (moved.status, moved.billing_cycle_anchor) == ("trialing", JAN_31 + 45 * DAY)
    assert quiet == [("subscription_create", "paid", 1000)]
    assert life.amounts()[1:] == [("subscription_cycle", "paid", 1000)]
    assert day(period_end(life.now)) == "17 Apr 10:00"


def test_pushing_the_trial_end_credits_unused_time_unless_told_not_to(account: Account) -> None:
    life = Life(account)
    life.at(14 * DAY)

    account.v1.subscriptions.update(life.id, {"trial_end": JAN_31 + 45 * DAY})
    life.at(46 * DAY)

    assert [line.amount for line in life.now.latest_invoice.lines.data] == [-500, 1000]
    assert life.amounts()[-1] == ("subscription_cycle", "paid", 500)


def test_restarting_the_cycle_now_charges_a_new_period_at_once(account: Account) -> None:
    life = Life(account)
    life.at(14 * DAY)

    account.v1.subscriptions.update(life.id, {"billing_cycle_anchor": "now"})

    assert life.amounts()[-1] == ("subscription_update", "paid", 500)
    assert day(period_end(life.now)) == "14 Mar 10:00"


def test_a_dearer_price_credits_what_was_paid_and_debits_the_rest(account: Account) -> None:
    life = Life(account)
    dearer = account.make_price(3000)
    life.at(14 * DAY)
    change: Any = {"items": [{"id": life.item, "price": dearer}]}

    preview = account.v1.invoices.create_preview(
        {"subscription": life.id, "subscription_details": {**change, "proration_behavior": "always_invoice"}}
    )
    untouched = life.amounts()
    account.v1.subscriptions.update(life.id, {**change, "proration_behavior": "always_invoice"})

    lines = life.now.latest_invoice.lines.data
    assert [(line.amount, line.description) for line in lines] == [
        (-500, "Unused time on Gold after 14 Feb 2026"),
        (1500, "Remaining time on Gold after 14 Feb 2026"),
    ]
    assert lines[0].parent.subscription_item_details.proration
    assert preview.total == 1000
    assert untouched == [("subscription_create", "paid", 1000)]
    assert life.amounts()[-1] == ("subscription_update", "paid", 1000)


def test_pending_prorations_wait_for_the_renewal(account: Account) -> None:
    life = Life(account)
    life.at(14 * DAY)

    account.v1.subscriptions.update(life.id, {"items": [{"id": life.item, "quantity": 3}]})
    preview = account.v1.invoices.create_preview({"subscription": life.id})
    life.at(29 * DAY)

    assert [line.amount for line in preview.lines.data] == [-500, 1500, 3000]
    assert life.amounts()[-1] == ("subscription_cycle", "paid", 4000)


def test_cancelling_with_prorate_makes_credit_and_moves_no_money(account: Account) -> None:
    life = Life(account)
    life.at(7 * DAY)

    account.v1.subscriptions.cancel(life.id, {"prorate": True, "invoice_now": True})

    assert life.amounts()[-1] == ("subscription_update", "paid", -750)
    assert account.v1.customers.retrieve(life.customer).balance == -750
    assert account.v1.refunds.list().data == []


def test_a_percentage_off_also_lowers_the_credit(account: Account) -> None:
    coupon = account.v1.coupons.create({"percent_off": 20, "duration": "forever"}).id
    life = Life(account, discounts=[{"coupon": coupon}])
    life.at(14 * DAY)

    account.v1.subscriptions.cancel(life.id, {"prorate": True})

    assert life.amounts() == [("subscription_create", "paid", 800)]
    assert [i.amount for i in account.v1.invoice_items.list({"pending": True}).data] == [-400]


def test_the_clock_goes_two_intervals_a_call_and_no_further(account: Account) -> None:
    life = Life(account)

    with pytest.raises(stripe.InvalidRequestError, match="more than two intervals"):
        life.at(60 * DAY)
    with pytest.raises(stripe.InvalidRequestError, match="after its current frozen time"):
        life.at(0)


def test_an_advance_goes_on_while_the_caller_waits(account: Account) -> None:
    life = Life(account)

    answer = account.v1.test_helpers.test_clocks.advance(life.clock, {"frozen_time": JAN_31 + 50 * DAY})

    assert answer.status == "advancing"
    assert answer.status_details.advancing.target_frozen_time == JAN_31 + 50 * DAY
    until = time.monotonic() + 10
    while account.v1.test_helpers.test_clocks.retrieve(life.clock).status != "ready":
        assert time.monotonic() < until


@pytest.mark.parametrize("how", ["expire", "cancel"])
def test_an_unpaid_first_invoice_ends_the_subscription(account: Account, how: str) -> None:
    life = Life(account, card=None, payment_behavior="default_incomplete")

    if how == "expire":
        life.at(23 * HOUR)
    else:
        account.v1.subscriptions.cancel(life.id)

    assert life.now.status == "incomplete_expired"
    assert life.amounts() == [("subscription_create", "void", 1000)]


def test_a_buyer_who_confirms_the_first_payment_activates_the_subscription(account: Account) -> None:
    saves = {"save_default_payment_method": "on_subscription"}
    life = Life(account, card=None, payment_behavior="default_incomplete", payment_settings=saves)
    expand = ["latest_invoice.confirmation_secret"]
    secret = life.v1.subscriptions.retrieve(life.id, {"expand": expand}).latest_invoice.confirmation_secret
    intent = secret.client_secret.partition("_secret_")[0]

    account.v1.payment_intents.confirm(
        intent, {"payment_method": "pm_card_visa", "return_url": "https://example.com"}
    )

    assert life.now.status == "active"
    assert life.now.default_payment_method is not None


def test_a_strict_first_payment_leaves_nothing_behind(account: Account) -> None:
    customer = account.make_customer(card="pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError) as refused:
        account.subscribe(customer, account.make_price(), payment_behavior="error_if_incomplete")

    assert (refused.value.http_status, refused.value.code) == (402, "card_declined")
    assert account.v1.subscriptions.list({"status": "all"}).data == []
    assert account.v1.invoices.list().data == []


def test_without_a_card_there_is_no_subscription(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source") as refused:
        account.subscribe(account.make_customer(card=None), account.make_price())

    assert refused.value.code == "resource_missing"


def test_real_time_goes_on_by_itself(account: Account) -> None:
    customer = account.make_customer()
    soon = int(time.time()) + 2
    subscription = account.subscribe(customer, account.make_price(), trial_end=soon)

    until = time.monotonic() + 10
    while account.v1.subscriptions.retrieve(subscription.id).status == "trialing":
        assert time.monotonic() < until
        time.sleep(0.1)

    assert account.v1.invoices.list({"subscription": subscription.id}).data[0].status == "draft"
