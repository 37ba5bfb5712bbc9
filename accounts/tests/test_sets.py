"""The set-based verbs leave the rows that their row-by-row twins leave, in as many statements for many."""

import datetime as dt
import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.errors import WrongState
from accounts.events import PROVIDER, SYSTEM, record, record_many
from accounts.models import Account, Event, Member, Notice
from accounts.notices import Owed, owe, owe_many
from accounts.recipients import payers
from accounts.sets import in_chunks, lock_accounts
from accounts.signals import access_changed
from accounts.states import move_account, move_accounts
from accounts.tests.worlds import LONG_AGO, NOON, make_account, make_member

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


def make_world(count=6):
    """Accounts in several states, some with a history, with payers, a plain member and one who left."""
    accounts = [make_account(state=("trialing", "grace", "active")[n % 3]) for n in range(count)]
    for n, account in enumerate(accounts):
        make_member(account, Member.Role.MEMBER)
        make_member(account, Member.Role.BILLING, left_at=NOON if n % 2 else None)
        for _ in range(n % 3):
            record(account, "account.active", by=SYSTEM, at=LONG_AGO)
    return accounts


def rows_of(model, *, leave_out=()):
    """Every row as plain values, in an order of its own; keys that a sequence gives are left out."""
    columns = [f.attname for f in model._meta.concrete_fields if f.attname not in {"id", *leave_out}]
    return sorted(map(repr, model.objects.order_by().values(*columns)))


def left_behind(act):
    """What `act` leaves in every table it may touch; the world is as it was before afterwards."""
    with transaction.atomic():
        act()
        accounts = [repr(row) for row in Account.objects.order_by("pk").values()]
        found = accounts, rows_of(Event), rows_of(Notice)
        transaction.set_rollback(True)
    return found


def statements(act):
    """How many statements `act` sends, savepoints aside; the world is as it was before afterwards."""
    with transaction.atomic():
        with CaptureQueriesContext(
            connection,
        ) as caught:
            act()
        transaction.set_rollback(True)
    return len([query for query in caught if "SAVEPOINT" not in query["sql"]])


def many_ways():
    """Each verb row by row, and the same in a set, as functions of the accounts."""

    def record_each(accounts):
        for n, account in enumerate(accounts):
            record(account, "account.active", by=PROVIDER, at=NOON, subject=f"x:{n}", reason="x", days=n)

    def record_set(accounts):
        record_many(
            [account.pk for account in accounts],
            "account.active",
            by=PROVIDER,
            at=NOON,
            subjects={account.pk: f"x:{n}" for n, account in enumerate(accounts)},
            facts_of={account.pk: {"days": n} for n, account in enumerate(accounts)},
            reason="x",
        )

    def move_each(accounts):
        for account in accounts:
            if account.state in ("trialing", "grace"):
                move_account(
                    account,
                    "closed",
                    by=SYSTEM,
                    at=NOON,
                    reason="left",
                    access_ends_at=NOON,
                    closed_at=day(account),
                )

    def move_set(accounts):
        move_accounts(
            [account.pk for account in accounts],
            ["trialing", "grace"],
            "closed",
            by=SYSTEM,
            at=NOON,
            reason="left",
            access_ends_at=NOON,
            closed_at={account.pk: day(account) for account in accounts},
        )

    def thaw_each(accounts):
        for account in accounts:
            if account.state != "active":
                move_account(account, "active", by=PROVIDER, at=NOON, reason="paid", access_ends_at=None)

    def thaw_set(accounts):
        move_accounts(
            [account.pk for account in accounts],
            ["trialing", "grace"],
            "active",
            by=PROVIDER,
            at=NOON,
            reason="paid",
            access_ends_at=None,
        )

    def owe_each(accounts):
        for n, account in enumerate(accounts):
            for part in range(2):
                start = NOON + n * DAY if part else None
                more = {"window_from": start, "window_to": start and start + 9 * DAY}
                owe(
                    account,
                    "test_kind",
                    to=payers(account),
                    period=f"{part}",
                    at=NOON,
                    subject=f"x:{n}",
                    facts={"days": n, "words": "¿qué? 'a' \"b\" \\ %s"},
                    rule_ids=["gdpr"],
                    **more,
                )

    def owe_set(accounts):
        rows = [
            Owed(
                account.pk,
                f"{part}",
                start,
                start and start + 9 * DAY,
                f"x:{n}",
                {"days": n, "words": "¿qué? 'a' \"b\" \\ %s"},
            )
            for n, account in enumerate(accounts)
            for part in range(2)
            for start in [NOON + n * DAY if part else None]
        ]
        owe_many("test_kind", rows, at=NOON, rule_ids=["gdpr"])

    def day(account):
        return LONG_AGO + account.pk * DAY

    return [(record_each, record_set), (move_each, move_set), (thaw_each, thaw_set), (owe_each, owe_set)]


@pytest.fixture(autouse=True)
def _kind(monkeypatch):
    from accounts import notices

    kind = notices.NoticeKind(code="test_kind", title="t", why="w", context=lambda notice, at: {})
    monkeypatch.setitem(notices._KINDS, "test_kind", kind)


@pytest.mark.parametrize(("row_by_row", "in_a_set"), many_ways(), ids=lambda way: way.__name__)
def test_a_set_leaves_the_same_rows_as_one_by_one(row_by_row, in_a_set):
    accounts = make_world()
    before = left_behind(lambda: None)

    assert (
        left_behind(lambda: row_by_row(fresh(accounts))) == left_behind(lambda: in_a_set(accounts)) != before
    )


def fresh(accounts):
    return list(Account.objects.filter(pk__in=[account.pk for account in accounts]).order_by("pk"))


@pytest.mark.parametrize("in_a_set", [way[1] for way in many_ways()], ids=lambda way: way.__name__)
def test_it_costs_as_many_statements_for_many_as_for_few(in_a_set):
    accounts = make_world(60)
    few, many = statements(lambda: in_a_set(accounts[:6])), statements(lambda: in_a_set(accounts))

    # a move also asks, once each, which webhooks listen and whose data was to be deleted
    assert few == many <= (3 if connection.vendor == "postgresql" else 6)


def test_owing_a_set_again_changes_nothing():
    accounts = make_world()
    rows = [Owed(account.pk, "march") for account in accounts]

    assert owe_many("test_kind", rows, at=NOON) == Notice.objects.count() == 6 + 3
    assert owe_many("test_kind", rows, at=NOON + DAY) == 0


def test_whoever_was_moved_meanwhile_is_left_alone():
    trial, gone = make_account(state="trialing"), make_account(state="closed", closed_at=NOON)
    heard = []
    access_changed.connect(
        lambda sender, account_ids, at, **more: heard.append(account_ids), weak=False, dispatch_uid="t"
    )
    moved = move_accounts([gone.pk, trial.pk], ["trialing"], "frozen", by=SYSTEM, at=NOON, reason="over")
    access_changed.disconnect(dispatch_uid="t")

    assert moved == [trial.pk]
    assert heard == [[trial.pk]]
    assert list(Account.objects.order_by("pk").values_list("state", flat=True)) == ["frozen", "closed"]
    assert Event.objects.get().account_ref == trial.public_id


def test_the_table_of_moves_and_the_rule_of_the_history_hold_for_sets_too():
    account = make_account()
    with pytest.raises(WrongState):
        move_accounts([account.pk], ["active", "erased"], "frozen", by=SYSTEM, at=NOON, reason="x")
    with pytest.raises(ValueError, match="ids, codes, amounts"):
        record_many(
            [account.pk], "account.active", by=SYSTEM, at=NOON, facts_of={account.pk: {"n": "A name"}}
        )
    with pytest.raises(ValueError, match="One event"):
        record_many([account.pk, account.pk], "account.active", by=SYSTEM, at=NOON)
    with pytest.raises(ValueError, match="No such kind"):
        owe_many("unheard_of", [Owed(account.pk, "x")], at=NOON)
    with pytest.raises(Account.DoesNotExist), transaction.atomic():
        record_many([account.pk, 0], "account.active", by=SYSTEM, at=NOON)

    assert not Event.objects.exists()


def test_no_accounts_is_no_statement():
    def nothing():
        assert move_accounts([], ["trialing"], "frozen", by=SYSTEM, at=NOON, reason="x") == []
        assert owe_many("test_kind", [], at=NOON) == 0
        record_many([], "account.active", by=SYSTEM, at=NOON)

    assert statements(nothing) == 0


@pytest.mark.once
def test_chunks_follow_each_other():
    assert list(in_chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite the transaction is the lock")
def test_whoever_is_held_by_someone_else_is_left_for_the_next_run():
    held, free = make_account(state="trialing"), make_account(state="trialing")
    taken, over = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            lock_accounts([held.pk])
            taken.set()
            over.wait(20)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(20)
    both = [held.pk, free.pk]
    with transaction.atomic():
        first = (
            lock_accounts(both),
            move_accounts(both, ["trialing"], "frozen", by=SYSTEM, at=NOON, reason="x"),
        )
    over.set()
    thread.join()
    second = move_accounts(both, ["trialing"], "frozen", by=SYSTEM, at=NOON, reason="x")

    assert first == ([free.pk], [free.pk])
    assert second == [held.pk]
