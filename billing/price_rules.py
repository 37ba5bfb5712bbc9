"""From which renewal on another price holds, what has to be said before, and what to do about it now.

Pure functions of plain values. A rise holds from the first renewal of which they were told in time: inside
every window that the law sets, and at least thirty days before, which is our own rule for everybody. One
that was not told in time is not charged: the rise goes to the next renewal whose windows can be kept.
"""

import datetime as dt
import itertools
import zoneinfo
from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from accounts.law import EventKind, NoticeWindow, notice_windows, reminder_days
from accounts.law.windows import days_before
from billing.models import Plan, PlannedPrice
from billing.periods import add_months

#: The kinds of the mails about another price, and about one that does not come after all.
RISE: Final = "price_rise"
FALL: Final = "price_fall"
WITHDRAWN: Final = "price_rise_withdrawn"
#: Everybody is told of a rise at least so many days before it, whatever the law asks.
OWN_DAYS: Final = 30
#: The first mail leaves so many days before, so that two weeks without a worker lose nothing.
AHEAD_DAYS: Final = 46
#: The provider is told so long before the renewal, and not later than so long before.
TELL_PROVIDER: Final = dt.timedelta(days=7)
LAST_CALL: Final = dt.timedelta(hours=2)
#: A lower price is told so long before; no law asks for it.
FALL_AHEAD: Final = dt.timedelta(days=14)
NEWS: Final = dt.timedelta(days=3)
#: How long after the end of a window a mail that was just leaving is waited for.
PATIENCE: Final = dt.timedelta(minutes=10)
AGAIN: Final = dt.timedelta(hours=6)
HOUR: Final = dt.timedelta(hours=1)
#: How many renewals are looked at: five years of months.
LOOKED_AT: Final = 60

Reason = PlannedPrice.Reason


@dataclass(frozen=True)
class Reader:
    """Whose law and whose days count."""

    country: str
    kind: str
    zone: zoneinfo.ZoneInfo


class PriceMail(NamedTuple):
    """One mail about a price: which of them, when it may leave, and for which rules."""

    which: Literal["first", "again", "moved", "fall"]
    window_from: dt.datetime
    window_to: dt.datetime
    rule_ids: tuple[str, ...] = ()


# --- Renewals -----------------------------------------------------------------------------------


def renewals_ahead(start: dt.datetime | None, end: dt.datetime, interval: str) -> Iterator[dt.datetime]:
    """The renewals to come of a subscription whose period runs from `start` to `end`, `end` the first."""
    months = 12 if interval == Plan.Interval.YEAR else 1
    anchor = _anchor_day(start, end, months)
    for n in itertools.count():
        month = add_months(end.date().replace(day=1), n * months)
        yield dt.datetime.combine(_clamped(month, anchor), end.timetz())


def _anchor_day(start: dt.datetime | None, end: dt.datetime, months: int) -> int:
    """The day of the month that the provider counts from: 31 where 31 Jan to 28 Feb was paid."""
    if start is None:
        return end.day
    day = max(start.day, end.day)
    then = add_months(start.date().replace(day=1), months)
    fits = _clamped(start.date(), day) == start.date() and _clamped(then, day) == end.date()
    return day if fits else end.day


def _clamped(month: dt.date, day: int) -> dt.date:
    return month.replace(day=min(day, monthrange(month.year, month.month)[1]))


def place_of(
    takes_at: dt.datetime, start: dt.datetime | None, end: dt.datetime | None, interval: str
) -> Literal["past", "next", "later", "moved"]:
    """Where a renewal is, seen from the period that runs: over, the next one, a later one, or nowhere."""
    if start is not None and start >= takes_at:
        return "past"
    if end is None or end > takes_at:
        return "moved"
    if end == takes_at:
        return "next"
    ahead = itertools.takewhile(lambda moment: moment <= takes_at, renewals_ahead(start, end, interval))
    return "later" if takes_at in ahead else "moved"


# --- What has to be said ------------------------------------------------------------------------


def windows_of(takes_at: dt.datetime, reader: Reader) -> list[NoticeWindow]:
    """Every window in which a mail about a rise has to leave: our own, and those of the law."""
    law = notice_windows(EventKind.PRICE_RISE, reader.country, reader.kind, takes_at, reader.zone)
    return [NoticeWindow((), None, days_before(takes_at, OWN_DAYS, reader.zone)), *law]


def unsaid(windows: Iterable[NoticeWindow], sent: Iterable[dt.datetime]) -> list[NoticeWindow]:
    """The windows in which no mail has left."""
    moments = list(sent)
    return [window for window in windows if not any(_is_in(window, moment) for moment in moments)]


def can_be_told(
    takes_at: dt.datetime, reader: Reader, *, at: dt.datetime, sent: Iterable[dt.datetime] = ()
) -> bool:
    """Whether every window of this renewal has been kept already or can still be kept."""
    return all(window.window_to >= at for window in unsaid(windows_of(takes_at, reader), sent))


def _is_in(window: NoticeWindow, moment: dt.datetime) -> bool:
    return (window.window_from is None or window.window_from <= moment) and moment <= window.window_to


def first_renewal(
    renewals: Iterable[dt.datetime],
    reader: Reader,
    *,
    since: dt.datetime,
    at: dt.datetime,
    is_rise: bool,
    sent: Sequence[dt.datetime] = (),
    promised: Iterable[dt.datetime] = (),
) -> dt.datetime | None:
    """The first renewal from `since` on at which the new price may be charged.

    `sent` are the mails that said so already; `promised` the renewals that were announced at the old
    price, which holds for them.
    """
    kept = set(promised)
    for moment in itertools.islice(renewals, LOOKED_AT):
        if moment < since or moment - LAST_CALL <= at:
            continue
        if not is_rise or (moment not in kept and can_be_told(moment, reader, at=at, sent=sent)):
            return moment
    return None


def mails_for(
    takes_at: dt.datetime, reader: Reader, *, at: dt.datetime, is_rise: bool, was_told: bool = False
) -> list[PriceMail]:
    """The mails that are owed about a price from this renewal on.

    A first one, another inside the law's own days; where they had been told of another day (`was_told`)
    and it is too late for both, one that says that it moved.
    """
    if not is_rise:
        return [PriceMail("fall", max(at, takes_at - FALL_AHEAD), takes_at - LAST_CALL)]
    found: list[PriceMail] = []
    last = days_before(takes_at, OWN_DAYS, reader.zone)
    if last >= at:
        found.append(PriceMail("first", max(at, days_before(takes_at, AHEAD_DAYS, reader.zone)), last))
    for reminder in reminder_days(EventKind.PRICE_RISE, reader.country, reader.kind, takes_at, reader.zone):
        if reminder.rule_ids and reminder.window_to >= at:
            start = max(at, reminder.window_from)
            found.append(PriceMail("again", start, reminder.window_to, reminder.rule_ids))
    if not found and was_told:
        found.append(PriceMail("moved", at, min(at + NEWS, takes_at - LAST_CALL)))
    return found


# --- What to do now -----------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PriceFacts:
    """What decides about a planned price at this moment."""

    takes_at: dt.datetime
    is_rise: bool
    #: The provider has been told.
    is_set: bool
    place: Literal["past", "next", "later", "moved"]
    on_plan: Literal["old", "new", "other"]
    is_live: bool = True
    is_leaving: bool = False
    is_withdrawn: bool = False
    #: Why it must wait: "unpaid" or "held", or "".
    waits: str = ""
    #: The windows in which no mail has left.
    unsaid: Sequence[NoticeWindow] = ()


class PriceVerdict(NamedTuple):
    """`wait` until `at`, `tell` the provider, it is `done`, or `drop` it for a reason."""

    what: Literal["wait", "tell", "done", "drop"]
    reason: str = ""
    at: dt.datetime | None = None


def decide_price(facts: PriceFacts, *, at: dt.datetime) -> PriceVerdict:
    """What becomes of a planned price now. Asked again whenever it is due, and again under the lock."""
    if facts.place == "past" and facts.on_plan == "new":
        return PriceVerdict("done")
    if reason := _why_not(facts, at):
        return PriceVerdict("drop", reason)
    if facts.is_set:
        return PriceVerdict("wait", at=max(facts.takes_at, at) + HOUR)
    if facts.place == "later" or at < facts.takes_at - TELL_PROVIDER:
        return PriceVerdict("wait", at=looked_at(facts.takes_at, facts.unsaid, at=at))
    if facts.unsaid or facts.waits:
        return PriceVerdict("wait", at=min(at + AGAIN, facts.takes_at - LAST_CALL))
    return PriceVerdict("tell")


def looked_at(takes_at: dt.datetime, windows: Iterable[NoticeWindow], *, at: dt.datetime) -> dt.datetime:
    """When a planned price is looked at next: when a window has closed, and when the provider is told."""
    moments = [takes_at - TELL_PROVIDER, *(window.window_to + PATIENCE for window in windows)]
    return min((moment for moment in moments if moment > at), default=at + AGAIN)


def _why_not(facts: PriceFacts, at: dt.datetime) -> str:
    """Why it does not come to it, or ""."""
    is_late = at >= facts.takes_at - LAST_CALL and not facts.is_set
    reasons = (
        (facts.is_withdrawn, Reason.WITHDRAWN),
        (not facts.is_live, Reason.ENDED),
        (facts.is_leaving, Reason.LEAVING),
        (facts.on_plan == "other" or (facts.on_plan == "new" and not facts.is_set), Reason.PLAN),
        (facts.place == "moved", Reason.MOVED),
        (any(window.window_to + PATIENCE <= at for window in facts.unsaid), Reason.UNTOLD),
        (is_late and facts.waits == "unpaid", Reason.UNPAID),
        (is_late and facts.waits == "held", Reason.HELD),
        (is_late or facts.place == "past", Reason.LATE),
    )
    return str(next((reason for is_so, reason in reasons if is_so), ""))
