"""Holding the clock: no reminder, no harsher step, later dates move by as long as it stood still."""

import datetime as dt
import zoneinfo
from collections.abc import Iterable

from django.db import transaction
from django.db.models import FilteredRelation, Q

from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Account, Hold, User
from accounts.sharing import shared
from accounts.signals import hold_changed

#: One stretch in which the clock stood still: from, until.
Stretch = tuple[dt.datetime, dt.datetime]


def shift(moment: dt.datetime, holds: Iterable[Stretch], zone: str) -> dt.datetime:
    """A date after the holds: each one that began before it moves it by its whole length.

    Pure. The length is read from the clock on the wall in `zone`: a hold of seven days moves an end at
    midnight by seven days, whether or not the clocks are changed meanwhile. Stretches do not overlap
    (`place_hold` sees to that). A hold that begins at the moment itself or later finds the step taken
    and moves nothing.
    """
    for start, end in sorted(holds):
        if start < moment:
            moment = max(end, _later(moment, start, end, zoneinfo.ZoneInfo(zone)))
    return moment


def _later(moment: dt.datetime, start: dt.datetime, end: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """As much later on the wall as `end` is after `start`; of two such moments the later one."""
    wall, before, after = (one.astimezone(zone).replace(tzinfo=None, fold=0) for one in (moment, start, end))
    wall += after - before
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))


def stretches(account: Account) -> list[Stretch]:
    """Every hold there ever was on this account, earliest first. One query."""
    return list(
        Hold.objects.filter(account=account).order_by("starts_at").values_list("starts_at", "ends_at")
    )


def open_hold(account: Account, *, at: dt.datetime) -> Hold | None:
    """The hold under which the account is now; once for a page."""
    return shared(account, "open_hold", Hold.objects.open_at(at).filter(account=account).first)


def open_hold_at(at: dt.datetime) -> FilteredRelation:
    """For a query of accounts: the one hold under which each is now, to be read with it."""
    return FilteredRelation("holds", condition=Q(holds__starts_at__lte=at, holds__ends_at__gt=at))


def can_hold(account: Account, *, at: dt.datetime) -> bool:
    """Whether there is a clock to stop: an account that lives on, without a hold."""
    over = (Account.State.CLOSED, Account.State.ERASED)
    return account.state not in over and open_hold(account, at=at) is None


@transaction.atomic
def place_hold(
    account: Account,
    *,
    reason: str,
    until: dt.datetime,
    by: By,
    at: dt.datetime,
    note: str = "",
    placed_by: User | None = None,
) -> Hold:
    """Stop the clock until a moment that the account's terms allow (`hold_max_days`); one at a time."""
    Account.objects.select_for_update().get(pk=account.pk)
    if not can_hold(account, at=at):
        raise WrongState("This account is on hold already, or closed.")
    if not at < until <= at + dt.timedelta(days=account.terms.hold_max_days):
        raise WrongState("A hold ends within the days that the terms allow.")
    hold = Hold.objects.create(
        account=account,
        reason=reason,
        note=note,
        starts_at=at,
        ends_at=until,
        placed_by=placed_by,
        created_at=at,
    )
    facts = {"reason": reason, "until": until.isoformat()}
    record(account, "hold.placed", by=by, at=at, subject=f"hold:{hold.public_id}", **facts)
    hold_changed.send(Account, account=account, at=at)
    return hold


@transaction.atomic
def end_hold(hold: Hold, *, reason: str, by: By, at: dt.datetime) -> None:
    """Let the clock run again from now on; why (`Hold.Ended`) is told in the history."""
    if not Hold.objects.open_at(at).filter(pk=hold.pk).update(ends_at=at):
        raise WrongState("This hold is over.")
    record(hold.account, "hold.ended", by=by, at=at, subject=f"hold:{hold.public_id}", reason=reason)
    hold_changed.send(Account, account=hold.account, at=at)
