"""Many identical requests at the same moment: one effect, and a clean answer for each of them.

Only PostgreSQL runs writers side by side; SQLite lets one in at a time. Each guard has a control
in which it is off, and what it prevents is seen to happen.
"""

import datetime as dt
import re
import threading
from collections import Counter

import pytest
from django.db import connection, connections
from django.db.models import QuerySet
from django.test import Client
from django.urls import reverse

from accounts import clock
from accounts.audit import run_audit
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account, Event, Notice
from accounts.tests.worlds import owner_of
from billing import inbox
from billing.models import Incoming, Instruction, Refund
from billing.models.refund import RefundQuerySet
from billing.tests.worlds import advance, control, post_webhook, run_worker
from offboarding import confirmations
from offboarding.completions import complete_due_cancellations
from offboarding.models import Cancellation
from offboarding.models.cancellation import CancellationQuerySet
from offboarding.tasks import complete_due
from offboarding.tests.leaving import choose, latest, marks, owners_browser, paying_account
from offboarding.withdrawals import withdraw_cancellation

MANY = 64

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("stripe_account", "clock"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="races need PostgreSQL: set DATABASE_URL to one"
    ),
]


def at_once(work, times=MANY):
    """`work(n)` in so many threads that begin together, each with a connection of its own."""
    start, found = threading.Barrier(times), [None] * times

    def run(number):
        try:
            start.wait(60)
            found[number] = work(number)
        except Exception as error:
            found[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


def tabs(browser, times=MANY):
    """So many tabs of one browser: the same session, nothing else shared."""
    found = [Client(raise_request_exception=False) for _ in range(times)]
    for tab in found:
        tab.cookies = browser.cookies
    return found


def codes(answers):
    return Counter(getattr(answer, "status_code", repr(answer)) for answer in answers)


def violations():
    return [row for finding in run_audit(at=clock.now()) for row in finding.rows]


def of_kind(kind):
    return Event.objects.filter(kind=kind).count()


def used_account():
    """A month paid, most of it used, so that several refunds would fit into the payment."""
    account = paying_account()
    advance(clock, clock.now() + dt.timedelta(days=24))
    return account


def about_to_confirm(account):
    """The owner's browser on the last page, with the address and the form that its button sends."""
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    run_worker()
    url = reverse("leaving_confirm", args=[account.public_id, latest(account).public_id])
    quote = re.search(r'name="quote" value="([^"]+)"', browser.get(url).content.decode())
    return browser, url, {"quote": quote.group(1)}


def press_all(browser, url, form, times=MANY):
    """The same button in all tabs at the same moment."""
    open_tabs = tabs(browser, times)
    return at_once(lambda number: open_tabs[number].post(url, form), times)


# --- Confirming -------------------------------------------------------------------------------


def test_64_identical_confirms_are_one_cancellation_one_refund_and_64_clean_answers():
    account = used_account()
    answers = press_all(*about_to_confirm(account))
    run_worker()

    cancellation = latest(account)
    refund = Refund.objects.get()
    assert codes(answers) == {302: MANY}
    assert {a["Location"] for a in answers} == {
        reverse("leaving", args=[account.public_id, cancellation.public_id])
    }
    assert cancellation.status == "completed"
    assert Cancellation.objects.count() == 1
    assert refund.amount == cancellation.quote.amount > 0
    assert [r["amount"] for r in control("GET", "/v1/refunds")["data"]] == [refund.amount]
    assert [of_kind(k) for k in ("cancellation.confirmed", "refund.decided", "refund.succeeded")] == [1, 1, 1]
    assert violations() == []


def test_with_the_guards_off_identical_confirms_refund_more_than_once(monkeypatch, constraints_off):
    """The control: no lock, no guarded update, no look at what lives, no constraint."""
    account = used_account()
    browser, url, form = about_to_confirm(account)
    constraints_off("refund_one_alive_per_reason", "instruction_version_once")
    all_have_read = threading.Barrier(4)
    read = confirmations.current_facts

    def read_together(cancellation):
        facts = read(cancellation)
        all_have_read.wait(30)
        return facts

    with monkeypatch.context() as off:
        off.setattr(confirmations, "current_facts", read_together)
        off.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
        off.setattr(RefundQuerySet, "alive", lambda rows: rows.none())
        forget_condition(off, "confirmed_at")
        press_all(browser, url, form, 4)

    assert Refund.objects.filter(account=account).count() > 1
    assert of_kind("cancellation.confirmed") > 1


def test_the_database_alone_refuses_the_second_refund(monkeypatch):
    """Without lock, guarded update and look, what is left is the constraint: one refund, but errors."""
    account = used_account()
    browser, url, form = about_to_confirm(account)
    all_have_read = threading.Barrier(4)
    read = confirmations.current_facts

    def read_together(cancellation):
        facts = read(cancellation)
        all_have_read.wait(30)
        return facts

    with monkeypatch.context() as off:
        off.setattr(confirmations, "current_facts", read_together)
        off.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
        off.setattr(RefundQuerySet, "alive", lambda rows: rows.none())
        forget_condition(off, "confirmed_at")
        answers = press_all(browser, url, form, 4)

    assert codes(answers) == {302: 1, 500: 3}
    assert Refund.objects.count() == 1


# --- Declaring --------------------------------------------------------------------------------


def about_to_declare(account):
    browser = owners_browser(account)
    page = browser.get(reverse("leave", args=[account.public_id]))
    form = {"ending": "stop_renewing", "shown": marks(page.content.decode())}
    return browser, reverse("choose_ending", args=[account.public_id]), form


def test_64_identical_declarations_are_one_cancellation_and_one_receipt():
    account = paying_account()
    answers = press_all(*about_to_declare(account))
    run_worker()

    cancellation = latest(account)
    assert codes(answers) == {302: MANY}
    assert {a["Location"] for a in answers} == {
        reverse("leaving", args=[account.public_id, cancellation.public_id])
    }
    assert Cancellation.objects.count() == 1
    assert of_kind("cancellation.received") == 1
    assert Notice.objects.get(kind="leaving_received").status == "sent"
    assert Instruction.objects.filter(kind="subscription").count() == 1
    assert violations() == []


def test_without_the_lock_identical_declarations_are_not_all_answered(monkeypatch):
    """The control: the constraint still keeps it to one cancellation, but others see an error."""
    account = paying_account()
    browser, url, form = about_to_declare(account)
    with monkeypatch.context() as off:
        off.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
        answers = press_all(browser, url, form, 16)

    assert codes(answers)[500] > 0
    assert Cancellation.objects.count() == 1


def test_without_lock_and_constraint_there_are_several_cancellations(monkeypatch, constraints_off):
    account = paying_account()
    browser, url, form = about_to_declare(account)
    constraints_off(
        "cancellation_one_open_per_account",
        "cancellation_one_open_per_subscription",
        "instruction_version_once",
    )
    with monkeypatch.context() as off:
        off.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
        press_all(browser, url, form, 16)

    assert Cancellation.objects.filter(account=account).count() > 1


# --- Carrying out and undoing -----------------------------------------------------------------


def leaving_account():
    account = paying_account()
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()
    return account


def test_two_beats_complete_once():
    account = leaving_account()
    clock.turn_to(latest(account).effective_at + dt.timedelta(minutes=1))
    by_verb = at_once(lambda number: complete_due_cancellations(at=clock.now()), 8)
    by_beat = at_once(lambda number: complete_due(), 8)

    assert sorted(by_verb) == [0] * 7 + [1]
    assert by_beat == [0] * 8
    assert of_kind("cancellation.completed") == of_kind("account.closed") == of_kind("data.closing") == 1
    assert Notice.objects.filter(kind="leaving_completed").count() == 1


def test_without_the_guard_two_beats_complete_twice(monkeypatch):
    account = leaving_account()
    clock.turn_to(latest(account).effective_at + dt.timedelta(minutes=1))
    with monkeypatch.context() as off:
        off.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
        off.setattr(CancellationQuerySet, "due", lambda rows, at: rows.all())
        at_once(lambda number: complete_due_cancellations(at=clock.now()), 4)

    assert of_kind("cancellation.completed") > 1


@pytest.mark.parametrize("attempt", range(2))
def test_an_undo_and_a_completion_at_the_same_moment_end_as_one_of_them(attempt):
    account = leaving_account()
    cancellation = latest(account)
    end, by = cancellation.effective_at, By.customer(owner_of(account))

    def race(number):
        if number % 2 == attempt % 2:
            return withdraw_cancellation(cancellation, by=by, at=end - dt.timedelta(seconds=1)).status
        return complete_due_cancellations(at=end)

    found = at_once(race, 8)
    account.refresh_from_db()
    was_undone = latest(account).status == "withdrawn"

    assert [type(f) for f in found if isinstance(f, Exception)] == [WrongState] * (0 if was_undone else 4)
    assert of_kind("cancellation.withdrawn") == int(was_undone)
    assert of_kind("cancellation.completed") == int(not was_undone)
    assert account.state == (Account.State.ACTIVE if was_undone else Account.State.CLOSED)
    assert account.access_ends_at == (None if was_undone else end)


def test_an_undo_beats_a_completion_that_has_chosen_its_work_already(monkeypatch):
    """The job has listed what is due and is about to begin when the customer keeps the subscription."""
    account = leaving_account()
    cancellation = latest(account)
    end, by = cancellation.effective_at, By.customer(owner_of(account))
    due = list(Cancellation.objects.due(end).values_list("pk", flat=True))
    withdraw_cancellation(cancellation, by=by, at=end - dt.timedelta(seconds=1))
    from offboarding.completions import complete_cancellation

    done = [complete_cancellation(Cancellation.objects.get(pk=pk), at=end) for pk in due]
    account.refresh_from_db()

    assert done == [False]
    assert account.state == Account.State.ACTIVE


# --- Webhooks ---------------------------------------------------------------------------------


def test_one_event_delivered_16_times_at_once_is_taken_in_and_applied_once():
    account = paying_account()
    refunded = Refund.objects.count()
    intent = account.payments.get().provider_id
    control_refund(intent)
    deliveries = control("GET", "/_sandbox/deliveries")["deliveries"]
    answers = at_once(lambda number: [post_webhook(d).status_code for d in deliveries], 16)
    taken = Incoming.objects.filter(event_id__in=[d["event"]["id"] for d in deliveries])
    applied = at_once(lambda number: inbox.apply_due_events(at=clock.now()), 8)
    run_worker()

    assert answers == [[200] * len(deliveries)] * 16
    assert taken.count() == len(deliveries)
    assert not [a for a in applied if isinstance(a, Exception)]
    assert Refund.objects.count() == refunded + 1
    assert of_kind("refund.succeeded") == 1
    assert not taken.filter(status="new").exists()


def control_refund(intent):
    """Someone refunds by hand at the provider."""
    from billing.stripe_api import calling

    with calling() as stripe:
        stripe.v1.refunds.create(params={"payment_intent": intent, "amount": 700})


# --- Taking guards off ------------------------------------------------------------------------


def forget_condition(monkeypatch, name):
    """The guarded update asks neither for this column nor whether it is still open."""
    narrow = CancellationQuerySet.filter

    def wide(rows, *args, **kwargs):
        kwargs.pop(name, None)
        return narrow(rows, *args, **kwargs)

    monkeypatch.setattr(CancellationQuerySet, "filter", wide)
    monkeypatch.setattr(CancellationQuerySet, "open", lambda rows: rows.all())


@pytest.fixture
def constraints_off():
    """Drop unique constraints for this test; they are made again when its rows are gone."""
    dropped = []

    def drop(*names):
        with connection.cursor() as cursor:
            for name in names:
                cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
                [definition] = cursor.fetchone()
                cursor.execute(
                    "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = %s", [name]
                )
                table = cursor.fetchone()
                if table:
                    cursor.execute(f"ALTER TABLE {table[0]} DROP CONSTRAINT {name}")
                else:
                    cursor.execute(f"DROP INDEX {name}")
                dropped.append((name, table, definition))

    yield drop
    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)
    with connection.cursor() as cursor:
        for name, table, definition in dropped:
            cursor.execute(definition)
            if table:
                cursor.execute(f"ALTER TABLE {table[0]} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}")
