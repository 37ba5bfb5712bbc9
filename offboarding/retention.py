"""Until when data is kept after the end: a promise with a date, told three times before it comes."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction

from accounts import sets
from accounts.errors import WrongState
from accounts.events import By, record, record_many
from accounts.models import Account, Member, Notice, Terms, User
from accounts.notices import Owed, drop_notices, owe, owe_many
from billing.periods import end_of_local_day
from offboarding.models import Cancellation, Closure

SOON = "purge_soon"
DELETED = "data_deleted"
SOON_RULES = ("gdpr",)

#: Of a notice: days before, not before, not after.
Window = tuple[int, dt.datetime, dt.datetime]


@transaction.atomic
def close_data(
    account: Account,
    *,
    cancellation: Cancellation | None,
    data_until: dt.datetime,
    purge_on: dt.datetime,
    waived: bool,
    stop_until: dt.datetime | None,
    by: By,
    at: dt.datetime,
) -> Closure:
    """Promise that the account's data can be fetched until `data_until` and goes on `purge_on` (D1).

    Owes the notices that still lie ahead. An account has one promise: where one stands already the
    newer dates replace it, because whoever asked for them was shown them. Raises `WrongState` once
    deleting has begun.
    """
    Account.objects.select_for_update().get(pk=account.pk)
    known = Closure.objects.open().filter(account=account).first()
    dates: dict[str, Any] = {
        "cancellation": cancellation,
        "data_until": data_until,
        "purge_on": purge_on,
        "waived_retrieval": waived,
        "stop_until": stop_until,
    }
    if known is None:
        known = Closure.objects.create(account=account, created_at=at, **dates)
    elif all(getattr(known, name) == value for name, value in dates.items()):
        return known
    else:
        _redate(known, dates)
    _promise(known, "data.closing", by=by, at=at)
    return known


class Promise(NamedTuple):
    """One account's dates, for `close_data_many`."""

    account_id: int
    cancellation_id: int | None
    data_until: dt.datetime
    purge_on: dt.datetime


@transaction.atomic
def close_data_many(promises: Iterable[Promise], *, by: By, at: dt.datetime) -> None:
    """What `close_data` promises, for many accounts at once, all of them held by the caller.

    An account that has its promise already keeps it.
    """
    dates = {promise.account_id: promise for promise in promises}
    known = Closure.objects.open().filter(account__in=list(dates)).values_list("account_id", flat=True)
    for account_id in known:
        del dates[account_id]
    if not dates:
        return
    columns = ("cancellation_id", "data_until", "purge_on")
    values = {name: [getattr(promise, name) for promise in dates.values()] for name in columns}
    table, params = sets.given(list(dates), Closure, values)
    taken = {name: f"given.{name}" for name in columns} | {"account_id": "given.id"}
    source = (f"FROM ({table}) AS given", params)
    sets.run(sets.insert_select(Closure(created_at=at), taken, source))
    new = dict(Closure.objects.open().filter(account__in=list(dates)).values_list("account_id", "pk"))
    record_many(
        new,
        "data.closing",
        by=by,
        at=at,
        subjects={account_id: f"closure:{pk}" for account_id, pk in new.items()},
        facts_of={
            account_id: {
                "purge_on": promise.purge_on.isoformat(),
                "data_until": promise.data_until.isoformat(),
            }
            for account_id, promise in dates.items()
        },
        waived=False,
    )
    owe_many(
        SOON,
        [
            _soon(account_id, new[account_id], promise.purge_on, window)
            for account_id, promise in dates.items()
            for window in notice_windows(promise.purge_on, at=at)
        ],
        at=at,
        rule_ids=SOON_RULES,
    )


@transaction.atomic
def postpone_purge(closure: Closure, *, by: By, at: dt.datetime) -> None:
    """Someone who may keep the data does: it stays as long as the terms keep it after any other ending.

    Days count from the closing, or from `at` where that would be over, and end with the account's
    local day. Raises `WrongState` once deleting has begun.
    """
    account, terms = closure.account, closure.account.terms
    start = max(closure.created_at, at)
    dates = {
        "data_until": end_of_local_day(start + dt.timedelta(days=terms.retrieval_days), account.time_zone),
        "purge_on": end_of_local_day(start + dt.timedelta(days=terms.retention_days), account.time_zone),
        "waived_retrieval": False,
        "stop_until": None,
    }
    _redate(closure, dates)
    _promise(closure, "data.closing_postponed", by=by, at=at)


def _redate(closure: Closure, dates: dict[str, Any]) -> None:
    held = Closure.objects.filter(pk=closure.pk, status=Closure.Status.SCHEDULED)
    if not held.update(**dates):
        raise WrongState("Deleting has begun or was called off.")
    for name, value in dates.items():
        setattr(closure, name, value)
    drop_notices(closure.account, kinds=[SOON], reason="moved")


def _promise(closure: Closure, kind: str, *, by: By, at: dt.datetime) -> None:
    record(
        closure.account,
        kind,
        by=by,
        at=at,
        subject=f"closure:{closure.pk}",
        purge_on=closure.purge_on.isoformat(),
        data_until=closure.data_until.isoformat(),
        waived=closure.waived_retrieval,
    )
    owe_purge_notices(closure, at=at)


@transaction.atomic
def call_off_closure(closure: Closure, *, by: By, at: dt.datetime, reason: str = "kept") -> None:
    """The data stays after all; its notices are dropped. Raises `WrongState` once deleting has begun.

    `reason` is a code for the history, such as `came_back` or `withdrawn`.
    """
    called_off = Closure.objects.filter(pk=closure.pk, status=Closure.Status.SCHEDULED).update(
        status=Closure.Status.CANCELLED, closed_at=at
    )
    if not called_off:
        raise WrongState("Deleting has begun or was called off before.")
    closure.status, closure.closed_at = Closure.Status.CANCELLED, at
    drop_notices(closure.account, kinds=[SOON], reason=reason)
    record(
        closure.account,
        "data.closing_called_off",
        by=by,
        at=at,
        subject=f"closure:{closure.pk}",
        reason=reason,
    )


def can_call_off(closure: Closure) -> bool:
    """Until the first row is deleted."""
    return closure.status == Closure.Status.SCHEDULED


def open_closure(account: Account) -> Closure | None:
    """The promise that stands, or None."""
    return Closure.objects.open().filter(account=account).first()


def can_fetch(account: Account, *, at: dt.datetime) -> bool:
    """Whether a download can be asked for: at any time until deleting begins."""
    if account.state == Account.State.ERASED:
        return False
    return not Closure.objects.filter(account=account, status=Closure.Status.PURGING).exists()


def readers_of(account: Account) -> list[User]:
    """Who is told what happens to the data: owners and billing members of today."""
    seats = Member.objects.payers().filter(account=account).select_related("user")
    return [seat.user for seat in seats]


def owe_purge_notices(closure: Closure, *, at: dt.datetime) -> int:
    """Owe the notices of 30, 7 and 1 days before, those that still lie ahead; returns how many days.

    Each may be sent from its day until the next one's day, the last one until the purge: after an
    outage nobody gets three at once. Owing again changes nothing.
    """
    windows = notice_windows(closure.purge_on, at=at)
    for window in windows:
        soon = _soon(closure.account_id, closure.pk, closure.purge_on, window)
        owe(
            closure.account,
            SOON,
            to=readers_of(closure.account),
            period=soon.period,
            at=at,
            window_from=soon.window_from,
            window_to=soon.window_to,
            subject=soon.subject,
            facts=soon.facts,
            rule_ids=SOON_RULES,
        )
        # Dates that were moved away and back again: what was dropped for them is owed once more.
        Notice.objects.filter(
            account=closure.account,
            kind=SOON,
            period=soon.period,
            status=Notice.Status.DROPPED,
            reason="moved",
        ).update(status=Notice.Status.OWED, reason="")
    return len(windows)


def _soon(account_id: int, closure: int, purge_on: dt.datetime, window: Window) -> Owed:
    """The notice of one of the days before."""
    days, start, end = window
    return Owed(
        account_id,
        period=f"{closure}:{purge_on:%Y%m%d%H%M}:{days}",
        window_from=start,
        window_to=end,
        subject=f"closure:{closure}",
        facts={"days": days, "purge_on": purge_on.isoformat()},
    )


def notice_windows(purge_on: dt.datetime, *, at: dt.datetime) -> list[Window]:
    """(days before, not before, not after) of each notice whose day is still to come."""
    found = []
    days = Terms.PURGE_NOTICE_DAYS
    for days_before, next_days in zip(days, [*days[1:], 0], strict=True):
        start = purge_on - dt.timedelta(days=days_before)
        end = purge_on - dt.timedelta(days=next_days)
        if start > at:
            found.append((days_before, start, end - dt.timedelta(seconds=1)))
    return found
