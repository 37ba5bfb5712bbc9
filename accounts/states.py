"""The account's state: one writer, guarded moves, each with an event."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Account
from accounts.signals import access_changed


@transaction.atomic
def move_account(
    account: Account, state: str, *, by: By, at: dt.datetime, reason: str, **columns: Any
) -> None:
    """Move the account to `state` if its present state allows it, and write the history.

    `columns` are set in the same guarded update. Raises `WrongState` when someone else moved it
    first or the move is not in `Account.MOVES`.
    """
    seen = account.state
    if state not in Account.MOVES[seen]:
        raise WrongState(f"An account that is {seen} cannot become {state}.")
    if state == Account.State.CLOSED:
        columns.setdefault("closed_at", at)
    if state in Account.OPEN_STATES:
        columns.setdefault("closed_at", None)
    if not Account.objects.filter(pk=account.pk, state=seen).update(state=state, **columns):
        raise WrongState(f"The account is no longer {seen}.")
    account.state = state
    for name, value in columns.items():
        setattr(account, name, value)
    record(account, f"account.{state}", by=by, at=at, reason=reason)
    access_changed.send(Account, account=account, at=at)
