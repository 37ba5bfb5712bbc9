"""From a date to the windows in which the law wants a mail, and the reminders that keep them all.

Functions of plain values. Days are the account's local days, counted back from the event at the same
time of day. Strict means every rule, whoever the customer; unless told, as the operator set it
(`LAW_STRICT`, which is on for an operator who configures nothing).
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterable
from typing import Final, NamedTuple

from django.conf import settings

from accounts.law.notice_rules import EVERYWHERE, NOTICE_RULES, EventKind, NoticeRule, Protects


class NoticeWindow(NamedTuple):
    """A mail must leave from `window_from` (None: any time before) to `window_to` for these rules."""

    rule_ids: tuple[str, ...]
    window_from: dt.datetime | None
    window_to: dt.datetime


class Reminder(NamedTuple):
    """A mail `days` before the event that keeps `rule_ids` if it leaves inside its window."""

    days: int
    rule_ids: tuple[str, ...]
    window_from: dt.datetime
    window_to: dt.datetime


#: Days before each kind of event that keep every window above, with days to spare for a late run.
REMINDER_DAYS: Final[dict[EventKind, tuple[int, ...]]] = {
    EventKind.TRIAL_END_WITH_CARD: (10, 6),
    EventKind.FREE_PERIOD_END: (10, 6),
    EventKind.ANNUAL_RENEWAL: (45, 25),
    EventKind.PRICE_RISE: (26,),
}
#: How long a reminder that no rule asks for stays worth sending.
COURTESY: Final = dt.timedelta(days=3)


def rules_for(
    event_kind: str,
    country: str,
    customer_kind: str,
    event_on: dt.date,
    *,
    strict: bool | None = None,
    length_days: int | None = None,
) -> list[NoticeRule]:
    """The rules about such an event of this day; strict: of every country and for every customer.

    `length_days` is how long the trial or period is; None: as long as any rule needs.
    """
    is_strict = settings.LAW_STRICT if strict is None else strict
    return [
        rule
        for rule in NOTICE_RULES
        if rule.event == event_kind
        and rule.is_in_force(event_on)
        and (length_days is None or length_days > rule.longer_than_days)
        and (is_strict or _concerns(rule, country.upper(), customer_kind))
    ]


def _concerns(rule: NoticeRule, country: str, customer_kind: str) -> bool:
    return rule.country in (EVERYWHERE, country) and rule.applies_to in (Protects.BOTH, customer_kind)


def notice_windows(
    event_kind: str,
    country: str,
    customer_kind: str,
    event_at: dt.datetime,
    zone: zoneinfo.ZoneInfo,
    *,
    strict: bool | None = None,
    length_days: int | None = None,
) -> list[NoticeWindow]:
    """Every window that the law wants a mail in, earliest end first; rules of one window are together."""
    day = event_at.astimezone(zone).date()
    found: dict[tuple[int | None, int], list[str]] = {}
    for rule in rules_for(event_kind, country, customer_kind, day, strict=strict, length_days=length_days):
        found.setdefault((rule.first_day, rule.last_day), []).append(rule.id)
    windows = [
        NoticeWindow(
            tuple(ids),
            None if first is None else days_before(event_at, first, zone),
            days_before(event_at, last, zone),
        )
        for (first, last), ids in found.items()
    ]
    return sorted(windows, key=lambda window: (window.window_to, window.rule_ids))


def reminder_days(
    event_kind: str,
    country: str,
    customer_kind: str,
    event_at: dt.datetime,
    zone: zoneinfo.ZoneInfo,
    *,
    strict: bool | None = None,
    length_days: int | None = None,
    starts_at: dt.datetime | None = None,
) -> list[Reminder]:
    """The reminders before an event, earliest first, that together keep every window.

    Each rule is kept by the first reminder that falls into its window; that reminder's own window ends
    with the first of its rules' windows. One that would lie before `starts_at` (a short trial) is due
    then, one mail and not two. A reminder for which it is too late is left out; `broken_rules` names what
    is lost with it.
    """
    windows = notice_windows(
        event_kind, country, customer_kind, event_at, zone, strict=strict, length_days=length_days
    )
    kept: set[tuple[str, ...]] = set()
    found: list[Reminder] = []
    for days in REMINDER_DAYS[EventKind(event_kind)]:
        due = days_before(event_at, days, zone)
        due = max(due, starts_at) if starts_at else due
        mine = [w for w in windows if w.rule_ids not in kept and _holds(w, due)]
        kept |= {window.rule_ids for window in mine}
        end = min((window.window_to for window in mine), default=min(due + COURTESY, event_at))
        is_repeat = not mine and any(reminder.window_from == due for reminder in found)
        if end >= due and not is_repeat:
            found.append(Reminder(days, _ids(mine), due, end))
    return found


def broken_rules(
    event_kind: str,
    country: str,
    customer_kind: str,
    event_at: dt.datetime,
    zone: zoneinfo.ZoneInfo,
    *,
    strict: bool | None = None,
    length_days: int | None = None,
    starts_at: dt.datetime | None = None,
) -> tuple[str, ...]:
    """The rules that no reminder can keep any more, because everything starts too late."""
    windows = notice_windows(
        event_kind, country, customer_kind, event_at, zone, strict=strict, length_days=length_days
    )
    reminders = reminder_days(
        event_kind,
        country,
        customer_kind,
        event_at,
        zone,
        strict=strict,
        length_days=length_days,
        starts_at=starts_at,
    )
    kept = {rule_id for reminder in reminders for rule_id in reminder.rule_ids}
    return tuple(sorted({rule_id for window in windows for rule_id in window.rule_ids} - kept))


def days_to_tell(
    event_kind: str,
    country: str,
    customer_kind: str,
    event_on: dt.date,
    *,
    strict: bool | None = None,
    length_days: int | None = None,
) -> int:
    """How many days before such an event a mail keeps every rule's latest day; 0 where there is no rule."""
    rules = rules_for(event_kind, country, customer_kind, event_on, strict=strict, length_days=length_days)
    return max((rule.last_day for rule in rules), default=0)


def days_before(event_at: dt.datetime, days: int, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """The moment (UTC) that many local days before, at the same time of day on the clock there."""
    local = event_at.astimezone(zone) - dt.timedelta(days=days)
    return local.astimezone(dt.UTC)


def _holds(window: NoticeWindow, moment: dt.datetime) -> bool:
    return (window.window_from is None or window.window_from <= moment) and moment <= window.window_to


def _ids(windows: Iterable[NoticeWindow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule_id for window in windows for rule_id in window.rule_ids))
