"""Holds: the clock stands still, always with an end."""

import datetime as dt

import pytest
from django.db import IntegrityError
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.holds import end_hold, open_hold, place_hold, shift, stretches
from accounts.models import Event, Hold
from accounts.signals import hold_changed
from accounts.tests.worlds import NOON, make_account

DAY = dt.timedelta(days=1)
MADRID, CAIRO = "Europe/Madrid", "Africa/Cairo"


def hold(account, days=3, at=NOON):
    return place_hold(account, reason="promise", until=at + days * DAY, by=SYSTEM, at=at)


@pytest.mark.django_db
def test_a_hold_is_told_in_the_history_and_to_whoever_counts_days():
    heard = []
    listener = lambda account, at, **_: heard.append((account.pk, at))  # noqa: E731
    hold_changed.connect(listener)
    account = make_account()
    placed = hold(account)
    end_hold(placed, reason="asked", by=SYSTEM, at=NOON + DAY)

    assert heard == [(account.pk, NOON), (account.pk, NOON + DAY)]
    assert list(Event.objects.values_list("kind", flat=True)) == ["hold.placed", "hold.ended"]
    assert stretches(account) == [(NOON, NOON + DAY)]


@pytest.mark.django_db
def test_one_hold_at_a_time_and_none_beyond_the_terms():
    account = make_account()
    with pytest.raises(WrongState):
        hold(account, days=31)
    with pytest.raises(WrongState):
        hold(account, days=0)
    hold(account, days=30)
    with pytest.raises(WrongState):
        hold(account, at=NOON + DAY)

    assert open_hold(account, at=NOON + 30 * DAY) is None
    assert hold(account, at=NOON + 30 * DAY)


@pytest.mark.django_db
def test_a_hold_that_is_over_cannot_be_ended_again_nor_run_backwards():
    placed = hold(make_account())
    with pytest.raises(WrongState):
        end_hold(placed, reason="asked", by=SYSTEM, at=NOON + 3 * DAY)
    with pytest.raises(IntegrityError):
        Hold.objects.filter(pk=placed.pk).update(ends_at=NOON - DAY)


@pytest.mark.once
def test_a_date_moves_by_the_holds_that_began_before_it():
    first, second = (NOON, NOON + 3 * DAY), (NOON + 5 * DAY, NOON + 6 * DAY)

    assert shift(NOON, [first, second], MADRID) == NOON
    assert shift(NOON + DAY, [second, first], MADRID) == NOON + 4 * DAY
    assert shift(NOON + 3 * DAY, [first, second], MADRID) == NOON + 7 * DAY


@pytest.mark.once
def test_an_end_at_midnight_stays_one_across_a_change_of_the_clocks():
    # Cairo puts its clocks back on the night to Friday, 30 October 2026: that Thursday has 25 hours.
    end = dt.datetime(2026, 10, 27, 20, 59, 59, tzinfo=dt.UTC)  # Tuesday, 23:59:59 there
    week = (end - 2 * DAY, end + 5 * DAY + dt.timedelta(hours=1))  # a week on the clock there

    assert shift(end, [week], CAIRO) == end + 7 * DAY + dt.timedelta(hours=1)


@pytest.mark.once
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=4), st.integers(0, 60))
def test_a_shifted_date_is_never_earlier_nor_inside_a_hold(spans, day):
    end, holds = NOON, []
    for gap, length in spans:
        start = end + gap * DAY
        end = start + length * DAY
        holds.append((start, end))
    moved = shift(NOON + day * DAY, holds, MADRID)

    assert moved >= NOON + day * DAY
    assert not any(start < moved < stop for start, stop in holds)
