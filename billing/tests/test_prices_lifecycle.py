"""Prices that change, by the clock, at the sandbox: what is charged to the cent, and what is said before."""

import datetime as dt
from collections.abc import Callable

import pytest

from accounts.audit import run_audit
from accounts.calendar import mails_to_come
from accounts.events import SYSTEM, By
from accounts.tests.worlds import NOON, make_account, make_user
from billing.charges import move_charge
from billing.models import PlannedPrice, Subscription
from billing.prices import plan_price_change, withdraw_change
from billing.subscriptions import steer_subscription
from billing.tests.price_worlds import (
    DAY,
    be_off,
    beat,
    bill,
    change_price,
    live,
    mails,
    make_price,
    paying,
    planned,
    said,
)
from billing.tests.worlds import TurnableClock, make_plan, make_subscription

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

STAFF = By("staff", "s1")
#: Months from NOON: renewals on days 31, 61, 92 and 122.
FIRST, AGAIN = (15, "price_rise first"), (35, "price_rise again")


def violations(at: dt.datetime) -> list[str]:
    return [row for found in run_audit(at=at) if found.invariant.code == "M2" for row in found.rows]


def fresh(row: Subscription) -> Subscription:
    return Subscription.objects.select_related("plan", "account__terms").get(pk=row.pk)


def test_each_life_is_charged_what_it_was_told(noon: TurnableClock) -> None:
    """One rise, planned on day 3 for the renewal on day 61, and what people do meanwhile."""
    plan = make_plan()
    lives = {name: make_subscription(make_account(), plan) for name in ("stays", "leaves", "undoes", "moved")}
    live(noon, NOON + 3 * DAY)
    change_price(plan, at=noon.now())
    beat(noon.now(), beats=2)
    doings: list[tuple[float, Callable[[], object]]] = [
        (20, lambda: steer(lives["leaves"], "period_end", noon)),
        (20, lambda: steer(lives["undoes"], "period_end", noon)),
        (25, lambda: steer(lives["undoes"], "never", noon)),
        (57, lambda: move_charge(fresh(lives["moved"]), 10, by=STAFF, at=noon.now())),
    ]
    for day, do in doings:
        live(noon, NOON + day * DAY, beats=2)
        do()
        for _ in range(4):  # the provider is told, its news come, and are followed
            beat(noon.now(), beats=2)
    at_57 = [planned(lives[name]) for name in ("stays", "moved")]
    live(noon, NOON + 95 * DAY, beats=2)

    assert at_57 == [[("set", "")], [("dropped", "moved"), ("planned", "")]]
    assert {name: bill(row) for name, row in lives.items()} == {
        "stays": [2900, 2900, 3500, 3500],
        "leaves": [2900],
        "undoes": [2900, 2900, 3500, 3500],
        "moved": [2900, 2900, 3500],
    }
    assert {name: mails(row) for name, row in lives.items()} == {
        "stays": [FIRST, AGAIN],
        "leaves": [FIRST],
        "undoes": [FIRST, (25, "price_rise first"), AGAIN],
        "moved": [FIRST, AGAIN, (57, "price_rise again")],
    }
    assert {name: planned(row) for name, row in lives.items()} == {
        "stays": [("done", "")],
        "leaves": [("dropped", "leaving")],
        "undoes": [("dropped", "leaving"), ("done", "")],
        "moved": [("dropped", "moved"), ("done", "")],
    }
    assert said(lives["stays"]) == ["price.planned", "price.set", "price.changed"]
    assert violations(noon.now()) == []


def steer(row: Subscription, ends: str, clock: TurnableClock) -> None:
    steer_subscription(fresh(row), ends=ends, by=SYSTEM, at=clock.now())


@pytest.mark.parametrize(
    ("off", "bills", "rows"),
    [
        # No mail could leave by day 31: the renewal on day 61 is charged as before.
        ((14, 32), [2900, 2900, 2900, 3500], [("dropped", "untold"), ("done", "")]),
        # Nobody could tell the provider: that renewal is charged as before, too.
        ((53, 62), [2900, 2900, 2900, 3500], [("dropped", "late"), ("done", "")]),
        # Fourteen days off with time to spare cost nothing.
        ((16, 30), [2900, 2900, 3500, 3500], [("done", "")]),
    ],
)
def test_workers_that_were_off_charge_nobody_untold(
    noon: TurnableClock, off: tuple[int, int], bills: list[int], rows: list[tuple[str, str]]
) -> None:
    row = paying()
    live(noon, NOON + 3 * DAY)
    change_price(row.plan, at=noon.now())
    beat(noon.now())
    live(noon, NOON + off[0] * DAY)
    be_off(noon, NOON + off[1] * DAY)
    beat(noon.now(), beats=2)
    live(noon, NOON + 95 * DAY)

    assert bill(row) == bills
    assert planned(row) == rows
    assert violations(noon.now()) == []


def test_a_year_is_announced_with_the_amount_that_is_charged(noon: TurnableClock) -> None:
    row = paying("year", 29000)
    change_price(row.plan, 35000)
    beat(noon.now())
    seat = row.account.members.get()
    ahead = [entry.kind for entry in mails_to_come(row.account, seat, noon.now())]
    live(noon, NOON + 367 * DAY)

    assert ahead == ["price_rise", "price_rise"]
    assert bill(row) == [29000, 35000]
    # The notices of the renewal, 45 and 25 days before, would say nothing more.
    assert mails(row) == [(319, "price_rise first"), (339, "price_rise again")]
    assert violations(noon.now()) == []


def test_a_year_that_was_announced_at_the_old_price_is_charged_it(noon: TurnableClock) -> None:
    row = paying("year", 29000)
    live(noon, NOON + 321 * DAY)
    change_price(row.plan, 35000, at=noon.now())
    live(noon, NOON + 367 * DAY)
    planned_for = PlannedPrice.objects.open().get().takes_at

    assert mails(row) == [(320, "renewal_ahead 45"), (340, "renewal_ahead 25")]
    assert bill(row) == [29000, 29000]
    assert planned_for == NOON + (365 + 366) * DAY


def test_a_withdrawn_rise_is_told_to_who_was_told_of_it(noon: TurnableClock) -> None:
    row = paying()
    live(noon, NOON + 3 * DAY)
    change = change_price(row.plan, at=noon.now())
    live(noon, NOON + 20 * DAY)
    later = make_subscription(make_account(), row.plan)
    withdraw_change(change, reason="a mistake", by=By.staff(make_user()), at=noon.now())
    beat(noon.now(), beats=2)
    live(noon, NOON + 63 * DAY)

    assert bill(row) == [2900, 2900, 2900]
    assert [kind.split()[0] for _, kind in mails(row)] == ["price_rise", "price_rise_withdrawn"]
    assert mails(later) == []
    assert planned(row) == planned(later) == [("dropped", "withdrawn")]


def test_a_trial_is_charged_what_it_was_promised_and_a_lower_price_is_told(noon: TurnableClock) -> None:
    plan = make_plan(trial_days=14, trial_needs_card=True)
    trial = make_subscription(make_account(), plan)
    other = paying()
    change_price(plan, 3500)
    plan_price_change(
        other.plan,
        amount=1900,
        provider_price=make_price(other.plan, 1900),
        effective_from=NOON + DAY,
        reason="kind",
        by=STAFF,
        at=NOON,
    )
    beat(noon.now())
    live(noon, NOON + 78 * DAY)

    # Its first charge is on day 14, the next ones on days 45 and 75.
    assert bill(trial) == [0, 2900, 3500, 3500]
    assert bill(other) == [2900, 1900, 1900]
    assert [kind for _, kind in mails(other)] == ["price_fall fall"]
    assert violations(noon.now()) == []
