"""What an unpaid invoice does to access: it ends by date, and comes back once nothing unpaid decides.

Each case writes its own end of access, and lifts that one and no other.
"""

import datetime as dt

from django.db.models import Min, Q, QuerySet

from accounts.events import By
from accounts.models import Account, Terms
from accounts.states import move_account
from billing.models import DunningCase


def is_chased(account: Account) -> bool:
    """Whether an unpaid invoice decides about this account's access."""
    return _deciding(account).exists()


def _deciding(account: Account) -> QuerySet[DunningCase]:
    over = (Terms.DunningEnd.CANCEL, Terms.DunningEnd.FREE_PLAN)
    return DunningCase.objects.unpaid().filter(account=account).exclude(end_action__in=over)


def limit_access(account: Account, until: dt.datetime) -> None:
    """Access ends then unless it ends before: the date decides, however late a sweep runs."""
    later = Q(access_ends_at=None) | Q(access_ends_at__gt=until)
    if Account.objects.filter(later, pk=account.pk).update(access_ends_at=until):
        account.access_ends_at = until


def give_access_back(account: Account, case: DunningCase, *, by: By, at: dt.datetime) -> None:
    """Lift the end of access that this case wrote, and no other; another unpaid invoice keeps its own."""
    others = _deciding(account).exclude(pk=case.pk)
    until = others.aggregate(first=Min("block_at"))["first"]
    is_ours = account.access_ends_at == case.block_at
    if until is None and account.state == Account.State.GRACE:
        columns = {"access_ends_at": None} if is_ours else {}
        move_account(account, Account.State.ACTIVE, by=by, at=at, reason="paid", **columns)
    elif is_ours and account.state == Account.State.FROZEN and (until is None or until > at):
        state = Account.State.GRACE if until else Account.State.ACTIVE
        move_account(account, state, by=by, at=at, reason="paid", access_ends_at=until)
    elif is_ours:
        Account.objects.filter(pk=account.pk, access_ends_at=case.block_at).update(access_ends_at=until)
