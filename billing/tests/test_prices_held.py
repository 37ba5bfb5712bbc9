"""What keeps a higher price from being charged: the provider hears of it late, and the database refuses."""

import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from accounts import sets
from accounts.tests.worlds import NOON, make_account
from billing import price_sweep
from billing.models import Instruction, PlannedPrice, PriceChange, Subscription
from billing.price_sweep import run_prices
from billing.stripe_api import calling
from billing.subscriptions import change_plan
from billing.tests.price_worlds import DAY, be_off, beat, bill, change_price, live, paying, planned
from billing.tests.trial_worlds import make_local_plan
from billing.tests.worlds import TurnableClock, make_plan, run_worker

pytestmark = pytest.mark.django_db


def about_to_rise(clock: TurnableClock) -> Subscription:
    """Told in time, a month that renews on day 61 at the new price; the instruction has not been sent."""
    row = paying()
    live(clock, NOON + 3 * DAY)
    change_price(row.plan, at=clock.now())
    beat(clock.now())
    live(clock, NOON + 53 * DAY)
    clock.turn_to(NOON + 55 * DAY)
    run_prices(at=clock.now())
    assert planned(row) == [("set", "")]
    assert Instruction.objects.get(kind="subscription").status == "pending"
    return row


def price_at_provider(row: Subscription) -> int:
    with calling() as stripe:
        item: Any = stripe.v1.subscriptions.retrieve(str(row.provider_id))["items"].data[0]
    return int(item.price.unit_amount)


def test_an_instruction_that_is_sent_after_the_renewal_changes_nothing(noon: TurnableClock) -> None:
    row = about_to_rise(noon)
    be_off(noon, NOON + 62 * DAY)
    run_worker()
    for _ in range(3):
        beat(noon.now())

    assert Instruction.objects.filter(kind="subscription", status="done").exists()
    assert price_at_provider(row) == 2900
    assert bill(row) == [2900, 2900, 2900]
    assert planned(row) == [("dropped", "late"), ("planned", "")]


def test_a_plan_that_they_have_just_chosen_comes_first(noon: TurnableClock) -> None:
    row = about_to_rise(noon)
    other = make_plan("other", amount=1900)
    fresh = Subscription.objects.select_related("plan", "account").get(pk=row.pk)
    run_worker()
    change_plan(fresh, other, by=price_sweep.SYSTEM, at=noon.now())
    for _ in range(4):
        beat(noon.now())

    assert price_at_provider(row) == 1900
    assert planned(row) == [("dropped", "plan_changed")]


def many(count: int) -> PriceChange:
    """So many paid subscriptions of one plan, of which a rise is planned."""
    plan = make_local_plan(0, amount=2900)
    for number in range(count):
        Subscription.objects.create(
            account=make_account(), plan=plan, provider_id=f"sub_{number}", status="active", started_at=NOON,
            first_paid_at=NOON, period_start=NOON, period_end=NOON + 40 * DAY,
        )  # fmt: skip
    return change_price(plan, 3500, price="price_new")


def test_a_round_that_was_killed_goes_on_where_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    change = many(5)
    monkeypatch.setattr(price_sweep, "AT_ONCE", 2)
    plan_prices, calls = price_sweep.plan_prices, []

    def dies(ids: Any, *, at: dt.datetime) -> int:
        calls.append(list(ids))
        if len(calls) == 2:
            raise SystemExit
        return plan_prices(ids, at=at)

    monkeypatch.setattr(price_sweep, "plan_prices", dies)
    with pytest.raises(SystemExit), transaction.atomic():
        run_prices(at=NOON)
    PriceChange.objects.filter(pk=change.pk).update(spread_to=0)  # even from the start
    due = price_sweep.due_prices(NOON)
    run_prices(at=NOON)
    change.refresh_from_db()

    assert due == 5
    assert PlannedPrice.objects.open().count() == 5
    assert change.spread_at == NOON
    assert sets.CHUNK > price_sweep.AT_ONCE


@pytest.mark.parametrize(
    ("columns", "refused_by"),
    [
        ({"state": "set"}, "planned_price_rise_was_told"),
        ({"state": "set", "told_at": NOON + 90 * DAY}, "planned_price_rise_was_told"),
        ({"next_at": None}, "planned_price_open_is_looked_at"),
        ({"state": "dropped", "next_at": None, "closed_at": NOON}, "planned_price_dropped_has_reason"),
        ({"state": "dropped", "reason": "late"}, "planned_price_closed_has_date"),
    ],
)
def test_the_database_refuses_what_cannot_be(columns: dict[str, Any], refused_by: str) -> None:
    many(1)
    run_prices(at=NOON)
    with pytest.raises(IntegrityError, match=refused_by):
        PlannedPrice.objects.update(**columns)


@pytest.mark.parametrize(
    ("columns", "refused_by"),
    [
        ({"actor": ""}, "price_change_has_actor_and_reason"),
        ({"reason": ""}, "price_change_has_actor_and_reason"),
        ({"withdrawn_at": NOON}, "price_change_withdrawn_has_reason"),
    ],
)
def test_a_change_has_somebody_and_a_reason(columns: dict[str, Any], refused_by: str) -> None:
    many(0)
    with pytest.raises(IntegrityError, match=refused_by):
        PriceChange.objects.update(**columns)


def test_one_change_stands_for_a_plan_and_one_price_for_a_subscription() -> None:
    other = make_local_plan(0)
    change = many(1)
    run_prices(at=NOON)
    row = PlannedPrice.objects.get()
    row.pk, row.public_id = None, "another"
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()
    change.pk, change.public_id, change.to_plan = None, "another", other
    with pytest.raises(IntegrityError), transaction.atomic():
        change.save()
