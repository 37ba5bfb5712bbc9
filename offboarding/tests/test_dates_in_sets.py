"""Dates carried out in sets: the rows that one by one leaves, few statements, nobody held up by another."""

import datetime as dt
import json
import logging
import re
import threading

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.events import By
from accounts.models import Account, Event, Notice
from accounts.sets import lock_accounts
from accounts.tests.worlds import LONG_AGO, NOON, make_account, make_member, owner_of
from billing.models import Instruction, Invoice, Pause, Plan, Subscription
from billing.subscriptions import start_free_plan, start_trial
from offboarding import completions
from offboarding.completions import complete_cancellation, complete_due_cancellations
from offboarding.declarations import declare_cancellation
from offboarding.models import Cancellation, Closure

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)
LATER = NOON + 60 * DAY
ORDINARY = ["free", "trial", "ended_there", "closed", "dated"]
APART = ["unpaid", "runs_on", "paused", "back"]


def plan_of(code, **columns):
    defaults = {"name_en": code, "name_es": code, "currency": "EUR", "amount": 0}
    return Plan.objects.get_or_create(code=code, defaults=defaults | columns)[0]


def at_provider(account, **columns):
    """A subscription as the provider's facts leave it here, paid until ten days from now."""
    defaults = {
        "plan": plan_of("pro", amount=2900, provider_price="price_1"),
        "provider_id": f"sub_{account.pk}",
        "status": "active",
        "started_at": LONG_AGO,
        "period_start": LONG_AGO,
        "period_end": NOON + 10 * DAY,
    }
    return Subscription.objects.create(account=account, **(defaults | columns))


def leaving(kind, **columns):
    """An account that has declared to stop, with what its `kind` brings along by the date."""
    account = make_account(time_zone="Pacific/Auckland", **columns)
    make_member(account, "billing")
    by = By.customer(owner_of(account))
    if kind == "trial":
        start_trial(
            account, plan_of("trial", trial_days=14, amount=900, provider_price="price_2"), by=by, at=NOON
        )
    elif kind in ("ended_there", *APART):
        at_provider(account)
    else:
        start_free_plan(account, plan_of("free"), by=by, at=NOON)
    cancellation = declare_cancellation(account, "stop_renewing", by=by, at=NOON, user=owner_of(account))
    change(kind, account, cancellation)
    return cancellation


def change(kind, account, cancellation):
    """What happened between the declaration and the date."""
    mine = Subscription.objects.filter(account=account)
    if kind in ("ended_there", "unpaid", "back"):
        mine.update(status="canceled", ended_at=NOON)
    if kind == "closed":
        Account.objects.filter(pk=account.pk).update(state="closed", closed_at=NOON)
    if kind == "dated":
        Closure.objects.create(account=account, created_at=NOON, data_until=LATER, purge_on=LATER)
    if kind == "unpaid":
        bill = {"provider_id": f"in_{account.pk}", "status": "open", "currency": "EUR", "amount_due": 2900}
        Invoice.objects.create(
            account=account,
            subscription=mine.get(),
            amount_remaining=2900,
            created_at=NOON,
            synced_at=NOON,
            **bill,
        )
    if kind == "runs_on":
        mine.update(period_end=LATER + DAY)
    if kind == "paused":
        Pause.objects.create(subscription=mine.get(), starts_at=NOON + DAY, resumes_at=LATER, created_at=NOON)
    if kind == "back":
        at_provider(account, provider_id=f"sub_back_{account.pk}")


def end_state(act):
    """Every row that carrying out may write, after `act`; the world is as it was before afterwards."""
    with transaction.atomic():
        act()
        found = []
        for model in (Account, Cancellation, Subscription, Pause, Closure, Event, Notice, Instruction):
            columns = [f.attname for f in model._meta.concrete_fields if keeps(model, f.attname)]
            found += sorted(plain(model, row) for row in model.objects.order_by().values(*columns))
        transaction.set_rollback(True)
    return found


def plain(model, row):
    """A row as text; what is named by a key that differs each time is named by its kind."""
    text = f"{model.__name__} {json.dumps(row, sort_keys=True, default=str)}"
    return re.sub(r'(closure:\d+|instruction:\w+|"period": "\d+(?=:))', lambda m: m[1].split(":")[0], text)


def keeps(model, column):
    """Whether a column can be the same twice: not the keys of a sequence, nor what is drawn at random."""
    if column in ("id", "public_id", "idempotency_key"):
        return model in (Account, Cancellation, Subscription, Pause)
    return True


def one_by_one(at):
    for pk in list(Cancellation.objects.due(at).order_by("effective_at", "pk").values_list("pk", flat=True)):
        complete_cancellation(Cancellation.objects.get(pk=pk), at=at)


@pytest.mark.parametrize("late", [0, 45])
def test_sets_leave_what_one_by_one_leaves(late, monkeypatch):
    rows = {leaving(kind).pk: kind for kind in [*ORDINARY, *APART] * 2}
    at = NOON + (14 + late) * DAY
    before = end_state(lambda: None)
    alone = end_state(lambda: one_by_one(at))
    apart = []
    real = completions.complete_cancellation
    monkeypatch.setattr(
        completions, "complete_cancellation", lambda row, at: apart.append(rows[row.pk]) or real(row, at=at)
    )

    assert end_state(lambda: complete_due_cancellations(at=at)) == alone != before
    assert sorted(apart) == sorted(APART * 2)


def test_it_costs_as_many_statements_for_many_as_for_few():
    def count():
        with CaptureQueriesContext(connection) as caught:
            complete_due_cancellations(at=LATER)
        return len([query for query in caught if "SAVEPOINT" not in query["sql"]])

    for kind in ORDINARY:
        leaving(kind)
    few = count()
    for kind in ORDINARY * 8:
        leaving(kind)

    assert count() == few <= 26
    assert not Cancellation.objects.open().exists()


@pytest.mark.parametrize("kind", ["free", "unpaid"])
def test_one_that_fails_keeps_nobody_else_back(kind, caplog):
    broken = leaving(kind)
    # The list of the world's time zones has changed before.
    Cancellation.objects.filter(pk=broken.pk).update(declared_zone="Atlantis/Capital")
    others = [leaving(kind) for kind in ("free", "unpaid", "trial", "ended_there")]
    with caplog.at_level(logging.ERROR):
        done = complete_due_cancellations(at=LATER)
        again = complete_due_cancellations(at=LATER)

    assert (done, again) == (4, 0)
    assert [row.pk for row in Cancellation.objects.open()] == [broken.pk]
    assert set(Account.objects.filter(cancellations__in=others).values_list("state", flat=True)) == {"closed"}
    assert Closure.objects.count() == 4
    assert "cancellation cannot be completed" in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite the transaction is the lock")
def test_one_that_someone_holds_keeps_nobody_else_back():
    held = [leaving("free"), leaving("unpaid")]
    others = [leaving("trial"), leaving("unpaid")]
    taken, over = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            lock_accounts([row.account_id for row in held])
            taken.set()
            over.wait(20)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(20)
    first = complete_due_cancellations(at=LATER)
    left = set(Cancellation.objects.open().values_list("pk", flat=True))
    over.set()
    thread.join()

    assert (first, left) == (len(others), {row.pk for row in held})
    assert complete_due_cancellations(at=LATER) == len(held)
