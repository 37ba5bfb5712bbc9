"""The days of a trial: every message, the end, the freeze, the thank-you. Pure functions of plain values.

Dates are the account's own local days at the time of day at which the trial ends; what ends access ends
with a day (23:59:59), in the customer's favour. Holds move what comes after their start.
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from accounts.holds import Stretch, shift
from accounts.law import EventKind, NoticeWindow, notice_windows
from accounts.law.windows import days_before
from billing.periods import add_local_days, end_of_date, local_date

#: The last days of a trial, in which every page counts them down.
COUNTDOWN_DAYS: Final = 3
#: Days before the end on which it is told: they keep every window of the law, with days to spare.
BEFORE: Final = (10, 6)
#: Days after the end on which it is told again, each moved to the next working day.
AFTER: Final = (0, 3, 8)
#: Nobody is shut out without a message that is this old (T2).
TOLD_DAYS: Final = 3
#: Hours of the day, there, at which one writes to people.
WRITTEN_FROM: Final = dt.time(9)
WRITTEN_TO: Final = dt.time(18)
#: How long a message that nothing supersedes stays worth sending.
FRESH: Final = dt.timedelta(days=3)
LONG_FRESH: Final = dt.timedelta(days=14)


class StepKind(StrEnum):
    """What can happen on a day of a trial, in the order in which it does."""

    REMIND_FIRST = "remind_first"
    REMIND_AGAIN = "remind_again"
    END = "end"
    AFTER_0 = "after_0"
    AFTER_3 = "after_3"
    AFTER_8 = "after_8"
    FREEZE = "freeze"
    FAREWELL = "farewell"


#: The steps that are messages; the others change the state of the account.
MESSAGES: Final = frozenset(StepKind) - {StepKind.END, StepKind.FREEZE}
AFTER_KINDS: Final = (StepKind.AFTER_0, StepKind.AFTER_3, StepKind.AFTER_8)


@dataclass(frozen=True)
class Step:
    """One step: not before `due_at`; a message not after `window_to`, for these rules of law."""

    kind: StepKind
    due_at: dt.datetime
    window_to: dt.datetime
    rule_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What the calendar is made from.

    `told_at` is when they were last told the end: at the start, or with the extension. `ends_at` is the
    end as it was granted, before holds move it. `length_days` is how long the whole trial is.
    """

    told_at: dt.datetime
    ends_at: dt.datetime
    zone: str
    length_days: int
    grace_days: int
    ends_on_free_plan: bool = False
    with_card: bool = False
    country: str = ""
    customer_kind: str = "business"
    holds: Sequence[Stretch] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True)
class TrialCalendar:
    """Every dated step, earliest first; `told` is the mail of the start (or of the extension) itself.

    `access_until` is the last moment of full access that the trial gives; with a card it converts and
    there is none.
    """

    ends_at: dt.datetime
    access_until: dt.datetime | None
    told: Step
    steps: tuple[Step, ...]


def trial_calendar(trial: Trial) -> TrialCalendar:
    """The whole calendar of a trial. The same values give the same calendar for ever.

    With a card it converts by itself: only what the law wants said before. Without one: days 0, 3 and
    8 after the end, then off, or down to the free plan.
    """
    ends_at = trial.ends_at if trial.with_card else shift(trial.ends_at, trial.holds, trial.zone)
    told, reminders = _before(trial, ends_at)
    if trial.with_card:
        return TrialCalendar(ends_at=ends_at, access_until=None, told=told, steps=tuple(reminders))
    after = [] if trial.ends_on_free_plan and not trial.grace_days else _after(trial, ends_at)
    access_until = _access_until(trial, ends_at, after)
    farewell = _farewell(trial, ends_at, access_until, after)
    marks = [*after, access_until] if access_until > ends_at else after
    pairs = zip(AFTER_KINDS, after, strict=False)
    messages = [Step(kind, due, _until_next(due, [*marks, farewell], trial)) for kind, due in pairs]
    end = [Step(StepKind.END, ends_at, access_until)] if access_until > ends_at else []
    steps = (
        *reminders,
        *end,
        *messages,
        Step(StepKind.FREEZE, access_until, farewell),
        Step(StepKind.FAREWELL, farewell, farewell + LONG_FRESH),
    )
    order = list(StepKind)
    return TrialCalendar(
        ends_at=ends_at,
        access_until=access_until,
        told=told,
        steps=tuple(sorted(steps, key=lambda step: (step.due_at, order.index(step.kind)))),
    )


def days_left(ends_at: dt.datetime, zone: str, *, at: dt.datetime) -> int | None:
    """Local days until the end in the last three of them (0: today), else None."""
    if ends_at <= at:
        return None
    left = (local_date(ends_at, zone) - local_date(at, zone)).days
    return left if left <= COUNTDOWN_DAYS else None


def next_working_moment(at: dt.datetime, zone: str) -> dt.datetime:
    """This moment, or the first at which one writes to people after it."""
    day = local_date(at, zone)
    if _working(day) == day and at <= _by_day(day, at, zone):
        return _by_day(day, at, zone)
    day = _working(day + dt.timedelta(days=1))
    return end_of_date(day - dt.timedelta(days=1), zone) + dt.timedelta(hours=9, seconds=1)


def working_days_after(moment: dt.datetime, days: int, zone: str) -> dt.datetime:
    """The end of the `days`-th working day (Monday to Friday) after this one."""
    day = local_date(moment, zone)
    for _ in range(days):
        day = _working(day + dt.timedelta(days=1))
    return end_of_date(day, zone)


# --- Before the end ---------------------------------------------------------------------------


def _before(trial: Trial, ends_at: dt.datetime) -> tuple[Step, list[Step]]:
    """The mail of the start, and the reminders that it does not make needless.

    Ten and six days before; a trial too short for that is told of at the start and a day later.
    """
    zone = zoneinfo.ZoneInfo(trial.zone)
    holds = () if trial.with_card else trial.holds  # a charge is announced, whatever we talk about
    first, again = (_free(days_before(ends_at, days, zone), holds) for days in BEFORE)
    told_on, last_on = local_date(trial.told_at, trial.zone), local_date(ends_at, trial.zone)
    if local_date(again, trial.zone) <= told_on:
        again = _free(add_local_days(trial.told_at, 1, trial.zone), holds)
    wanted = [(StepKind.REMIND_FIRST, first), (StepKind.REMIND_AGAIN, again)]
    planned: list[tuple[StepKind, dt.datetime]] = []
    seen = {told_on}
    for kind, due in wanted:
        day = local_date(due, trial.zone)
        if told_on < day < last_on and day not in seen:
            planned.append((kind, due))
            seen.add(day)
    return _with_rules(trial, ends_at, planned)


def _with_rules(
    trial: Trial, ends_at: dt.datetime, planned: list[tuple[StepKind, dt.datetime]]
) -> tuple[Step, list[Step]]:
    """Each window of the law is kept by the first mail that falls into it, and ends that mail's window."""
    open_ = windows_of(trial, ends_at)
    moments = [trial.told_at, *(due for _, due in planned)]
    kept: list[list[NoticeWindow]] = []
    for moment in moments:
        mine = [w for w in open_ if (w.window_from or moment) <= moment <= w.window_to]
        open_ = [w for w in open_ if w not in mine]
        kept.append(mine)
    made = []
    for (kind, due), mine in zip([(StepKind.REMIND_FIRST, trial.told_at), *planned], kept, strict=True):
        ids = tuple(dict.fromkeys(rule for window in mine for rule in window.rule_ids))
        end = min([due + FRESH, ends_at] if not mine else [w.window_to for w in mine])
        made.append(Step(kind, due, max(due, end), ids))
    return made[0], made[1:]


def windows_of(trial: Trial, ends_at: dt.datetime) -> list[NoticeWindow]:
    """The windows in which the law wants a mail about this end; strict, whoever the customer is."""
    kind = EventKind.TRIAL_END_WITH_CARD if trial.with_card else EventKind.FREE_PERIOD_END
    return notice_windows(
        kind,
        trial.country,
        trial.customer_kind,
        ends_at,
        zoneinfo.ZoneInfo(trial.zone),
        length_days=trial.length_days,
    )


# --- After the end ----------------------------------------------------------------------------


def _after(trial: Trial, ends_at: dt.datetime) -> list[dt.datetime]:
    """Days 0, 3 and 8, each on its next working day, never two on one, none while the clock stands still."""
    found: list[dt.datetime] = []
    for days in AFTER:
        due = _held(add_local_days(ends_at, days, trial.zone), ends_at, trial)
        if found:
            due = max(due, add_local_days(found[-1], 1, trial.zone))
        found.append(_good_day(due, ends_at, trial))
    return found


def _access_until(trial: Trial, ends_at: dt.datetime, after: list[dt.datetime]) -> dt.datetime:
    """Without days of grace the end itself, else the end of a day: when they are over, and three days
    after the last reminder. Never before the first message is three days old."""
    told = _end_of_day(trial.told_at, TOLD_DAYS, trial)
    if not trial.grace_days:
        too_soon = ends_at < add_local_days(trial.told_at, TOLD_DAYS, trial.zone)
        return _free(told, trial.holds) if too_soon else ends_at
    over = _held(_end_of_day(ends_at, trial.grace_days, trial), ends_at, trial)
    last = _held(_end_of_day(after[-1], TOLD_DAYS, trial), after[-1], trial)
    return _free_end_of_day(max(over, last, told), trial)


def _farewell(
    trial: Trial, ends_at: dt.datetime, access_until: dt.datetime, after: list[dt.datetime]
) -> dt.datetime:
    """The thank-you: on the working day after the freeze, or three days after the last invitation."""
    if after and access_until < after[-1]:
        due = _held(add_local_days(after[-1], TOLD_DAYS, trial.zone), after[-1], trial)
        return _good_day(due, ends_at, trial)
    return _good_day(access_until, ends_at, trial)


# --- Days -------------------------------------------------------------------------------------


def _until_next(due: dt.datetime, others: Iterable[dt.datetime], trial: Trial) -> dt.datetime:
    """A message is worth sending until the day of the next step begins: late, it never shares a day."""
    following = min((other for other in others if other > due), default=due + FRESH)
    return max(due, _end_of_day(following, -1, trial))


def _held(moment: dt.datetime, since: dt.datetime, trial: Trial) -> dt.datetime:
    """This moment after the holds that began `since` then."""
    return shift(moment, [hold for hold in trial.holds if hold[0] >= since], trial.zone)


def _good_day(earliest: dt.datetime, ends_at: dt.datetime, trial: Trial) -> dt.datetime:
    """The first moment from then on, on a working day and by day, at which the clock runs.

    It is the time of day at which the trial ends; before nine it is nine, after six in the evening it is six.
    """
    day = local_date(earliest, trial.zone)
    while True:
        due = _by_day(day, ends_at, trial.zone)
        if due >= earliest and _working(day) == day and _free(due, trial.holds) == due:
            return due
        day += dt.timedelta(days=1)


def _by_day(day: dt.date, ends_at: dt.datetime, zone: str) -> dt.datetime:
    """This day at the time at which the trial ends, or at the nearest hour at which one writes to people."""
    time = ends_at.astimezone(zoneinfo.ZoneInfo(zone)).time()
    time = min(max(time, WRITTEN_FROM), WRITTEN_TO)
    moments = [dt.datetime.combine(day, time.replace(fold=fold), zoneinfo.ZoneInfo(zone)) for fold in (0, 1)]
    return max(moment.astimezone(dt.UTC) for moment in moments)


def _working(day: dt.date) -> dt.date:
    """This day, or the Monday after it."""
    return day + dt.timedelta(days=max(0, 7 - day.weekday())) if day.weekday() >= 5 else day


def _free(moment: dt.datetime, holds: Sequence[Stretch]) -> dt.datetime:
    """The moment itself, or the end of the hold that it lies in."""
    for start, end in sorted(holds):
        if start < moment < end:
            moment = end
    return moment


def _end_of_day(moment: dt.datetime, days: int, trial: Trial) -> dt.datetime:
    return end_of_date(local_date(moment, trial.zone) + dt.timedelta(days=days), trial.zone)


def _free_end_of_day(moment: dt.datetime, trial: Trial) -> dt.datetime:
    """The end of this day, or of the day on which a hold ends that it lies in."""
    end = _end_of_day(moment, 0, trial)
    while (free := _free(end, trial.holds)) != end:
        end = _end_of_day(free, 0, trial)
    return end
