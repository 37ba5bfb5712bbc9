"""Calendar arithmetic of billing cycles; pure. https://docs.stripe.com/billing/subscriptions/billing-cycle"""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

DAY = 86400


def add_interval(anchor: int, interval: str, count: int) -> int:
    """The anchor plus `count` intervals; months keep the anchor's day: 31 Jan, 28 Feb, 31 Mar."""
    start = datetime.fromtimestamp(anchor, UTC)
    if interval == "day":
        return int((start + timedelta(days=count)).timestamp())
    if interval == "week":
        return int((start + timedelta(weeks=count)).timestamp())
    months = start.year * 12 + start.month - 1 + count * (12 if interval == "year" else 1)
    year, month = months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def next_boundary(anchor: int, interval: str, interval_count: int, after: int) -> int:
    """The first cycle boundary strictly after a moment, counted from the anchor (which may lie ahead)."""
    n = _cycles(anchor, interval, interval_count, after) - 1
    while add_interval(anchor, interval, n * interval_count) <= after:
        n += 1
    return add_interval(anchor, interval, n * interval_count)


def previous_boundary(anchor: int, interval: str, interval_count: int, until: int) -> int:
    """The last cycle boundary at or before a moment."""
    n = _cycles(anchor, interval, interval_count, until) + 2
    while add_interval(anchor, interval, n * interval_count) > until:
        n -= 1
    return add_interval(anchor, interval, n * interval_count)


def _cycles(anchor: int, interval: str, interval_count: int, at: int) -> int:
    """Cycles from the anchor to a moment (negative before it), right to within one."""
    if interval in ("day", "week"):
        return (at - anchor) // (DAY * interval_count * (7 if interval == "week" else 1))
    then, first = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(anchor, UTC)
    months = (then.year - first.year) * 12 + then.month - first.month
    return months // (interval_count * (12 if interval == "year" else 1))
