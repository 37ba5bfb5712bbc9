"""Calendar arithmetic for billing: months from an anchor, and ends of local days.

Pure: every moment comes in as an aware datetime and leaves as an aware datetime in UTC. The provider counts
its billing months in UTC, so give the anchor in UTC to get the provider's dates; what the terms promise to a
person is counted in that person's zone.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

LAST_SECOND = time(23, 59, 59)


class Interval(StrEnum):
    """What a billing period is counted in, in the provider's words."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later, or that month's last day when it is shorter."""
    month_index = day.year * 12 + (day.month - 1) + months
    year, month = divmod(month_index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def period_end(anchor: datetime, n: int, interval: Interval | str, count: int = 1) -> datetime:
    """End of the `n`-th period of `count` intervals after `anchor`, in UTC; `n=0` is the anchor itself.

    Always counted from the anchor, never from the previous end, so 31 Jan gives 28 Feb and then 31 Mar. The
    wall clock of the anchor's own zone is kept.
    """
    zone = _zone_of(anchor)
    steps = n * count
    match Interval(interval):
        case Interval.DAY:
            day = anchor.date() + timedelta(days=steps)
        case Interval.WEEK:
            day = anchor.date() + timedelta(weeks=steps)
        case Interval.MONTH:
            day = add_months(anchor.date(), steps)
        case Interval.YEAR:
            day = add_months(anchor.date(), 12 * steps)
    if steps == 0:
        return anchor.astimezone(UTC)
    return _latest(datetime.combine(day, anchor.time().replace(tzinfo=None)), zone)


def end_of_local_day(moment: datetime, zone: str) -> datetime:
    """23:59:59 of the day that `moment` falls on in `zone`, in UTC.

    Where a clock change gives that second twice, or swallows it, the later reading counts: a deadline is
    never shortened by a clock change.
    """
    return end_of_date(local_date(moment, zone), zone)


def end_of_date(day: date, zone: str) -> datetime:
    """23:59:59 of `day` in `zone`, in UTC; the later reading where there are two or none."""
    return _latest(datetime.combine(day, LAST_SECOND), ZoneInfo(zone))


def add_local_days(moment: datetime, days: int, zone: str) -> datetime:
    """The same wall-clock time `days` calendar days later in `zone`, in UTC.

    Across a clock change that is not a multiple of 86,400 seconds; where the wall clock shows that time
    twice or not at all, the later reading counts.
    """
    if days == 0:
        return _aware(moment).astimezone(UTC)
    local = _aware(moment).astimezone(ZoneInfo(zone))
    return _latest(local.replace(tzinfo=None, fold=0) + timedelta(days=days), ZoneInfo(zone))


def local_date(moment: datetime, zone: str) -> date:
    """The calendar date that people in `zone` have at `moment`."""
    return _aware(moment).astimezone(ZoneInfo(zone)).date()


def _latest(wall: datetime, zone: ZoneInfo | None) -> datetime:
    """The latest moment that the wall-clock time `wall` can mean in `zone` (no zone: UTC)."""
    readings = (wall.replace(tzinfo=zone or UTC, fold=fold).astimezone(UTC) for fold in (0, 1))
    return max(readings)


def _zone_of(moment: datetime) -> ZoneInfo | None:
    """The named zone of an aware moment; None for UTC. A fixed offset has no calendar of its own."""
    zone = _aware(moment).tzinfo
    if isinstance(zone, ZoneInfo):
        return zone
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"{moment.isoformat()} has a fixed offset: give it in UTC or in a named zone")
    return None


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: give it in UTC or in a named zone")
    return moment
