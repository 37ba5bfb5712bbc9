"""Several workers and several clicks at once. Only PostgreSQL really runs them side by side."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections

from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.models import Event, Notice
from accounts.tests.worlds import make_account, owner_of
from billing import inbox, outgoing
from billing.checkout import start_with_card_on_file
from billing.instructions import instruct
from billing.models import Customer, Incoming, Instruction, Payment, Refund, Subscription
from billing.models.refund import RefundQuerySet
from billing.stripe_api import StripeUnavailable, calling
from billing.tests.test_refunding import at_provider, decide, paid
from billing.tests.worlds import (
    TurnableClock,
    deliver_webhooks,
    make_customer_with_card,
    make_plan,
    run_worker,
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("noon", "alone"),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="races need PostgreSQL: set DATABASE_URL to one"
    ),
]


def at_once(work: Callable[[int], Any], times: int = 8) -> list[Any]:
    """Run `work(n)` in so many threads that begin together; what each returned or raised."""
    start, found = threading.Barrier(times), [None] * times

    def run(number: int) -> None:
        start.wait()
        try:
            found[number] = work(number)
        except Exception as error:
            found[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def refused(found: list[Any]) -> list[Any]:
    return [result for result in found if isinstance(result, WrongState)]


def broken(found: list[Any]) -> list[Any]:
    return [r for r in found if isinstance(r, Exception) and not isinstance(r, WrongState)]


def test_many_workers_send_an_order_once(noon: TurnableClock) -> None:
    payment = paid(make_account())
    decide(payment, 1000)
    found = at_once(lambda number: outgoing.send_due_instructions(at=noon.now()))

    assert broken(found) == []
    assert sum(found) == 1
    assert len(at_provider(payment)) == 1
    assert Instruction.objects.get(kind="refund").attempts == 1


def test_many_workers_apply_each_event_once(noon: TurnableClock) -> None:
    payment = paid(make_account())
    with calling() as stripe:
        stripe.v1.refunds.create(params={"payment_intent": payment.provider_id, "amount": 700})
    deliver_webhooks()
    waiting = Incoming.objects.filter(status="new").count()
    found = at_once(lambda number: inbox.apply_due_events(at=noon.now()))
    run_worker()

    assert broken(found) == []
    assert waiting > 0
    assert Refund.objects.count() == 1
    assert not Incoming.objects.filter(status="new").exists()
    assert Event.objects.filter(kind="refund.succeeded").count() == 1


def test_many_clicks_are_one_refund() -> None:
    payment = paid(make_account())
    found = at_once(lambda number: decide(payment, 1000), 16)
    run_worker()

    assert broken(found) == []
    assert len({refund.pk for refund in found}) == 1
    assert len(at_provider(payment)) == 1


def test_many_refunds_never_exceed_the_payment() -> None:
    payment = paid(make_account())
    found = at_once(lambda number: decide(payment, 1000, reason_ref=f"cancellation:{number}"))
    run_worker()

    payment.refresh_from_db()
    assert broken(found) == []
    assert len(refused(found)) == 6
    assert payment.refund_reserved == 2000
    assert len(at_provider(payment)) == 2


def test_without_the_lock_the_clicks_collide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with the payment's lock off, what the two tests above show is not so."""
    payment = paid(make_account())
    monkeypatch.setattr(type(Payment.objects), "select_for_update", lambda self, **_: self.all())
    find = RefundQuerySet.alive

    def find_slowly(self: RefundQuerySet) -> RefundQuerySet:
        found = find(self).all()
        len(found)
        time.sleep(0.3)
        return found.filter(pk__in=[row.pk for row in found])

    monkeypatch.setattr(RefundQuerySet, "alive", find_slowly)
    found = at_once(lambda number: decide(payment, 100))

    assert {type(error).__name__ for error in broken(found)} == {"IntegrityError"}
    assert Refund.objects.count() == 1


def test_many_wishes_about_one_subject_have_one_order_of_versions() -> None:
    account = make_account()
    found = at_once(
        lambda number: instruct(
            account, kind="credit", subject="credit:one", desired={}, at=account.created_at, by=SYSTEM
        )
    )

    versions = Instruction.objects.order_by("version")
    assert broken(found) == []
    assert list(versions.values_list("version", flat=True)) == list(range(1, 9))
    assert list(versions.values_list("status", flat=True)) == ["superseded"] * 7 + ["pending"]


def test_many_clicks_on_pay_are_one_subscription_and_one_payment(noon: TurnableClock) -> None:
    from accounts.events import By

    account, plan = make_account(), make_plan()
    make_customer_with_card(account)
    by = By.customer(owner_of(account))
    found = at_once(lambda number: start_with_card_on_file(account, plan, by=by, at=noon.now()), 6)
    run_worker()

    faults = [f for f in broken(found) if not isinstance(f, StripeUnavailable) and type(f).__name__ != "Busy"]
    assert faults == []
    assert Subscription.objects.live().count() == 1
    assert Payment.objects.count() == 1
    assert Notice.objects.filter(kind="payment_received").count() == 1
    with calling() as stripe:
        listed = stripe.v1.subscriptions.list(params={"customer": Customer.objects.get().provider_id})
        assert len(listed.data) == 1
