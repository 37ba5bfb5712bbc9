"""One voice: what leaves now, what later, what not at all. Pure functions of plain values.

The order of the questions is the order of what matters: is it still so, and may it leave at all; is its
window open; has a newer word on the same subject been said; and, for reminders and news only, is this
a good moment: the clock is not held, nothing else was said today, it is day, and it is a working day.

What the law demands is asked the first two only. `accounts.sending` asks the questions of a
whole batch in a few queries and carries the verdicts out.
"""

import datetime as dt
import zoneinfo
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Category(TextChoices):
    """How a kind of mail is treated when several want to leave, and when it may."""

    #: A law demands it: it leaves inside its window, at any hour, and is never dropped for another.
    LEGAL = "legal", _("required by law")
    #: What someone just did, or what just happened to their money or data: it leaves at once.
    TRANSACTIONAL = "transactional", _("about something that happened")
    #: At most one a day, on working days, outside quiet hours.
    REMINDER = "reminder", _("reminder")
    #: As a reminder, and only with the reader's consent.
    COMMERCIAL = "commercial", _("news")

    @property
    def is_gentle(self) -> bool:
        """Whether it waits for a good moment: quiet hours, working days, one a day."""
        return self in (Category.REMINDER, Category.COMMERCIAL)


class Hours(NamedTuple):
    """When reminders and news may arrive, in the account's own time: `MAIL_HOURS` of the settings."""

    opens: dt.time
    closes: dt.time
    #: Monday is 0.
    workdays: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A notice as the arbiter sees it."""

    category: Category
    window_from: dt.datetime
    window_to: dt.datetime
    #: It leaves although a hold stops the clock: it is about a right of the reader, not a demand.
    despite_hold: bool = False


class Newer(NamedTuple):
    """A newer word on the same subject to the same reader: said, or due and to be tried again then."""

    is_sent: bool
    next_attempt_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What else is so when a letter wants to leave."""

    zone: zoneinfo.ZoneInfo
    hours: Hours
    #: Why it is not needed, or cannot be sent ("erased", "left", "no_longer_true", "suppressed"); "" else.
    fact: str = ""
    newer: Newer | None = None
    #: Local days on which this reader gets another reminder already.
    taken: Collection[dt.date] = ()
    held_until: dt.datetime | None = None


class Verdict(NamedTuple):
    """`send` now; `later` at a moment; `drop` what is not needed; `miss` what was needed and cannot leave."""

    what: Literal["send", "later", "drop", "miss"]
    reason: str = ""
    at: dt.datetime | None = None


SEND: Final = Verdict("send")
#: How soon an older word asks again whether the newer one has left.
PATIENCE: Final = dt.timedelta(minutes=1)


def decide(letter: Letter, now: Circumstances, *, at: dt.datetime) -> Verdict:
    """What becomes of a letter that is due, at this moment."""
    is_legal = letter.category == Category.LEGAL
    if now.fact:
        return Verdict("miss" if is_legal and now.fact == "suppressed" else "drop", now.fact)
    if now.held_until is not None and _waits(letter, now.held_until, at):
        return _while_held(letter, now.held_until, at)
    if letter.window_to < at:
        return Verdict("miss", "window_closed")
    if at < letter.window_from:
        return Verdict("later", "too_early", letter.window_from)
    if is_legal:
        return SEND
    if now.newer is not None:
        return _make_way(letter, now.newer, at)
    return _at_a_good_moment(letter, now, at) if letter.category.is_gentle else SEND


def _make_way(letter: Letter, newer: Newer, at: dt.datetime) -> Verdict:
    """The newest word counts; while it is still on its way the older one waits for what becomes of it."""
    again = max(newer.next_attempt_at, at + PATIENCE)
    if newer.is_sent or again > letter.window_to:
        return Verdict("drop", "superseded")
    return Verdict("later", "newer_first", again)


def _waits(letter: Letter, held_until: dt.datetime, at: dt.datetime) -> bool:
    return letter.category.is_gentle and not letter.despite_hold and held_until > at


def _while_held(letter: Letter, held_until: dt.datetime, at: dt.datetime) -> Verdict:
    """A hold may end early, so that nothing is dropped before its window closes."""
    if letter.window_to <= at:
        return Verdict("drop", "held")
    return Verdict("later", "held", min(held_until, letter.window_to))


def _at_a_good_moment(letter: Letter, now: Circumstances, at: dt.datetime) -> Verdict:
    moment = good_moment(at, letter.window_to, now)
    if moment is None:
        return Verdict("miss", "no_good_moment")
    return SEND if moment == at else Verdict("later", "better_moment", moment)


def good_moment(start: dt.datetime, end: dt.datetime, now: Circumstances) -> dt.datetime | None:
    """The first good moment from `start` to `end`, or None.

    A working day is best; where the window holds none, another day must do. Quiet hours and one
    reminder a day are never given up.
    """
    for days in (now.hours.workdays, range(7)):
        moment = _first_moment(start, end, now, days)
        if moment is not None:
            return moment
    return None


def _first_moment(
    start: dt.datetime, end: dt.datetime, now: Circumstances, days: Collection[int]
) -> dt.datetime | None:
    day = start.astimezone(now.zone).date()
    last = end.astimezone(now.zone).date()
    while day <= last:
        moment = max(start, _opening(day, now))
        if moment > end:
            return None
        local = moment.astimezone(now.zone)
        if (
            local.date() == day
            and day.weekday() in days
            and day not in now.taken
            and is_open(local, now.hours)
        ):
            return moment
        day += dt.timedelta(days=1)
    return None


def _opening(day: dt.date, now: Circumstances) -> dt.datetime:
    return dt.datetime.combine(day, now.hours.opens, now.zone).astimezone(dt.UTC)


def is_open(local: dt.datetime, hours: Hours) -> bool:
    """Whether this local time is outside quiet hours."""
    return hours.opens <= local.time() < hours.closes


class Planned(NamedTuple):
    """A letter that is owed, with when it may leave at the earliest, and to whom (the days are theirs)."""

    key: int
    reader: str
    letter: Letter
    due_at: dt.datetime


def foresee(
    letters: Iterable[Planned],
    now: Circumstances,
    *,
    at: dt.datetime,
    taken: Iterable[tuple[str, dt.date]] = (),
) -> dict[int, dt.datetime]:
    """When each will probably leave if nothing changes: for the calendar. What cannot leave is left out."""
    days: dict[str, set[dt.date]] = {}
    for reader, day in taken:
        days.setdefault(reader, set()).add(day)
    found: dict[int, dt.datetime] = {}
    for key, reader, letter, due_at in sorted(letters, key=lambda one: (one.due_at, one.key)):
        start = max(letter.window_from, due_at, at)
        used = days.setdefault(reader, set())
        moment = _expected(letter, start, now, used)
        if moment is None:
            continue
        found[key] = moment
        if letter.category.is_gentle:
            used.add(moment.astimezone(now.zone).date())
    return found


def _expected(
    letter: Letter, start: dt.datetime, now: Circumstances, used: Collection[dt.date]
) -> dt.datetime | None:
    if not letter.category.is_gentle:
        return start
    if now.held_until is not None and not letter.despite_hold:
        start = max(start, now.held_until)
    here = Circumstances(zone=now.zone, hours=now.hours, taken=used)
    return good_moment(start, letter.window_to, here)
