"""Writing and reading the history."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F

from accounts import sets
from accounts.models import Account, Event

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from accounts.models import User

_CODE = re.compile(r"[A-Za-z0-9_.:+/-]{0,80}")


@dataclass(frozen=True)
class By:
    """Who acts: a customer, a member of staff (perhaps for a caller), the product itself, or the provider."""

    actor: str
    ref: str = ""

    @classmethod
    def customer(cls, user: "User") -> "By":
        return cls(Event.Actor.CUSTOMER, user.public_id)

    @classmethod
    def staff(cls, user: "User") -> "By":
        return cls(Event.Actor.STAFF, user.public_id)


SYSTEM = By(Event.Actor.SYSTEM)
PROVIDER = By(Event.Actor.PROVIDER)


def record(
    account: Account, kind: str, *, by: By, at: "dt.datetime", subject: str = "", **facts: Any
) -> Event:
    """Append to the account's history, inside the caller's transaction.

    Facts are ids, codes, amounts and times only (D3); anything that could be free text or a
    name raises `ValueError`, because the history outlives the person.
    """
    for name, value in facts.items():
        _refuse_personal(name, value)
    Account.objects.filter(pk=account.pk).update(event_count=F("event_count") + 1)
    seq = Account.objects.values_list("event_count", flat=True).get(pk=account.pk)
    return Event.objects.create(
        account_ref=account.public_id,
        seq=seq,
        kind=kind,
        subject=subject,
        actor=by.actor,
        actor_ref=by.ref,
        facts=facts,
        at=at,
    )


@transaction.atomic
def record_many(
    account_ids: "Iterable[int]",
    kind: str,
    *,
    by: By,
    at: "dt.datetime",
    subject: str = "",
    subjects: "Mapping[int, str] | None" = None,
    facts_of: "Mapping[int, Mapping[str, Any]] | None" = None,
    **facts: Any,
) -> None:
    """What `record` does, for many accounts at once: one event each, of one kind, numbered without a gap.

    `subjects` and `facts_of` say by account what differs; the rest is the same for all. One statement
    (two on SQLite), however many. Hold the accounts (`sets.lock_accounts`, or having moved them) where
    others may be writing them. Raises `Account.DoesNotExist` for a key that is no account's.
    """
    ids = list(account_ids)
    if len(set(ids)) != len(ids):
        raise ValueError("One event for each account: call it once for each kind.")
    if not ids:
        return
    own = [{**facts, **facts_of[pk]} for pk in ids] if facts_of is not None else []
    for each in own or [facts]:
        for name, value in each.items():
            _refuse_personal(name, value)
    columns: dict[str, list[Any]] = {}
    if subjects is not None:
        columns["subject"] = [subjects[pk] for pk in ids]
    if facts_of is not None:
        columns["facts"] = own
    row = Event(kind=kind, subject=subject, actor=by.actor, actor_ref=by.ref, facts=facts, at=at)
    if _append(ids, row, columns) != len(ids):
        raise Account.DoesNotExist("Some of these accounts do not exist.")


def _append(ids: list[int], row: Event, columns: dict[str, list[Any]]) -> int:
    """Count each account's history up by one and write `row` under that number."""
    rows, params = sets.given(ids, Event, columns)
    taken = {name: f"given.{name}" for name in columns}
    if connection.vendor == "postgresql":
        insert, values = sets.insert_select(
            row, NUMBERED | taken, ("FROM account JOIN given ON given.id = account.id", [])
        )
        count = (
            f"WITH given AS ({rows}), account AS (UPDATE accounts_account AS counted "  # noqa: S608
            "SET event_count = counted.event_count + 1 FROM given WHERE counted.id = given.id "
            "RETURNING counted.id, counted.public_id, counted.event_count)"
        )
        return sets.run((f"{count} {insert}", [*params, *values]))
    Account.objects.filter(pk__in=ids).update(event_count=F("event_count") + 1)
    source = f"FROM ({rows}) AS given JOIN accounts_account AS account ON account.id = given.id"
    return sets.run(sets.insert_select(row, NUMBERED | taken, (source, params)))


#: Where an event takes its account and its number from, once the account has been counted up.
NUMBERED = {"account_ref": "account.public_id", "seq": "account.event_count"}


def _refuse_personal(name: str, value: Any) -> None:
    if value is None or isinstance(value, (bool, int)):
        return
    if isinstance(value, str) and _CODE.fullmatch(value):
        return
    if isinstance(value, list) and all(isinstance(item, str) and _CODE.fullmatch(item) for item in value):
        return
    raise ValueError(f"{name!r} may not go into the history: ids, codes, amounts and times only.")
