"""The sweep of unpaid invoices: access ends for many accounts at once, among many more.

Every case that is due reads its plan, moves its account, writes the history, the rest of the plan and the
mail. `bare_sql` writes the same rows, worked out beforehand and without a question asked, by two bare UPDATEs
and two COPYs (on SQLite, which has no COPY, by multi-row INSERTs); `row_loop` does what the verbs do, row by
row, for a sample, and is counted by the row.
"""

import csv
import datetime as dt
import io
import json
import time
from collections.abc import Iterable
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import F

from accounts.events import SYSTEM
from accounts.models import Account, Event, Notice
from accounts.notices import owe
from accounts.recipients import payers
from accounts.states import move_account
from bench import _world
from bench._world import insert_series
from bench.harness import Result, Run, ratios, take_turns, watching, weighing
from billing import dunning_notices
from billing.dunning_rules import Step, after_step, dunning_day
from billing.dunning_sweep import run_dunning
from billing.models import DunningCase, Invoice

SIZE: Final = 1_000_000
ROUNDS: Final = 3
#: One account in so many is due; one in a hundred in the smaller turn.
SHARE: Final = 10
SAMPLE: Final = 500
AT: Final = dt.datetime(2026, 3, 18, 23, 0, 5, tzinfo=dt.UTC)
BLOCK_AT: Final = dt.datetime(2026, 3, 18, 22, 59, 59, tzinfo=dt.UTC)
OPENED: Final = BLOCK_AT - dt.timedelta(days=7, hours=12)
PLAN: Final = [["block", "2026-03-18"], ["a10", "2026-03-21"], ["end", "2026-03-22"]]
ZONE: Final = "Europe/Madrid"


def run(size: int, rounds: int) -> Result:
    """Make the accounts once; take turns with a tenth of them due, and with a hundredth."""
    assert dunning_notices.KINDS
    make_world(size)
    due = max(1, size // SHARE)
    many = _turns(due, rounds)
    few = _turns(max(1, due // 10), rounds)
    prepare(due)
    with watching() as seen, weighing() as memory:
        run_dunning(at=AT)
    result = Result("dunning_sweep", size, rounds, ratios(many))
    result.ratios |= {f"{name}_few": value for name, value in ratios(few).items()}
    result.peak_mb, result.base_mb = memory.peak_mb, memory.base_mb
    result.longest_tx_ms, result.statements = seen.longest_tx_ms, seen.statements
    result.seconds_per_row = min(many["ours"]) / due
    result.notes = [
        f"{due} due: {min(many['ours']):.2f} s; {due // 10} due: {min(few['ours']):.2f} s",
        f"nothing due: {_nothing_due():.2f} ms",
    ]
    return result


def _turns(due: int, rounds: int) -> dict[str, list[float]]:
    def ours() -> None:
        run_dunning(at=AT)

    runs = {
        "ours": Run(ours, lambda: prepare(due)),
        "bare_sql": Run(_BARE.write, lambda: _BARE.prepare(due)),
        "row_loop": Run(lambda: row_loop(due), lambda: prepare(due)),
    }
    return take_turns(runs, rounds)


def _nothing_due() -> float:
    """Milliseconds of a run that finds nothing, the best of twenty."""
    DunningCase.objects.update(next_at=AT + dt.timedelta(days=1))
    found = []
    for _ in range(20):
        started = time.perf_counter()
        run_dunning(at=AT)
        found.append((time.perf_counter() - started) * 1000)
    return min(found)


# --- The world -----------------------------------------------------------------------------------


def make_world(size: int) -> None:
    """So many accounts with an owner each; every tenth has an unpaid invoice, told a week ago."""
    like = Account(country="ES", time_zone=ZONE, currency="EUR", created_at=OPENED)
    _world.make_accounts(like, size)
    _make_cases(max(1, size // SHARE))
    _world.analyze()


def _make_cases(number: int) -> None:
    account, invoice = f"1 + (i - 1) * {SHARE}", "'in_' || i"
    common = {"currency": "EUR", "created_at": OPENED, "synced_at": OPENED}
    unpaid = Invoice(status="open", amount_remaining=2900, **common)
    insert_series(unpaid, {"id": "i", "account_id": account, "provider_id": invoice}, number)
    case = DunningCase(
        terms_id=1,
        opened_at=OPENED,
        told_at=OPENED,
        plan=PLAN,
        next_step="block",
        next_at=BLOCK_AT,
        block_at=BLOCK_AT,
        end_at=BLOCK_AT + dt.timedelta(days=4),
    )
    own = {"id": "i", "public_id": f"'benchcase000000000' || {_world.DIGITS}", "invoice_id": "i"}
    insert_series(case, own | {"account_id": account}, number)
    told = Notice(
        kind="payment_failed",
        status="sent",
        attempts=1,
        window_from=OPENED,
        window_to=OPENED,
        next_attempt_at=OPENED,
        created_at=OPENED,
        sent_at=OPENED,
    )
    own = {
        "account_id": account,
        "user_id": account,
        "recipient": f"(SELECT public_id FROM accounts_user WHERE id = {account})",
        "period": invoice,
        "subject": f"'invoice:' || {invoice}",
    }
    insert_series(told, own, number)


def prepare(due: int) -> None:
    """So many cases due again, and everything as it was before their day."""
    Notice.objects.filter(kind="access_blocked").delete()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("TRUNCATE accounts_event")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _sql in triggers:
                cursor.execute(f'DROP TRIGGER "{name}"')
            cursor.execute("DELETE FROM accounts_event")
            for _name, sql in triggers:
                cursor.execute(sql)
    Account.objects.filter(dunning_cases__isnull=False).update(
        state="grace", access_ends_at=BLOCK_AT, event_count=0
    )
    later = AT + dt.timedelta(days=1)
    fresh = {"plan": PLAN, "next_step": "block", "blocked_at": None, "last_step_on": None}
    DunningCase.objects.update(next_at=later, **fresh)
    keys = list(DunningCase.objects.order_by("pk").values_list("pk", flat=True)[:due])
    DunningCase.objects.filter(pk__lte=keys[-1]).update(next_at=BLOCK_AT)
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            for table in ("accounts_account", "billing_dunningcase", "accounts_notice"):
                cursor.execute(f"VACUUM ANALYZE {table}")


# --- The references ------------------------------------------------------------------------------


class _Bare:
    """The rows of history and mail, worked out before the time is taken, then written blindly."""

    def __init__(self) -> None:
        self.events: Any = ""
        self.notices: Any = ""

    def prepare(self, due: int) -> None:
        """Make the world new and work out what is to be written."""
        prepare(due)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.id, c.account_id, a.public_id, a.event_count + 1, i.provider_id, m.user_id, "
                "u.public_id FROM billing_dunningcase c JOIN accounts_account a ON a.id = c.account_id "
                "JOIN billing_invoice i ON i.id = c.invoice_id JOIN accounts_member m "
                "ON m.account_id = a.id JOIN accounts_user u ON u.id = m.user_id "
                "WHERE c.status = 'open' AND c.next_at <= %s ORDER BY c.id",
                [_moment(AT)],
            )
            rows = cursor.fetchall()
        self.events = _as_input(_event(row) for row in rows)
        self.notices = _as_input(_notice(row) for row in rows)

    def write(self) -> None:
        """One statement for each table, all in one transaction."""
        with transaction.atomic(), connection.cursor() as cursor:
            in_due = "(SELECT account_id FROM billing_dunningcase WHERE status = 'open' AND next_at <= %s)"
            cursor.execute(
                "UPDATE accounts_account SET state = 'frozen', event_count = event_count + 1 "
                f"WHERE id IN {in_due}",
                [_moment(AT)],
            )
            left, day, at = _rest()
            cursor.execute(
                "UPDATE billing_dunningcase SET plan = %s, next_step = 'attempt', next_at = %s, "
                "last_step_on = %s, blocked_at = %s WHERE status = 'open' AND next_at <= %s",
                [json.dumps(left), _moment(at), day, _moment(AT), _moment(AT)],
            )
            _insert(Event, EVENT, self.events)
            _insert(Notice, NOTICE, self.notices)


_BARE = _Bare()


def _moment(moment: dt.datetime) -> Any:
    return DunningCase._meta.get_field("next_at").get_db_prep_save(moment, connection)


def _rest() -> tuple[list[list[str]], dt.date, dt.datetime]:
    """What is left of the plan after the block, the day of it, and when it goes on."""
    today = dunning_day(AT, ZONE)
    steps = after_step([Step(key, dt.date.fromisoformat(day)) for key, day in PLAN], today=today)
    return [[s.key, s.day.isoformat()] for s in steps], today, steps[0].at(ZONE)


EVENT = ("account_ref", "seq", "kind", "subject", "actor", "actor_ref", "facts", "at")
NOTICE = (
    "account_id", "user_id", "address", "recipient", "kind", "period", "subject", "facts", "window_from",
    "window_to", "rule_ids", "status", "reason", "attempts", "unanswered", "next_attempt_at", "lease_token",
    "message_id", "created_at", "outcome",
)  # fmt: skip


def _event(row: Any) -> tuple[Any, ...]:
    facts = json.dumps({"reason": "unpaid"})
    return row[2], row[3], "account.frozen", "", "system", "", facts, AT


def _notice(row: Any) -> tuple[Any, ...]:
    until = AT + dt.timedelta(days=3)
    return (
        row[1], row[5], "", row[6], "access_blocked", row[4], f"invoice:{row[4]}", "{}", AT, until, "[]",
        "owed", "", 0, 0, AT, "", "", AT, "",
    )  # fmt: skip


def _as_input(rows: Iterable[tuple[Any, ...]]) -> Any:
    """As the database takes it in: CSV for PostgreSQL's COPY, else the rows."""
    if connection.vendor != "postgresql":
        return list(rows)
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
    return text.getvalue()


def _insert(model: Any, columns: tuple[str, ...], rows: Any) -> None:
    table, names = model._meta.db_table, ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT csv)") as copy:  # type: ignore[attr-defined]
                copy.write(rows)
            return
        marks = ", ".join(["%s"] * len(columns))
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def references(due: int) -> list[Any]:
    """Both, for whoever compares what they leave; each makes the world new first."""

    def bare() -> None:
        _BARE.prepare(due)
        _BARE.write()

    def loop() -> None:
        prepare(due)
        row_loop(due)

    return [bare, loop]


def end_state() -> list[list[Any]]:
    """Everything that a run writes, without keys that differ by run."""
    cases = DunningCase.objects.filter(blocked_at__isnull=False).order_by("pk")
    events = Event.objects.order_by("account_ref", "seq")
    mails = Notice.objects.filter(kind="access_blocked").order_by("account_id")
    columns = ("account_id", "recipient", "period", "subject", "facts", "window_from", "window_to", "status")
    return [
        list(cases.values_list("pk", "plan", "next_step", "next_at", "last_step_on", "blocked_at")),
        list(events.values_list("account_ref", "seq", "kind", "subject", "actor", "facts", "at")),
        list(mails.values_list(*columns)),
        list(Account.objects.order_by("pk").values_list("state", "access_ends_at", "event_count")),
    ]


def row_loop(due: int) -> float:
    """Row by row with the verbs, for a sample of what is due; the seconds that all of it would take."""
    keys = list(DunningCase.objects.due(AT).order_by("pk").values_list("pk", flat=True)[:SAMPLE])
    left, day, at = _rest()
    started = time.perf_counter()
    for pk in keys:
        with transaction.atomic():
            case = DunningCase.objects.select_related("account", "invoice").get(pk=pk)
            Account.objects.select_for_update().get(pk=case.account_id)
            move_account(case.account, "frozen", by=SYSTEM, at=AT, reason="unpaid")
            DunningCase.objects.due(AT).filter(pk=pk, failures=F("failures")).update(
                plan=left, next_step="attempt", next_at=at, last_step_on=day, blocked_at=AT
            )
            owe(
                case.account,
                "access_blocked",
                to=payers(case.account),
                period=case.invoice.provider_id,
                subject=case.about,
                at=AT,
            )
    return (time.perf_counter() - started) / len(keys) * due
