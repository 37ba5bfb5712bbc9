"""What we owe someone to read: owing it, once.

A kind is registered by the app that knows the facts (`accounts.kinds`). `still_true` is asked again
right before sending (paid? withdrawn? moved?); `context` fills the template `mail/<kind>.html`. What
leaves when is decided by `accounts.arbiter` and done by `accounts.sending`.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from accounts import sets
from accounts.arbiter import Category
from accounts.doorbell import ring
from accounts.errors import WrongState
from accounts.events import By, record
from accounts.ids import hash_token
from accounts.kinds import _KINDS, NoticeKind, kinds, register
from accounts.models import Account, Member, Notice, User
from accounts.sending import recipient_address, render_notice, send_due_notices
from accounts.suppression import is_suppressed, record_outcome, suppress_address

__all__ = [
    "Category",
    "NoticeKind",
    "Owed",
    "drop_notices",
    "is_suppressed",
    "kinds",
    "owe",
    "owe_each",
    "owe_many",
    "recipient_address",
    "record_outcome",
    "register",
    "render_notice",
    "see_to_notice",
    "send_due_notices",
    "suppress_address",
]

WINDOW = dt.timedelta(days=3)


def owe(
    account: Account,
    kind: str,
    *,
    to: Iterable[User] = (),
    address: str = "",
    period: str,
    at: dt.datetime,
    window_from: dt.datetime | None = None,
    window_to: dt.datetime | None = None,
    subject: str = "",
    facts: dict[str, Any] | None = None,
    rule_ids: Iterable[str] = (),
) -> None:
    """Owe each recipient this notice once for this period, inside the caller's transaction (M1).

    Without a window it is due at once and for three days. Owing it again changes nothing.
    """
    if kind not in _KINDS:
        raise ValueError(f"No such kind of notice: {kind}")
    start = window_from or at
    end = window_to or start + WINDOW
    targets: list[tuple[User | None, str]] = [(user, "") for user in to]
    if address:
        targets.append((None, address))
    rows = [
        Notice(
            account=account,
            user=user,
            address=mailbox,
            kind=kind,
            recipient=user.public_id if user else hash_token(mailbox.strip().lower()),
            period=period,
            subject=subject,
            facts=facts or {},
            window_from=start,
            window_to=end,
            rule_ids=list(rule_ids),
            next_attempt_at=start,
            created_at=at,
        )
        for user, mailbox in targets
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    ring("accounts.send_notices")


class Owed(NamedTuple):
    """One account's notice of a kind, for one period; without a window it is due at once for three days."""

    account_id: int
    period: str
    window_from: dt.datetime | None = None
    window_to: dt.datetime | None = None
    subject: str = ""
    facts: dict[str, Any] | None = None


@transaction.atomic
def owe_many(
    kind: str,
    rows: Iterable[Owed],
    *,
    at: dt.datetime,
    to: QuerySet[Member] | None = None,
    rule_ids: Iterable[str] = (),
) -> int:
    """What `owe` does, for many accounts at once, in one statement; returns how many notices are new.

    Each goes to the members in `to`, who are whoever pays unless told otherwise.
    """
    if kind not in _KINDS:
        raise ValueError(f"No such kind of notice: {kind}")
    owed = list(rows)
    if not owed:
        return 0
    starts = [row.window_from or at for row in owed]
    columns: dict[str, list[Any]] = {
        "period": [row.period for row in owed],
        "subject": [row.subject for row in owed],
        "facts": [row.facts or {} for row in owed],
        "window_from": starts,
        "window_to": [row.window_to or start + WINDOW for row, start in zip(owed, starts, strict=True)],
    }
    table = sets.given([row.account_id for row in owed], Notice, columns)
    taken = {name: f"given.{name}" for name in columns}
    taken |= {"account_id": "given.id", "next_attempt_at": "given.window_from"}
    same = Notice(kind=kind, rule_ids=list(rule_ids), created_at=at)
    new = sets.run(insert_for_readers(same, taken, table, to=to))
    ring("accounts.send_notices")
    return new


@transaction.atomic
def owe_each(kind: str, rows: QuerySet[Any], *, at: dt.datetime) -> int:
    """What `owe_many` does where the database knows what is owed: to whoever pays, at once, for three days.

    `rows` has the columns `account_id`, `period` and `subject`.
    """
    taken = {name: f"given.{name}" for name in ("account_id", "period", "subject")}
    sql, params = rows.query.sql_with_params()
    new = sets.run(insert_for_readers(due_at_once(kind, at=at), taken, (sql, list(params))))
    ring("accounts.send_notices")
    return new


def due_at_once(kind: str, *, at: dt.datetime) -> Notice:
    """What all notices have in common that are owed now, in sets, and for three days."""
    if kind not in _KINDS:
        raise ValueError(f"No such kind of notice: {kind}")
    return Notice(kind=kind, window_from=at, window_to=at + WINDOW, next_attempt_at=at, created_at=at)


def insert_for_readers(
    same: Notice, taken: dict[str, str], table: sets.Sql, *, to: QuerySet[Member] | None = None
) -> sets.Sql:
    """An INSERT of a notice for each row of `table` (as `given`) and each of its account's readers.

    `taken` says what comes from which column, the rest is the `same` for all.
    """
    seats = Member.objects.payers() if to is None else to
    people, params = seats.values("account_id", "user_id", "user__public_id").query.sql_with_params()
    taken = taken | {"user_id": "reader.user_id", "recipient": "reader.user__public_id"}
    source = (
        f"FROM ({table[0]}) AS given JOIN ({people}) AS reader "
        f"ON reader.account_id = {taken['account_id']} WHERE true"
    )
    return sets.insert_select(same, taken, (source, [*table[1], *params]), conflict="ON CONFLICT DO NOTHING")


def drop_notices(account: Account, *, kinds: Iterable[str], reason: str, period: str | None = None) -> int:
    """What is owed no longer holds: drop it before it is sent. Returns how many."""
    rows = Notice.objects.filter(account=account, kind__in=list(kinds), status=Notice.Status.OWED)
    if period is not None:
        rows = rows.filter(period=period)
    return rows.update(status=Notice.Status.DROPPED, reason=reason)


@transaction.atomic
def see_to_notice(notice: Notice, *, by: By, at: dt.datetime) -> None:
    """A person has seen to what could not be sent: it waits for nobody any more. Raises `WrongState`."""
    if not Notice.objects.needing_a_person().filter(pk=notice.pk).update(handled_at=at):
        raise WrongState("Nobody needs to see to this notice.")
    record(notice.account, "mail.seen_to", by=by, at=at, mail=notice.kind, why=notice.reason)
