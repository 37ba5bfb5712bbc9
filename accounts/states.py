"""The account's state: one writer, guarded moves, each with an event."""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection, transaction

from accounts import sets
from accounts.errors import WrongState
from accounts.events import NUMBERED, By, record, record_many
from accounts.models import Account, Event
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
    _check_move(seen, state)
    columns = _with_closing_date(state, columns, at=at)
    if not Account.objects.filter(pk=account.pk, state=seen).update(state=state, **columns):
        raise WrongState(f"The account is no longer {seen}.")
    account.state = state
    for name, value in columns.items():
        setattr(account, name, value)
    record(account, f"account.{state}", by=by, at=at, reason=reason)
    access_changed.send(Account, account_ids=[account.pk], at=at)


@transaction.atomic
def move_accounts(
    account_ids: Iterable[int],
    from_states: Iterable[str],
    state: str,
    *,
    by: By,
    at: dt.datetime,
    reason: str,
    **columns: Any,
) -> list[int]:
    """What `move_account` does, for many at once; returns the keys of those that were moved, in order.

    Only those that are still in one of `from_states` are, and none that someone else holds right now:
    the next run finds them again. `columns` are set in the same update; a mapping gives each account its
    own value. One statement (three on SQLite), however many. Raises `WrongState` for a move that is not
    in `Account.MOVES`.
    """
    seen = list(from_states)
    for old in seen:
        _check_move(old, state)
    columns = _with_closing_date(state, columns, at=at)
    ids = sorted(set(account_ids))
    if not ids or not seen:
        return []
    row = Event(kind=f"account.{state}", actor=by.actor, actor_ref=by.ref, facts={"reason": reason}, at=at)
    if connection.vendor == "postgresql":
        moved = _move_in_one(ids, seen, {"state": state, **columns}, row)
    else:
        moved = list(
            Account.objects.filter(pk__in=ids, state__in=seen).order_by("pk").values_list("pk", flat=True)
        )
        _set_columns(moved, {"state": state, **columns})
        record_many(moved, row.kind, by=by, at=at, reason=reason)
    if moved:
        access_changed.send(Account, account_ids=moved, at=at)
    return moved


def _check_move(old: str, state: str) -> None:
    if state not in Account.MOVES[old]:
        raise WrongState(f"An account that is {old} cannot become {state}.")


def _with_closing_date(state: str, columns: dict[str, Any], *, at: dt.datetime) -> dict[str, Any]:
    if state == Account.State.CLOSED:
        return {"closed_at": at, **columns}
    if state in Account.OPEN_STATES:
        return {"closed_at": None, **columns}
    return columns


def _move_in_one(ids: list[int], seen: list[str], columns: dict[str, Any], row: Event) -> list[int]:
    """Take, move, count and write the history in one statement of PostgreSQL."""
    rows, params = _given(ids, columns)
    assignments, values = _assignments(columns)
    insert, event = sets.insert_select(row, NUMBERED, ("FROM account", []))
    sql = f"""
        WITH given AS ({rows}),
        taken AS MATERIALIZED (
            SELECT free.id FROM accounts_account AS free
            WHERE free.id IN (SELECT id FROM given) AND free.state = ANY(%s)
            ORDER BY free.id FOR NO KEY UPDATE SKIP LOCKED
        ),
        account AS (
            UPDATE accounts_account AS moved SET {assignments}, event_count = moved.event_count + 1
            FROM taken JOIN given ON given.id = taken.id
            WHERE moved.id = taken.id AND moved.state = ANY(%s)
            RETURNING moved.id, moved.public_id, moved.event_count
        ),
        events AS ({insert})
        SELECT id FROM account ORDER BY id
    """  # noqa: S608
    return sets.fetch_ids((sql, [*params, seen, *values, seen, *event]))


def _set_columns(ids: list[int], columns: dict[str, Any]) -> None:
    rows, params = _given(ids, columns)
    assignments, values = _assignments(columns)
    sql = (
        f"UPDATE accounts_account SET {assignments} "  # noqa: S608
        f"FROM ({rows}) AS given WHERE given.id = accounts_account.id"
    )
    sets.run((sql, [*values, *params]))


def _given(ids: list[int], columns: dict[str, Any]) -> sets.Sql:
    own = {name: [value[pk] for pk in ids] for name, value in columns.items() if isinstance(value, Mapping)}
    return sets.given(ids, Account, own)


def _assignments(columns: dict[str, Any]) -> sets.Sql:
    """`SET` of these columns: from the row of `given` where each account has its own value."""
    parts, values = [], []
    for name, value in columns.items():
        if isinstance(value, Mapping):
            parts.append(f"{name} = given.{name}")
        else:
            field = sets.field_of(Account, name)
            parts.append(f"{name} = {sets.constant(field)}")
            values.append(field.get_db_prep_save(value, connection))
    return ", ".join(parts), values
