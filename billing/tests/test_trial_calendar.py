"""The calendar of a trial: on its days to the date, and for every trial in thirty years within the law."""

import datetime as dt
import zoneinfo
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from accounts.holds import shift
from billing.periods import add_local_days, end_of_date, local_date
from billing.tests.grid import ZONES
from billing.trial_calendar import (
    AFTER_KINDS,
    MESSAGES,
    StepKind,
    Trial,
    days_left,
    trial_calendar,
    windows_of,
    working_days_after,
)

pytestmark = pytest.mark.once

UTC = dt.UTC
DAY = dt.timedelta(days=1)
#: A Monday, ten in the morning in Madrid.
MONDAY = dt.datetime(2026, 6, 15, 8, tzinfo=UTC)


def trial_of(days=14, *, ends_at=MONDAY, zone="Europe/Madrid", grace=11, **more):
    told_at = add_local_days(ends_at, -days, zone)
    return Trial(told_at=told_at, ends_at=ends_at, zone=zone, length_days=days, grace_days=grace, **more)


def shown(trial):
    """Kind and local day of each step, counted from the end of the trial."""
    calendar = trial_calendar(trial)
    last = local_date(calendar.ends_at, trial.zone)
    return {step.kind.value: (local_date(step.due_at, trial.zone) - last).days for step in calendar.steps}


def test_a_trial_that_ends_on_a_monday_is_spoken_of_on_monday_thursday_and_tuesday():
    assert shown(trial_of()) == {
        "remind_first": -10,
        "remind_again": -6,
        "end": 0,
        "after_0": 0,
        "after_3": 3,
        "after_8": 8,
        "freeze": 11,
        "farewell": 14,
    }


@pytest.mark.parametrize(
    ("weekday", "days"),
    [
        (1, (0, 3, 8, 11)),
        (2, (0, 5, 8, 11)),
        (3, (0, 4, 8, 11)),
        (4, (0, 3, 10, 13)),
        (5, (2, 3, 9, 12)),
        (6, (1, 3, 8, 11)),
    ],
)
def test_messages_wait_for_a_working_day_and_the_freeze_for_the_last_of_them(weekday, days):
    found = shown(trial_of(ends_at=MONDAY + weekday * DAY))

    assert tuple(found[kind] for kind in (*AFTER_KINDS, "freeze")) == days


def test_without_grace_it_freezes_at_the_end_and_invites_back():
    calendar = trial_calendar(trial_of(grace=0))

    assert calendar.access_until == MONDAY
    assert shown(trial_of(grace=0)) == {
        "remind_first": -10,
        "remind_again": -6,
        "freeze": 0,
        "after_0": 0,
        "after_3": 3,
        "after_8": 8,
        "farewell": 11,
    }


@pytest.mark.parametrize(
    ("days", "reminders"),
    [(30, [-10, -6]), (10, [-6]), (8, [-6]), (7, [-6]), (6, [-5]), (3, [-2]), (2, [-1]), (1, [])],
)
def test_a_short_trial_is_told_of_at_the_start_and_a_day_later(days, reminders):
    found = shown(trial_of(days))

    assert [found[kind] for kind in ("remind_first", "remind_again") if kind in found] == reminders


def test_a_trial_shorter_than_three_days_is_not_shut_before_its_first_message_is_three_days_old():
    trial = trial_of(1, grace=0)

    assert trial_calendar(trial).access_until == end_of_date(
        local_date(trial.told_at, trial.zone) + 3 * DAY, trial.zone
    )


def test_onto_the_free_plan_nobody_is_chased():
    assert shown(trial_of(grace=0, ends_on_free_plan=True)) == {
        "remind_first": -10,
        "remind_again": -6,
        "freeze": 0,
        "farewell": 0,
    }


def test_with_a_card_only_what_the_law_wants_is_said():
    calendar = trial_calendar(trial_of(with_card=True))

    assert calendar.access_until is None
    assert [step.kind for step in calendar.steps] == [StepKind.REMIND_FIRST, StepKind.REMIND_AGAIN]
    assert "visa" in calendar.steps[0].rule_ids or "visa" in calendar.told.rule_ids
    assert "mastercard" in calendar.steps[1].rule_ids


def test_a_hold_moves_what_comes_after_it():
    before, later = MONDAY - 2 * DAY, MONDAY + 4 * DAY
    held = trial_of(holds=((before, before + 4 * DAY),))
    held_in_grace = trial_of(holds=((later, later + 7 * DAY),))

    assert trial_calendar(held).ends_at == MONDAY + 4 * DAY
    assert shown(held_in_grace)["after_3"] == 3
    assert shown(held_in_grace)["after_8"] == 15
    assert shown(held_in_grace)["freeze"] == 18


@pytest.mark.parametrize(("hours", "left"), [(73, 3), (97, None), (30, 1), (2, 0), (0, None), (-5, None)])
def test_the_last_three_days_are_counted_down(hours, left):
    assert days_left(MONDAY, "Europe/Madrid", at=MONDAY - dt.timedelta(hours=hours)) == left


def test_three_working_days_after_a_friday_end_on_wednesday():
    assert local_date(working_days_after(MONDAY + 4 * DAY, 3, "Europe/Madrid"), "Europe/Madrid") == dt.date(
        2026, 6, 24
    )


# --- For every trial --------------------------------------------------------------------------

FIRST, LAST = dt.datetime(2026, 1, 1, tzinfo=UTC), dt.datetime(2055, 12, 31, tzinfo=UTC)
moments = st.integers(int(FIRST.timestamp()), int(LAST.timestamp())).map(
    lambda s: dt.datetime.fromtimestamp(s, UTC)
)


@st.composite
def trials(draw):
    zone = draw(st.sampled_from(ZONES))
    with_card = draw(st.booleans())
    days = draw(st.integers(8 if with_card else 1, 90))
    told_at = draw(moments)
    ends_at = add_local_days(told_at, days, zone)
    holds, since = [], told_at
    for gap, length in draw(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 700)), max_size=3)):
        start = since + gap * dt.timedelta(hours=1)
        since = start + length * dt.timedelta(hours=1)
        holds.append((start, since))
    return Trial(
        told_at=told_at,
        ends_at=ends_at,
        zone=zone,
        length_days=days,
        grace_days=draw(st.sampled_from((0, *range(11, 61)))),
        ends_on_free_plan=draw(st.booleans()),
        with_card=with_card,
        country=draw(st.sampled_from(("ES", "US", "CA", "GB", "DE"))),
        customer_kind=draw(st.sampled_from(("consumer", "business"))),
        holds=tuple(holds),
    )


def leap_and_clock_changes(test):
    """29 February, month ends, and the hours that a clock change swallows or gives twice."""
    for zone, moment in (
        ("Europe/Madrid", dt.datetime(2028, 2, 29, 1, 30, tzinfo=UTC)),
        ("Europe/Madrid", dt.datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("America/New_York", dt.datetime(2026, 11, 1, 5, 30, tzinfo=UTC)),
        ("Australia/Lord_Howe", dt.datetime(2026, 10, 3, 15, 45, tzinfo=UTC)),
        ("America/Santiago", dt.datetime(2026, 9, 6, 4, 0, tzinfo=UTC)),
        ("Pacific/Auckland", dt.datetime(2026, 1, 31, 11, 59, 59, tzinfo=UTC)),
    ):
        for days, grace in ((8, 0), (14, 11)):
            told = add_local_days(moment, -days, zone)
            test = example(
                trial=Trial(told_at=told, ends_at=moment, zone=zone, length_days=days, grace_days=grace)
            )(test)
    return test


@settings(max_examples=400, deadline=None)
@given(trial=trials())
@leap_and_clock_changes
def test_every_valid_trial_keeps_the_law_its_order_and_its_promises(trial):
    check(trial)


def test_so_does_one_of_every_start_date_in_thirty_years():
    shapes = [(8, 0, True), (14, 11, False), (30, 0, False), (3, 14, False), (45, 11, True), (1, 0, False)]
    for number in range((LAST - FIRST).days):
        days, grace, with_card = shapes[number % len(shapes)]
        zone = ZONES[number % len(ZONES)]
        told_at = FIRST + number * DAY + (number * 7919 % 86_400) * dt.timedelta(seconds=1)
        trial = Trial(
            told_at=told_at,
            ends_at=add_local_days(told_at, days, zone),
            zone=zone,
            length_days=days,
            grace_days=grace,
            with_card=with_card,
        )
        check(trial)


def check(trial):
    """All that must hold of every calendar."""
    calendar = trial_calendar(trial)
    check_law(trial, calendar)
    check_order(trial, calendar)
    check_freeze(trial, calendar)


def check_law(trial, calendar):
    """Every window that can be kept is kept by a mail that is due inside it."""
    mails = [calendar.told, *(s for s in calendar.steps if s.kind in MESSAGES)]

    for window in windows_of(trial, calendar.ends_at):
        start = window.window_from or trial.told_at
        is_possible = window.window_to >= trial.told_at
        # The law's days are those of a clock that runs: a hold that staff put there may take a window.
        is_held = not trial.with_card and any(a < window.window_to and start < b for a, b in trial.holds)
        keeps = [
            m for m in mails if start <= m.due_at <= window.window_to and m.window_to <= window.window_to
        ]
        assert not is_possible or is_held or keeps, window
    for mail in mails:
        assert mail.due_at <= mail.window_to


def check_order(trial, calendar):
    """Steps follow each other, messages have days of their own, and nothing falls into a hold."""
    messages = [calendar.told, *(s for s in calendar.steps if s.kind in MESSAGES)]
    days = [local_date(step.due_at, trial.zone) for step in messages]
    after = [step.kind for step in calendar.steps if step.kind in AFTER_KINDS]
    holds = () if trial.with_card else trial.holds

    assert all(a.due_at <= b.due_at for a, b in pairwise(calendar.steps))
    assert all(a < b for a, b in pairwise(days)), days
    assert len({step.kind for step in calendar.steps}) == len(calendar.steps)
    assert after == sorted(after)
    assert not any(start < s.due_at < end for start, end in holds for s in calendar.steps)
    if trial.grace_days and not trial.with_card:
        assert local_date(calendar.access_until, trial.zone) not in days


def check_freeze(trial, calendar):
    """Nobody is shut out early or unannounced; gentle messages go on working days."""
    if trial.with_card:
        return
    zone, until = zoneinfo.ZoneInfo(trial.zone), calendar.access_until
    after = [step for step in calendar.steps if step.kind in AFTER_KINDS]
    last_day = local_date(until, trial.zone)

    assert until >= calendar.ends_at == shift(trial.ends_at, trial.holds, trial.zone) >= trial.ends_at
    # A day on which the clock is put forward is an hour short of a day.
    assert until - trial.told_at >= 3 * DAY - dt.timedelta(hours=1)
    if trial.grace_days:
        assert last_day >= local_date(calendar.ends_at, trial.zone) + trial.grace_days * DAY
        assert last_day >= local_date(after[-1].due_at, trial.zone) + 3 * DAY
        assert until.astimezone(zone).time() == dt.time(23, 59, 59)
    for step in [*after, calendar.steps[-1]]:
        assert step.due_at.astimezone(zone).weekday() < 5
    assert calendar.steps[-1].kind == StepKind.FAREWELL
    assert calendar.steps[-1].due_at >= until
