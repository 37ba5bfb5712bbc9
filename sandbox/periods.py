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
    step = {"day": DAY, "week": 7 * DAY, "month": 31 * DAY, "year": 366 * DAY}[interval] * interval_count
    n = (after - anchor) // step - 1
    while add_interval(anchor, interval, n * interval_count) <= after:
        n += 1
    return add_interval(anchor, interval, n * interval_count)


def previous_boundary(anchor: int, interval: str, interval_count: int, until: int) -> int:
    """The last cycle boundary at or before a moment."""
    step = {"day": DAY, "week": 7 * DAY, "month": 28 * DAY, "year": 365 * DAY}[interval] * interval_count
    n = (until - anchor) // step + 1
    while add_interval(anchor, interval, n * interval_count) > until:
        n -= 1
    return add_interval(anchor, interval, n * interval_count)


def day_name(moment: int) -> str:
    """`3 Mar 2026`, as descriptions of prorations spell it."""
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at.day} {at:%b %Y}"
