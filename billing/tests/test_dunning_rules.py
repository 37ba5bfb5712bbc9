"""The schedule of a failed payment: as the terms say, never earlier than told, never two steps a day."""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Terms
from billing import dunning_rules as rules
from billing.dunning_dates import rules_of
from billing.dunning_rules import (
    DAY,
    Choice,
    Step,
    access_ends,
    after_step,
    days_given_back,
    plan_steps,
)

pytestmark = pytest.mark.once

ZONE = "Europe/Madrid"
NOON = dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC)
ZONES = (
    "Europe/Madrid", "UTC", "America/New_York", "Asia/Kolkata",
    "Pacific/Auckland", "America/Santiago", "Pacific/Kiritimati", "Australia/Lord_Howe",
)  # fmt: skip


def days(steps, first=NOON, zone=ZONE):
    """Each step with its distance from the day of the first failure."""
    start = first.astimezone(ZoneInfo(zone)).date()
    return [(step.key, (step.day - start).days) for step in steps]


def test_the_default_terms_try_three_times_block_on_day_7_and_end_on_day_11():
    steps = plan_steps(rules_of(Terms()), NOON, ZONE)

    assert days(steps) == [("a3", 3), ("a6", 6), ("block", 7), ("a10", 10), ("end", 11)]
    assert [s.at(ZONE).astimezone(ZoneInfo(ZONE)).time() for s in steps[1:3]] == [
        dt.time(9),
        dt.time(23, 59, 59),
    ]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # Access ends with the last attempt: blocked and ended are one step.
        ({"dunning_attempt_days": [3], "dunning_grace_days": 4}, [("a3", 3), ("end", 4)]),
        # An attempt on the day of the block comes a day later, and the end with it.
        (
            {"dunning_attempt_days": [6, 7], "dunning_grace_days": 7},
            [("a6", 6), ("block", 7), ("a7", 8), ("end", 9)],
        ),
    ],
)
def test_two_steps_never_share_a_day(columns, expected):
    terms = Terms(**columns)
    terms.clean()

    assert days(plan_steps(rules_of(terms), NOON, ZONE)) == expected


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        # Before the block: attempts until then are left out, everything else stays.
        (4, [("chosen", 4), ("a6", 6), ("block", 7), ("a10", 10), ("end", 11)]),
        (6, [("chosen", 6), ("block", 7), ("a10", 10), ("end", 11)]),
        # After it: the block waits until the day after, and all that comes later with it.
        (12, [("chosen", 12), ("block", 13), ("a10", 16), ("end", 17)]),
    ],
)
def test_a_chosen_day_takes_the_place_of_the_attempts_before_it(chosen, expected):
    choice = Choice(NOON + dt.timedelta(hours=1), NOON.date() + chosen * DAY)

    assert days(plan_steps(rules_of(Terms()), NOON, ZONE, choice=choice)) == expected


def test_a_hold_moves_what_had_not_come_by_its_length():
    hold = (NOON + 4 * DAY, NOON + 6 * DAY)

    assert days(plan_steps(rules_of(Terms()), NOON, ZONE, holds=[hold])) == [
        ("a3", 3), ("a6", 8), ("block", 9), ("a10", 12), ("end", 13),
    ]  # fmt: skip


@pytest.mark.parametrize(("hours", "days"), [(24, 1), (25, 2), (156, 7)])
def test_a_hold_moves_by_whole_days_in_the_customers_favour(hours, days):
    plain = plan_steps(rules_of(Terms()), NOON, ZONE)
    held = plan_steps(
        rules_of(Terms()), NOON, ZONE, holds=[(NOON + 2 * DAY, NOON + 2 * DAY + dt.timedelta(hours=hours))]
    )

    for key in ("block", "end"):
        assert rules.day_of(held, key) - rules.day_of(plain, key) == days * DAY


def test_whoever_comes_late_tries_once_and_goes_on_one_step_a_day():
    """Beat was off from the second day to the fifteenth."""
    left, today, seen = plan_steps(rules_of(Terms()), NOON, ZONE), NOON.date() + 15 * DAY, []
    while left:
        while left and left[0].day <= today:  # as often as beat rings on one day
            seen.append((left[0].key, (today - NOON.date()).days))
            left = after_step(left, today=today)
        today += DAY

    assert seen == [("a3", 15), ("block", 16), ("a10", 17), ("end", 18)]


@st.composite
def valid_terms(draw):
    tries = sorted(draw(st.sets(st.integers(1, 30), min_size=1, max_size=6)))
    terms = Terms(
        dunning_attempt_days=tries,
        dunning_block_after=draw(st.integers(1, len(tries) + 1)),
        dunning_grace_days=draw(st.sampled_from([0, *(day + 1 for day in tries)])),
        dunning_choose_days=draw(st.integers(0, 60)),
    )
    return terms if not terms._dunning_faults() else draw(valid_terms())


moments = st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2030, 12, 31), timezones=st.just(dt.UTC)).map(
    lambda m: m.replace(microsecond=0)
)


@st.composite
def worlds(draw):
    """Terms, a first failure, a zone, and perhaps a choice and holds that do not overlap."""
    terms, first, zone = rules_of(draw(valid_terms())), draw(moments), draw(st.sampled_from(ZONES))
    made = first + dt.timedelta(hours=draw(st.integers(1, 24 * 20)))
    open_days = rules.choosable_days(terms, first, zone, at=made)
    choice = Choice(made, draw(st.sampled_from(open_days))) if open_days and draw(st.booleans()) else None
    holds, start = [], first
    for _ in range(draw(st.integers(0, 2))):
        start += dt.timedelta(hours=draw(st.integers(1, 24 * 12)))
        end = start + dt.timedelta(hours=draw(st.integers(1, 24 * 30)))
        holds.append((start, end))
        start = end
    return terms, first, zone, choice, holds


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(0, 24 * 20))
def test_news_that_comes_late_gives_no_free_day_but_days_of_notice(world, hours):
    terms, first, zone, choice, holds = world
    told_at = first + dt.timedelta(hours=hours)
    late = plan_steps(terms, first, zone, told_at=told_at, choice=choice, holds=holds)
    told = plan_steps(terms, first, zone, told_at=told_at)
    in_time = plan_steps(terms, first, zone)

    assert access_ends(told, zone) - told_at >= 3 * DAY
    assert access_ends(late, zone) >= access_ends(told, zone) >= access_ends(in_time, zone)
    if access_ends(in_time, zone) - told_at >= 5 * DAY:
        assert access_ends(told, zone) == access_ends(in_time, zone)
    assert all(a.day < b.day for a, b in itertools.pairwise(late))


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_the_days_are_in_order_told_in_time_and_only_ever_later(world):
    terms, first, zone, choice, holds = world
    plain = plan_steps(terms, first, zone)
    moved = plan_steps(terms, first, zone, choice=choice, holds=holds)

    for steps in (plain, moved):
        assert all(a.day < b.day for a, b in itertools.pairwise(steps))
        assert [s.key for s in steps if s.is_harsh][-1] == "end" == steps[-1].key
    assert access_ends(plain, zone) - first >= 3 * DAY
    for key in ("block", "end"):
        told, now = rules.day_of(plain, key), rules.day_of(moved, key)
        assert (told is None) == (now is None)
        assert told is None or now >= told
    first_day = first.astimezone(ZoneInfo(zone)).date()
    assert terms.block_day >= 4
    assert access_ends(plain, zone) == moment_of_day(first_day + terms.block_day * DAY, zone)
    # A try the day before whatever is harsh, and none while the clock stands still.
    for before, step in itertools.pairwise(moved):
        assert not step.is_harsh or (before.kind == "attempt" and before.day == step.day - DAY)
    for start, end in holds:
        assert not [s for s in moved if start < s.at(zone) < end and s.key != "chosen"]


@pytest.mark.parametrize("zone", [*ZONES, "Africa/Cairo"])
def test_a_day_of_dunning_begins_at_nine_also_when_the_clocks_change(zone):
    for number in range(366):
        day = NOON.date() + number * DAY
        nine = Step("a3", day).at(zone)

        assert rules.dunning_day(nine, zone) == rules.dunning_day(nine + dt.timedelta(hours=14), zone) == day
        assert rules.dunning_day(nine - dt.timedelta(seconds=1), zone) == day - DAY
        assert rules.dunning_day(Step("end", day).at(zone) + dt.timedelta(minutes=5), zone) == day


def moment_of_day(day, zone):
    return Step("block", day).at(zone)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.sets(st.integers(0, 60)))
def test_carried_out_with_days_off_nothing_comes_early_twice_a_day_or_never(world, days_off):
    terms, first, zone, choice, holds = world
    plan = plan_steps(terms, first, zone, choice=choice, holds=holds)
    left, start, done = plan, first.astimezone(ZoneInfo(zone)).date(), []
    for number in range(1, 400):
        today = start + number * DAY
        while number not in days_off and left and left[0].day <= today:
            done.append((left[0], today))
            left = after_step(left, today=today)

    assert left == ()
    ran_on = [day for _step, day in done]
    assert ran_on == sorted(set(ran_on))
    told = {step.key: step.day for step in plan}
    assert all(day >= told[step.key] for step, day in done)
    assert [s.key for s, _ in done if s.is_harsh] == [s.key for s in plan if s.is_harsh]
    if not days_off:
        assert [(s.key, day) for s, day in done] == [(s.key, s.day) for s in plan]


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(0, 40))
def test_dates_that_come_nearer_are_still_told_in_time(world, ahead):
    terms, first, zone, choice, _holds = world
    plan = plan_steps(terms, first, zone, choice=choice)
    today = plan[0].day - DAY
    floor = today + ahead * DAY
    moved = rules.not_before(plan, floor)

    assert all(step.day >= floor for step in moved if step.is_harsh)
    assert all(a.day < b.day for a, b in itertools.pairwise(moved))
    assert [s.key for s in moved] == [s.key for s in plan]


# --- Paid late -----------------------------------------------------------------------------------


def given_back(closed, paid, *, at, renews, zone=ZONE):
    """The rule with moments as days after noon of 11 March in Madrid."""
    start = NOON - dt.timedelta(hours=1)

    def moments(rows):
        return [(start + a * DAY, start + b * DAY) for a, b in rows]

    return days_given_back(
        moments(closed), moments(paid), at=start + at * DAY, renews_at=start + renews * DAY, zone=zone
    )


MONTH, NEXT = (0, 31), (31, 61)


@pytest.mark.parametrize(
    ("closed", "paid", "at", "renews", "expected"),
    [
        ([(7.5, 8.4)], [MONTH], 8.4, 31, 0),  # less than a day
        ([(7.5, 8.5)], [MONTH], 8.5, 31, 1),
        ([(7.5, 8.6)], [MONTH], 8.6, 31, 2),  # rounded up
        ([(7.5, 25)], [MONTH], 25, 31, 18),
        ([], [MONTH], 25, 31, 0),
        # Two invoices, access off for both at once: counted once, whichever is paid last.
        ([(20, 45), (38, 47)], [MONTH, NEXT], 47, 61, 27),
        ([(20, 47), (38, 45)], [MONTH, NEXT], 47, 61, 27),
        ([(37, 40), (50, 55)], [MONTH, NEXT], 55, 61, 8),
        # The next period was not billed: what is left of it is free already, and nobody is owed more.
        ([(7.5, 32)], [MONTH], 32, 61, 0),
        ([(7.5, 58)], [MONTH], 58, 61, 21),
        # Written off: that period was never paid.
        ([(7.5, 25)], [(-28, 0)], 25, 31, 0),
    ],
)
def test_paid_late_the_next_charge_comes_later_by_the_paid_days_without_access(
    closed, paid, at, renews, expected
):
    assert given_back(closed, paid, at=at, renews=renews) == expected


@given(
    st.floats(0, 30),
    st.floats(0.01, 30),
    st.sampled_from([(date, zone) for date in (60, 230, 0) for zone in ZONES]),
)
@settings(max_examples=300, deadline=None)
def test_whoever_pays_late_has_every_day_that_is_paid_and_less_than_one_more(shut, off, where):
    date, zone = where
    start = NOON + date * DAY
    end, closed = start + 31 * DAY, start + shut * DAY
    back = min(closed + off * DAY, end)

    days = days_given_back([(closed, back)], [(start, end)], at=back, renews_at=end, zone=zone)

    wall = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) for moment in (closed, back)]
    lost = max(wall[1] - wall[0], dt.timedelta())
    assert days == 0 if lost < DAY else lost <= days * DAY < lost + DAY
    assert days <= 31
