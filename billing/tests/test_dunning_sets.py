"""The end of access in one statement leaves what it leaves step by step, also beside what is not ordinary."""

import threading

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import Account, Event, Member, Notice
from bench import dunning_sweep as bench
from billing import dunning_sweep
from billing.models import DunningCase, Invoice

LATER = [["block", "2026-03-17"], ["a10", "2026-03-18"], ["end", "2026-03-19"]]


def make_world():
    """Cases in three zones with two plans; told, untold, with nobody to read, shut before, two at once."""
    bench.make_world(120)
    bench.prepare(12)
    cases = list(DunningCase.objects.select_related("account").order_by("pk"))
    for case, zone in zip(cases, ("Europe/Madrid", "America/New_York", "Pacific/Auckland") * 4, strict=True):
        Account.objects.filter(pk=case.account_id).update(time_zone=zone)
    keys = [case.pk for case in cases]
    DunningCase.objects.filter(pk__in=keys[3:6]).update(plan=LATER)
    mails = Notice.objects.filter(kind="payment_failed")
    mails.filter(account=cases[6].account_id).update(sent_at=bench.AT)
    mails.filter(account=cases[7].account_id).update(status="dropped", sent_at=None, reason="nobody")
    mails.filter(account=cases[8].account_id).delete()
    Account.objects.filter(pk=cases[9].account_id).update(state="frozen")
    Account.objects.filter(pk=cases[10].account_id).update(state="active")
    DunningCase.objects.filter(pk=cases[10].pk).update(status="paid", closed_at=bench.AT)
    columns = {"currency": "EUR", "created_at": bench.OPENED, "synced_at": bench.OPENED, "status": "open"}
    more = Invoice.objects.create(account=cases[0].account, provider_id="in_more", **columns)
    second = DunningCase.objects.get(pk=keys[0])
    second.pk, second.invoice, second.public_id = None, more, "second"
    second.save()
    Member.objects.filter(account=cases[1].account_id).update(left_at=bench.AT)


def left_behind(act):
    """Every row as `act` leaves it, without the keys that a sequence gives; the world is as before then."""
    found = []
    with transaction.atomic():
        act()
        for model in (Account, DunningCase, Event, Notice):
            columns = [f.attname for f in model._meta.concrete_fields if not f.primary_key]
            found.append(sorted(map(repr, model.objects.order_by().values(*columns))))
        transaction.set_rollback(True)
    return found


def sweep():
    dunning_sweep.run_dunning(at=bench.AT)


def sweep_twice():
    sweep()
    sweep()


@pytest.mark.django_db
def test_the_end_of_access_in_one_statement_is_the_one_step_by_step(monkeypatch):
    make_world()
    before, swept = left_behind(lambda: None), left_behind(sweep_twice)
    monkeypatch.setattr(dunning_sweep, "take_plain_blocks", lambda held, told, *, at: [])

    assert swept == left_behind(sweep_twice) != before
    assert sum("'state': 'frozen'" in row for row in swept[0]) == 10
    assert sum("account.frozen" in row for row in swept[2]) == 9
    assert sum("told_late" in row for row in swept[2]) == 1
    assert sum("'access_blocked'" in row for row in swept[3]) == 10


@pytest.mark.django_db
def test_what_is_left_is_worked_out_for_each_zone_and_plan():
    make_world()
    sweep()
    found = DunningCase.objects.filter(blocked_at=bench.AT).values_list("account__time_zone", "next_at")

    assert {(zone, f"{at:%d %H:%M}") for zone, at in found} == {
        ("Europe/Madrid", "21 08:00"),
        ("America/New_York", "21 13:00"),
        ("Pacific/Auckland", "20 20:00"),
        ("Europe/Madrid", "19 08:00"),
        ("America/New_York", "19 13:00"),
        ("Pacific/Auckland", "19 20:00"),
    }


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite it is done step by step")
@pytest.mark.django_db
def test_a_plan_that_changed_after_the_look_is_taken_step_by_step(monkeypatch):
    make_world()
    hold, swept = dunning_sweep.hold_blocks, left_behind(sweep_twice)
    old = [("Europe/Madrid", [["block", "2000-01-01"], ["end", "2000-01-02"]])]
    monkeypatch.setattr(
        dunning_sweep, "hold_blocks", lambda chunk, *, at: hold(chunk, at=at)._replace(plans=old)
    )

    assert left_behind(sweep_twice) == swept


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite the transaction is the lock")
@pytest.mark.django_db(transaction=True)
def test_nobody_can_pay_between_the_look_and_the_freeze(monkeypatch):
    bench.make_world(20)
    bench.prepare(2)
    take, found = dunning_sweep.take_plain_blocks, []

    def pay():
        try:
            with transaction.atomic():
                found.append(len(Account.objects.filter(state="grace").select_for_update(nowait=True)))
        except OperationalError:
            found.append("busy")
        connection.close()

    def pay_first(held, told, *, at):
        payer = threading.Thread(target=pay)
        payer.start()
        payer.join()
        return take(held, told, at=at)

    monkeypatch.setattr(dunning_sweep, "take_plain_blocks", pay_first)

    assert dunning_sweep.run_dunning(at=bench.AT) == 2
    assert found == ["busy"]
