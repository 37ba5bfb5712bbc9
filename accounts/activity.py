"""Days with activity: one row an account and day of its own calendar, written from the gate."""

import datetime as dt
import zoneinfo
from functools import lru_cache
from typing import Final

from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from accounts.models import ActivityDay, ApiKey

#: A process that has seen more accounts begins anew; all it costs is an insert that changes nothing.
MOST: Final = 100_000
_zone = lru_cache(maxsize=600)(zoneinfo.ZoneInfo)

_seen: dict[str, dt.date] = {}


def note_activity(account: int, account_id: str, time_zone: str, *, at: dt.datetime) -> None:
    """The account was used at this moment. Written once a day, then this process remembers that it was."""
    day = at.astimezone(_zone(time_zone)).date()
    if _is_news(account_id, day):
        ActivityDay.objects.bulk_create([ActivityDay(account_id=account, day=day)], ignore_conflicts=True)


def note_use_of_key(key: int, time_zone: str, *, at: dt.datetime) -> None:
    """The day on which a key was last used, so that nobody is afraid to revoke one that is not."""
    day = at.astimezone(_zone(time_zone)).date()
    if _is_news(f"key:{key}", day):
        rows = ApiKey.objects.filter(Q(last_used_on=None) | Q(last_used_on__lt=day), pk=key)
        rows.update(last_used_on=day)


def _is_news(name: str, day: dt.date) -> bool:
    if _seen.get(name) == day:
        return False
    if len(_seen) >= MOST:
        _seen.clear()
    _seen[name] = day
    return True


def forget_seen() -> None:
    """Remember nothing (a test begins)."""
    _seen.clear()


def days_active(*, at: dt.datetime, within: int) -> Coalesce:
    """For an annotation of accounts: on how many of the last `within` days each was used.

    The days are counted back from today in UTC: a figure for people, whom a day more or less tells nothing.
    """
    since = at.astimezone(dt.UTC).date() - dt.timedelta(days=within - 1)
    days = ActivityDay.objects.filter(account=OuterRef("pk"), day__gte=since).order_by()
    counted = days.values("account").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted), 0)
