"""After a failed payment: when it is tried again, when access ends for it, and what comes last. Pure.

The days follow from the terms and from the day of the first failure alone. Nothing that a bank says,
no retry and no attempt of the customer's own moves them; a chosen day or a hold moves them later. So
the day on which access ends is known, and told, from the first mail on.

A plan is a row of steps on days of the account's own calendar, at most one a day. Attempts are made in
the morning; what is harsher comes at the end of its day, in the customer's favour.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from accounts.holds import Stretch
from billing import periods

ATTEMPT, BLOCK, END = "attempt", "block", "end"
#: How the key of another try before something harsh begins, where the one of the terms was made already.
AGAIN = "again-"
#: The local hour of an attempt: after a salary has been booked, and before people are asked about it.
MORNING = 9
DAY = dt.timedelta(days=1)
#: A day that is told is at least that many days away (T2: a notice is three days old by then).
LEAST_NOTICE_DAYS = 4
#: Visa: a card is tried again at most so often in so many days. (Mastercard allows more.)
NETWORK_ATTEMPTS, NETWORK_DAYS = 20, 30


@dataclass(frozen=True)
class DunningRules:
    """The rules of one version of the terms, in days after the first failure."""

    attempt_days: tuple[int, ...]
    block_day: int
    end_day: int
    choose_days: int


@dataclass(frozen=True)
class Choice:
    """The customer's own day for an attempt, and when they chose it."""

    made_at: dt.datetime
    day: dt.date


@dataclass(frozen=True)
class Step:
    """One step on one local day. `key` is unique in its plan; an attempt's is any but the two others."""

    key: str
    day: dt.date

    @property
    def kind(self) -> str:
        """What is done: attempt, block or end."""
        return self.key if self.key in (BLOCK, END) else ATTEMPT

    @property
    def is_harsh(self) -> bool:
        """Whether it takes something away."""
        return self.key in (BLOCK, END)

    def at(self, zone: str) -> dt.datetime:
        """The moment from which it is due."""
        return moment_of(self.day, self.is_harsh, zone)


@lru_cache(maxsize=4096)
def moment_of(day: dt.date, is_harsh: bool, zone: str) -> dt.datetime:
    """What is harsh comes with the last second of its day, an attempt in its morning."""
    if is_harsh:
        return periods.end_of_date(day, zone)
    morning = dt.datetime.combine(day, dt.time(MORNING), ZoneInfo(zone))
    return morning.astimezone(dt.UTC)


def plan_steps(
    rules: DunningRules,
    first_failed_at: dt.datetime,
    zone: str,
    *,
    told_at: dt.datetime | None = None,
    choice: Choice | None = None,
    holds: Iterable[Stretch] = (),
) -> tuple[Step, ...]:
    """Every step after a first failure, in order: as the terms say, then moved by what happened since.

    `told_at` is when the first mail was written, where that was not on the day of the failure itself:
    an outage of ours gives nobody free days, but what is harsh still comes days after that mail.
    """
    first = periods.local_date(first_failed_at, zone)
    steps = _in_order([Step(key, first + n * DAY) for key, n in _nominal(rules)])
    told = periods.local_date(told_at or first_failed_at, zone)
    steps = [s for s in not_before(steps, told + LEAST_NOTICE_DAYS * DAY) if s.is_harsh or s.day > told]
    moved: list[tuple[dt.datetime, Choice | Stretch]] = [(hold[0], hold) for hold in holds]
    if choice is not None:
        moved.append((choice.made_at, choice))
    for _when, cause in sorted(moved, key=lambda pair: pair[0]):
        steps = _moved_by(steps, cause, zone)
    return tuple(steps)


def _nominal(rules: DunningRules) -> list[tuple[str, int]]:
    """Steps and their days. Where access ends on the very last day, that is one step, the last."""
    found = [(f"a{n}", n) for n in rules.attempt_days]
    if rules.block_day < rules.end_day:
        found.append((BLOCK, rules.block_day))
    return sorted([*found, (END, rules.end_day)], key=lambda pair: (pair[1], pair[0] not in (BLOCK, END)))


def _in_order(steps: Sequence[Step]) -> list[Step]:
    """At most one step a day: one that would share a day comes on the next."""
    found: list[Step] = []
    for step in steps:
        earliest = found[-1].day + DAY if found else step.day
        found.append(Step(step.key, max(step.day, earliest)))
    return found


def _moved_by(steps: list[Step], cause: "Choice | Stretch", zone: str) -> list[Step]:
    if isinstance(cause, Choice):
        return _with_choice(steps, cause, zone)
    start, end = cause
    days = -(-(end - start) // DAY)  # rounded up to whole days, in the customer's favour
    past = [s for s in steps if s.at(zone) <= start]
    return [*past, *_tried_before([Step(s.key, s.day + days * DAY) for s in steps[len(past) :]], end, zone)]


def _tried_before(left: list[Step], free_from: dt.datetime, zone: str) -> list[Step]:
    """Where the try before something harsh was made already, another one comes the day before it.

    Not while the clock stands still: then what is harsh waits for it.
    """
    if not left or not left[0].is_harsh:
        return left
    wait = dt.timedelta()
    while moment_of(left[0].day + wait - DAY, is_harsh=False, zone=zone) < free_from:
        wait += DAY
    moved = [Step(s.key, s.day + wait) for s in left]
    return [Step(f"{AGAIN}{moved[0].key}", moved[0].day - DAY), *moved]


def _with_choice(steps: list[Step], choice: Choice, zone: str) -> list[Step]:
    """The chosen day takes the place of the attempts before it; what is harsh waits until the day after."""
    past = [s for s in steps if s.at(zone) <= choice.made_at]
    rest = [s for s in steps if s.at(zone) > choice.made_at]
    harsh = next((s for s in rest if s.is_harsh), None)
    if harsh is None:
        return steps
    wait = max(choice.day + DAY - harsh.day, dt.timedelta())
    kept: list[Step] = []
    is_after = False
    for step in rest:
        is_after = is_after or step is harsh
        if is_after:
            kept.append(Step(step.key, step.day + wait))
        elif step.day > choice.day:
            kept.append(step)
    return [*past, *sorted([*kept, Step("chosen", choice.day)], key=lambda step: step.day)]


def dunning_day(moment: dt.datetime, zone: str) -> dt.date:
    """The day that a step taken now belongs to: it begins in the morning, as the attempts do.

    What ends with the last second of a day is carried out in the night after it. It is the clock on the
    wall that counts: on a day on which it is put forward, nine is only eight hours after midnight.
    """
    wall = moment.astimezone(ZoneInfo(zone))
    return wall.date() if wall.hour >= MORNING else wall.date() - DAY


def day_of(steps: Iterable[Step], key: str) -> dt.date | None:
    """The day of one step, or None where it is not in the plan."""
    return next((step.day for step in steps if step.key == key), None)


def access_ends(steps: Iterable[Step], zone: str) -> dt.datetime:
    """The last moment of access for an unpaid invoice: with the first step that is harsh."""
    return next(step for step in steps if step.is_harsh).at(zone)


def choosable_days(
    rules: DunningRules, first_failed_at: dt.datetime, zone: str, *, at: dt.datetime
) -> list[dt.date]:
    """The days that a customer may choose: from tomorrow to the last that the terms allow."""
    last = periods.local_date(first_failed_at, zone) + rules.choose_days * DAY
    first = periods.local_date(at, zone) + DAY
    return [first + n * DAY for n in range((last - first).days + 1)]


# --- Paid late -----------------------------------------------------------------------------------


def days_given_back(
    closed: Iterable[Stretch],
    paid: Iterable[Stretch],
    *,
    at: dt.datetime,
    renews_at: dt.datetime,
    zone: str,
) -> int:
    """By how many days the next charge moves for whoever has just paid: those that were paid without access.

    `closed` are the stretches in which access was off, `paid` the periods that are paid. Counted once however
    many invoices there were, on the wall clock of the account, rounded up to whole days; less than a day is
    none. Time until the renewal that no paid invoice is for is free already, and is taken off.
    """
    paid_there = _united(paid, zone)
    lost = _shared(_united(closed, zone), paid_there)
    if lost < DAY:
        return 0
    ahead = _united([(at, renews_at)], zone)
    free = sum((end - start for start, end in ahead), dt.timedelta()) - _shared(ahead, paid_there)
    return max(0, -(-(lost - free) // DAY))


def _united(stretches: Iterable[Stretch], zone: str) -> list[Stretch]:
    """The same stretches on the wall clock there, in order, none of them overlapping another."""
    place = ZoneInfo(zone)
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if start >= end:
            continue
        begins, ends = (moment.astimezone(place).replace(tzinfo=None) for moment in (start, end))
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def _shared(some: Iterable[Stretch], others: Sequence[Stretch]) -> dt.timedelta:
    """How long both run: of the stretches of one row none overlaps another."""
    both = (min(a[1], b[1]) - max(a[0], b[0]) for a in some for b in others)
    return sum((length for length in both if length > dt.timedelta()), dt.timedelta())


# --- Carrying out, on time or late ---------------------------------------------------------------


def after_step(left: Sequence[Step], *, today: dt.date) -> tuple[Step, ...]:
    """What is left once the first of `left` was done today; `left` is in order.

    Whoever comes late makes one attempt for all that were missed, and goes on tomorrow at the
    earliest: two steps never fall on one day, and nothing bursts.
    """
    done, rest = left[0], list(left[1:])
    if done.kind == ATTEMPT:
        while rest and rest[0].kind == ATTEMPT and rest[0].day <= today:
            rest.pop(0)
    if rest and rest[0].day <= today:
        rest[0] = Step(rest[0].key, today + DAY)
    return tuple(rest)


def not_before(left: Sequence[Step], day: dt.date) -> tuple[Step, ...]:
    """The same steps, none that is harsh before `day`, with an attempt the day before what moved.

    For dates that come nearer again because a hold ended early: what is told is told in time.
    """
    harsh = next((step for step in left if step.is_harsh), None)
    if harsh is None or harsh.day >= day:
        return tuple(left)
    wait = day - harsh.day
    before = [s for s in left if s.day < harsh.day]
    moved = [Step(s.key, s.day + wait) for s in left if s.day >= harsh.day]
    if before:
        before[-1] = Step(before[-1].key, day - DAY)
    else:
        before = [Step(f"{AGAIN}{harsh.key}", day - DAY)]
    return (*before, *moved)
