"""A trial without a card, lived through by the clock: every event and every mail, and nothing else.

`GRID=all` lives through every cell of the grid of the last part: zones, dates, outages, beats. Other lives
than the ignored one are lived everywhere in test_trial_lives.py.
"""

import datetime as dt
from itertools import product

import pytest

from accounts.access import decide_access
from accounts.events import By
from accounts.holds import end_hold, open_hold, place_hold
from accounts.models import Notice, Terms
from accounts.tests.worlds import make_terms, owner_of
from billing.models import Subscription
from billing.periods import add_local_days, local_date
from billing.tests import grid
from billing.tests.grid import ZONES
from billing.tests.trial_worlds import (
    DAY,
    MINUTE,
    MONDAY,
    diary,
    live_on,
    make_free_plan,
    make_trial,
    name_of,
)
from billing.trial_sweep import run_trials
from billing.trials import (
    ask_for_time,
    decline_request,
    extend_trial_yourself,
    grant_request,
)

pytestmark = pytest.mark.django_db

END = MONDAY + 14 * DAY
START = [
    (-14, "subscription.trialing"),
    (-14, "account.trialing"),
    (-14, "mail subscription_started"),
]
REMINDED = [(-10, "mail trial_ends remind_first"), (-6, "mail trial_ends remind_again")]
GRACE = [
    (0, "account.grace"),
    (0, "mail trial_over after_0"),
    (3, "mail trial_over after_3"),
    (8, "mail trial_over after_8"),
]
FROZEN = [(12, "account.frozen"), (12, "subscription.canceled")]
FAREWELL = [(14, "data.closing"), (14, "mail trial_farewell")]


def later(lines, days):
    return [(day + days, name) for day, name in lines]


def refreshed(trial):
    return Subscription.objects.select_related("account__terms").get(pk=trial.pk)


# --- Ignored ----------------------------------------------------------------------------------


def test_ignored_it_is_reminded_of_frozen_and_thanked_for():
    trial = make_trial()
    live_on(END + 40 * DAY)

    assert diary(trial.account, since=END) == START + REMINDED + GRACE + FROZEN + FAREWELL
    assert not Notice.objects.exclude(status="sent").exclude(kind="purge_soon").exists()


def test_without_grace_it_is_frozen_at_the_end_and_invited_back():
    make_terms(trial_grace_days=0)
    trial = make_trial()
    live_on(END + 40 * DAY)

    assert diary(trial.account, since=END) == [
        *START,
        *REMINDED,
        (0, "account.frozen"),
        (0, "subscription.canceled"),
        (0, "mail trial_over after_0"),
        (3, "mail trial_over after_3"),
        (8, "mail trial_over after_8"),
        (11, "data.closing"),
        (11, "mail trial_farewell"),
    ]


@pytest.mark.parametrize(("grace", "chased"), [(11, GRACE), (0, [])])
def test_where_the_terms_say_so_it_moves_to_the_free_plan_and_is_never_frozen(grace, chased):
    make_terms(trial_grace_days=grace, trial_end_plan=Terms.TrialEnd.FREE_PLAN)
    make_free_plan()
    trial = make_trial()
    live_on(END + 60 * DAY)
    day = 12 if grace else 0

    assert diary(trial.account, since=END) == [
        *START,
        *REMINDED,
        *chased,
        (day, "subscription.canceled"),
        (day, "subscription.active"),
        (day, "account.active"),
        (14 if grace else 0, "mail trial_farewell"),
    ]
    assert refreshed(trial).account.access_ends_at is None


# --- Extended ---------------------------------------------------------------------------------


def extend_yourself(trial, at):
    extension = extend_trial_yourself(trial.account, user=owner_of(trial.account), at=at)
    live_on(at, since=at)
    return extension


def test_extended_on_its_last_day_everything_happens_seven_days_later():
    trial = make_trial()
    live_on(END - DAY)
    extend_yourself(trial, END - DAY)
    live_on(END + 60 * DAY, since=END - DAY)

    assert diary(trial.account, since=END) == [
        *START,
        *REMINDED,
        (-1, "trial.extended"),
        (-1, "mail trial_extended"),
        (1, "mail trial_ends remind_again"),
        *later(GRACE + FROZEN + FAREWELL, 7),
    ]


@pytest.mark.parametrize(("day", "before"), [(5, GRACE[:3]), (13, GRACE + FROZEN)], ids=["grace", "frozen"])
def test_extended_late_it_counts_from_today_and_access_is_on(day, before):
    trial = make_trial()
    now = END + day * DAY
    live_on(now)
    extension = extend_yourself(trial, now)
    account = refreshed(trial).account
    live_on(now + 2 * DAY, since=now)
    again = [(day, "subscription.trialing")] if day == 13 else []

    assert extension.ends_after == now + 7 * DAY
    assert decide_access(state=account.state, access_ends_at=account.access_ends_at, at=now).is_open
    assert diary(account, since=END) == [
        *START,
        *REMINDED,
        *before,
        (day, "trial.extended"),
        *again,
        (day, "account.trialing"),
        (day, "mail trial_extended"),
        (day + 1, "mail trial_ends remind_again"),
    ]


# --- Held -------------------------------------------------------------------------------------


def hold(trial, since, until):
    place_hold(trial.account, reason="conversation", until=until, by=By("staff"), at=since)


def test_a_hold_before_the_end_moves_all_that_comes():
    trial = make_trial()
    live_on(END - 2 * DAY)
    hold(trial, END - 2 * DAY, END + 5 * DAY)
    live_on(END + 60 * DAY, since=END - 2 * DAY)

    assert refreshed(trial).trial_end == END + 7 * DAY
    assert diary(trial.account, since=END) == [
        *START,
        *REMINDED,
        (-2, "hold.placed"),
        (5, "mail trial_ends remind_again"),
        *later(GRACE + FROZEN + FAREWELL, 7),
    ]


def test_a_hold_in_grace_that_ends_early_gives_back_what_was_not_used():
    trial = make_trial()
    live_on(END + 4 * DAY)
    hold(trial, END + 4 * DAY, END + 18 * DAY)
    account = refreshed(trial).account
    held_until = account.access_ends_at
    end_hold(open_hold(account, at=END + 11 * DAY), reason="asked", by=By("staff"), at=END + 11 * DAY)
    live_on(END + 60 * DAY, since=END + 11 * DAY)

    assert local_date(held_until, "Europe/Madrid") == local_date(END, "Europe/Madrid") + 25 * DAY
    assert diary(account, since=END) == [
        *START,
        *REMINDED,
        *GRACE[:3],
        (4, "hold.placed"),
        (11, "hold.ended"),
        (15, "mail trial_over after_8"),
        (19, "account.frozen"),
        (19, "subscription.canceled"),
        (21, "data.closing"),
        (21, "mail trial_farewell"),
    ]


# --- Asking -----------------------------------------------------------------------------------


def asked(day=5):
    """A trial whose own days are used up, and a request on this day of the grace."""
    make_terms(trial_extensions_max=0)
    trial = make_trial()
    now = END + day * DAY
    live_on(now)
    request = ask_for_time(trial.account, user=owner_of(trial.account), text="To move our data.", at=now)
    return trial, request, now


def test_a_request_holds_the_clock_for_three_working_days_and_lapses_if_nobody_answers():
    trial, request, now = asked()
    live_on(END + 60 * DAY, since=now)

    # Asked on a Saturday: the end of the Wednesday after it, one second before the tenth day.
    assert local_date(request.answer_by, "Europe/Madrid") == dt.date(2026, 6, 24)
    assert diary(trial.account, since=END)[8:] == [
        (5, "hold.placed"),
        (5, "trial.more_time_asked"),
        (10, "trial.request_lapsed"),
        (14, "mail trial_over after_8"),
        (18, "account.frozen"),
        (18, "subscription.canceled"),
        (18, "data.closing"),
        (18, "mail trial_farewell"),
    ]


def test_granted_it_runs_from_the_day_of_the_answer():
    trial, request, now = asked()
    grant_request(request, 14, reason="waiting", by=By("staff"), at=now + 2 * DAY)
    live_on(now + 2 * DAY, since=now + 2 * DAY)

    assert refreshed(trial).trial_end == now + 16 * DAY
    assert diary(trial.account, since=END)[8:] == [
        (5, "hold.placed"),
        (5, "trial.more_time_asked"),
        (7, "trial.request_granted"),
        (7, "hold.ended"),
        (7, "trial.extended"),
        (7, "account.trialing"),
        (7, "mail trial_extended"),
    ]


def test_declined_the_clock_runs_on_with_the_days_that_it_stood_still():
    trial, request, now = asked()
    until = refreshed(trial).account.access_ends_at
    decline_request(request, answer="We would rather show you ourselves.", by=By("staff"), at=now + 2 * DAY)
    live_on(now + 2 * DAY, since=now + 2 * DAY)

    assert refreshed(trial).account.access_ends_at < until
    assert diary(trial.account, since=END)[8:] == [
        (5, "hold.placed"),
        (5, "trial.more_time_asked"),
        (7, "trial.request_declined"),
        (7, "hold.ended"),
        (7, "mail trial_declined"),
    ]


# --- Something else is chosen -----------------------------------------------------------------


@pytest.mark.parametrize("day", [5, 13])
def test_the_free_plan_ends_all_of_it(day):
    from billing.plan_choice import take_plan

    plan = make_free_plan()
    trial = make_trial()
    now = END + day * DAY
    live_on(now)
    take_plan(refreshed(trial).account, plan, by=By.customer(owner_of(trial.account)), at=now)
    before = diary(trial.account, since=END)
    live_on(END + 200 * DAY, since=now)

    assert before[-1] == (day, "account.active")
    assert diary(trial.account, since=END) == before


# --- Outages, beats, zones, dates -------------------------------------------------------------

#: Ends of trials: an ordinary day, a month's end, 29 February, clocks put forward and back (north, south).
ENDS = (
    dt.datetime(2026, 6, 17, 8, tzinfo=dt.UTC),
    dt.datetime(2027, 1, 31, 22, 30, tzinfo=dt.UTC),
    dt.datetime(2028, 2, 29, 1, 30, tzinfo=dt.UTC),
    dt.datetime(2026, 3, 29, 1, 0, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC),
    dt.datetime(2026, 4, 4, 14, 30, tzinfo=dt.UTC),
)
#: Beat is off from so many days after the end, for so long.
OUTAGES = ((0, 0), (-6.5, 1), (-0.5, 1), (-0.5, 3), (7.5, 3), (-7, 14), (-0.5, 14), (10, 14))
GRID = list(product(ZONES, ENDS, OUTAGES, (1, 2)))
#: One of each zone, end and outage, and both numbers of beats.
DIAGONAL = [(ZONES[n], ENDS[n % len(ENDS)], OUTAGES[n], 1 + n % 2) for n in range(len(ZONES))]

STATES = ["account.trialing", "account.grace", "account.frozen"]
MAILS = [
    "mail subscription_started",
    "mail trial_ends remind_first",
    "mail trial_ends remind_again",
    "mail trial_over after_0",
    "mail trial_over after_3",
    "mail trial_over after_8",
    "mail trial_farewell",
]


@pytest.mark.parametrize(("zone", "ends_at", "outage", "beats"), GRID if grid.SIZE == "all" else DIAGONAL)
def test_an_outage_changes_neither_the_end_nor_says_anything_twice(zone, ends_at, outage, beats):
    start, length = outage
    off = (ends_at + start * DAY, ends_at + (start + length) * DAY) if length else None
    began = add_local_days(ends_at, -14, zone)
    trial = make_trial(at=began, time_zone=zone)
    until = trial.account.access_ends_at
    live_on(ends_at + 40 * DAY, since=began, off=off, beats=beats)
    account = refreshed(trial).account
    events = [name for _, name in diary(account, since=ends_at, only="events")]
    mails = diary(account, since=ends_at, only="mails")
    names = [name for _, name in mails if name.startswith("mail trial") or "started" in name]

    # The same states and the same end, to the second; the date shut the door, not the sweep.
    assert [name for name in events if name in STATES] == STATES
    others = ["subscription.trialing", "subscription.canceled", "data.closing"]
    assert sorted(events) == sorted([*STATES, *others])
    assert account.access_ends_at == until
    # What was said is in order, once, never two on a day; without an outage all of it.
    assert names == [name for name in MAILS if name in names]
    assert len({day for day, _ in mails}) == len(mails)
    assert names[0] == MAILS[0]
    assert names[-1] == MAILS[-1]
    assert off or names == MAILS
    if off:
        assert not [n for n in Notice.objects.filter(status="sent") if off[0] <= n.sent_at < off[1]]


def test_whoever_was_told_nothing_is_not_frozen_before_they_have_known_for_three_days():
    trial = make_trial()
    back = END + 20 * DAY  # a Sunday: they are told on Monday
    run_trials(at=back)
    account = refreshed(trial).account
    live_on(back + 30 * DAY, since=back + MINUTE)

    assert account.state == "grace"
    assert account.access_ends_at - back >= 3 * DAY
    mails = diary(account, since=back, only="mails")
    assert mails[0] == (1, "mail trial_over after_8")
    states = [line for line in diary(account, since=back, only="events") if line[1] in STATES]
    assert states[1:] == [(0, "account.grace"), (5, "account.frozen")]


def test_a_missed_legal_reminder_is_seen_by_staff_and_not_skipped_in_silence():
    start = MONDAY + 182 * DAY  # a winter Monday, when Quebec's rule is in force
    make_trial(at=start)
    live_on(start + 13 * DAY, since=start, off=(start + MINUTE, start + 12.5 * DAY))

    failed = Notice.objects.filter(status="failed", reason="window_closed")
    assert [name_of(notice) for notice in failed] == ["mail trial_ends remind_first"]
    assert failed[0].rule_ids
