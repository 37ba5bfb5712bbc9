"""When the provider does not answer: one refund, whatever was lost; nothing under a second key."""

import datetime as dt
from typing import Any

import pytest

from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.tests.worlds import make_account
from billing import outgoing, provider_writes, reconciliation
from billing.instructions import abandon_instruction, replay_instruction
from billing.models import Customer, Instruction, Payment, Refund
from billing.stripe_api import StripeForbidden, calling
from billing.tests.test_refunding import at_provider, decide, paid
from billing.tests.worlds import TurnableClock, control, fault, make_subscription, run_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon", "alone")]

REFUNDS = "/v1/refunds$"


def the_order() -> Instruction:
    return Instruction.objects.get(kind="refund")


def refund_calls() -> list[Any]:
    calls = control("GET", "/_sandbox/requests")["requests"]
    return [call for call in calls if (call["method"], call["path"]) == ("POST", "/v1/refunds")]


def later(clock: TurnableClock, **span: float) -> None:
    clock.turn_to(clock.now() + dt.timedelta(**span))
    run_worker()


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "500_before", "500_after", "409"])
def test_an_unknown_outcome_ends_in_one_refund_under_one_key(kind: str, noon: TurnableClock) -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    fault(kind, path=REFUNDS)
    outgoing.send_due_instructions(at=noon.now())
    refund.refresh_from_db()
    between = refund.state
    later(noon, minutes=2)

    refund.refresh_from_db()
    assert (between, refund.state) == ("unknown", "succeeded")
    assert [r.amount for r in at_provider(payment)] == [1000]
    assert len({call["idempotency_key"] for call in refund_calls()}) == 1


def test_429_executed_nothing_and_is_sent_again(noon: TurnableClock) -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    fault("429", path=REFUNDS)
    outgoing.send_due_instructions(at=noon.now())
    refund.refresh_from_db()
    between = (refund.state, the_order().status)
    later(noon, minutes=2)

    refund.refresh_from_db()
    assert between == ("sending", "pending")
    assert refund.state == "succeeded"
    assert len(at_provider(payment)) == 1


def test_a_slow_answer_is_an_answer(noon: TurnableClock) -> None:
    refund = decide(paid(make_account()), 1000)
    fault("slow", path=REFUNDS, seconds=1.0)
    run_worker()

    refund.refresh_from_db()
    assert refund.state == "succeeded"


def test_a_webhook_that_overtakes_the_answer_is_the_same_refund(noon: TurnableClock) -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    fault("drop_after", path=REFUNDS)
    run_worker()  # the answer is lost, the event is not

    refund.refresh_from_db()
    assert refund.state == "succeeded"
    assert Refund.objects.count() == 1
    later(noon, minutes=2)
    assert len(at_provider(payment)) == 1


def test_after_23_hours_it_is_looked_for_and_adopted(noon: TurnableClock, monkeypatch: Any) -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    fault("drop_after", path=REFUNDS)
    outgoing.send_due_instructions(at=noon.now())
    control("POST", "/_sandbox/idempotency/age", {"hours": 25})
    noon.turn_to(noon.now() + dt.timedelta(hours=23, minutes=5))
    outgoing.send_due_instructions(at=noon.now())

    refund.refresh_from_db()
    assert refund.state == "succeeded"
    assert len(at_provider(payment)) == 1
    assert len(refund_calls()) == 1


def test_after_23_hours_what_cannot_be_found_goes_to_a_person(noon: TurnableClock) -> None:
    payment = paid(make_account())
    decide(payment, 1000)
    fault("drop_before", path=REFUNDS)
    outgoing.send_due_instructions(at=noon.now())
    noon.turn_to(noon.now() + dt.timedelta(hours=23, minutes=5))
    outgoing.send_due_instructions(at=noon.now())

    assert the_order().status == "dead"
    assert Instruction.objects.needing_a_person(noon.now()).count() == 1
    assert len(refund_calls()) == 1
    assert at_provider(payment) == []


def test_a_wrong_key_stops_everything_and_loses_nothing(noon: TurnableClock, settings: Any) -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    decide(payment, 500, reason_ref="cancellation:two")
    key = settings.STRIPE_SECRET_KEY
    settings.STRIPE_SECRET_KEY = "sk_live_of_another_world_entirely"
    outgoing.send_due_instructions(at=noon.now())
    states = sorted(Instruction.objects.filter(kind="refund").values_list("attempts", flat=True))
    settings.STRIPE_SECRET_KEY = key
    later(noon, minutes=2)

    refund.refresh_from_db()
    assert states == [0, 1]
    assert refund.state == "succeeded"


def test_a_refusal_needs_a_person_who_replays_it_under_a_new_key(noon: TurnableClock) -> None:
    account = make_account()
    make_subscription(account)
    customer = Customer.objects.get()
    from billing.instructions import instruct

    desired = {"customer": "cus_nobody", "amount": 500, "currency": "EUR", "for": "one"}
    order = instruct(account, kind="credit", subject="credit:one", desired=desired, at=noon.now(), by=SYSTEM)
    run_worker()
    order.refresh_from_db()
    first = (order.status, order.error, order.idempotency_key)
    Instruction.objects.filter(pk=order.pk).update(desired=desired | {"customer": customer.provider_id})
    replay_instruction(order, by=SYSTEM, at=noon.now())
    run_worker()

    order.refresh_from_db()
    assert first[:2] == ("dead", "resource_missing")
    assert order.status == "done"
    assert order.idempotency_key != first[2]


def test_only_a_dead_letter_is_replayed_or_abandoned(noon: TurnableClock) -> None:
    decide(paid(make_account()), 1000)

    with pytest.raises(WrongState):
        replay_instruction(the_order(), by=SYSTEM, at=noon.now())
    with pytest.raises(WrongState):
        abandon_instruction(the_order(), reason="no", by=SYSTEM, at=noon.now())


def test_whoever_lost_the_lease_writes_nothing(noon: TurnableClock, monkeypatch: Any) -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    write, taken = provider_writes.write, []

    def slow_write(instruction: Instruction) -> Any:
        answer = write(instruction)
        if not taken:  # while the first worker hung, its lease ran out and a second one took over
            taken.append(True)
            outgoing.send_due_instructions(at=noon.now() + outgoing.LEASE + dt.timedelta(seconds=1))
        return answer

    monkeypatch.setattr(provider_writes, "write", slow_write)
    first = outgoing.send_instruction(the_order().pk, at=noon.now())

    refund.refresh_from_db()
    assert first is False
    assert (the_order().status, the_order().attempts) == ("done", 2)
    assert refund.state == "succeeded"
    assert len(at_provider(payment)) == 1


def test_a_lease_holds_others_off_until_it_ends(noon: TurnableClock) -> None:
    decide(paid(make_account()), 1000)
    order = the_order()
    claimed = outgoing._claim(order.pk, "me", at=noon.now())
    again = outgoing._claim(order.pk, "you", at=noon.now() + outgoing.LEASE - dt.timedelta(seconds=1))
    after = outgoing._claim(order.pk, "you", at=noon.now() + outgoing.LEASE)

    assert claimed is not None
    assert again is None
    assert after is not None


def test_an_outage_of_reading_leaves_the_event_for_later(noon: TurnableClock) -> None:
    account = make_account()
    fault("500_before", method="GET", path="/v1/invoices/", count=3)
    make_subscription(account)
    later(noon, minutes=2)

    assert Payment.objects.count() == 1


def test_reconciling_imports_what_no_event_told(noon: TurnableClock) -> None:
    from accounts.models import Event

    payment = paid(make_account())
    control("POST", "/_sandbox/webhook_plan", {"seed": 1, "drop": 1.0})
    with calling() as stripe:
        stripe.v1.refunds.create(params={"payment_intent": payment.provider_id, "amount": 700})
    done = reconciliation.reconcile_due(at=noon.now())

    payment.refresh_from_db()
    assert done == 1
    assert payment.refunded_elsewhere == 700
    assert Event.objects.filter(kind="billing.drift").count() == 1
    assert reconciliation.reconcile_due(at=noon.now()) == 0


def test_reconciling_where_nothing_moved_says_nothing(noon: TurnableClock) -> None:
    from accounts.models import Event

    make_subscription(make_account())
    reconciliation.reconcile_due(at=noon.now())

    assert not Event.objects.filter(kind="billing.drift").exists()


def test_one_unanswered_customer_does_not_hold_up_the_others(noon: TurnableClock) -> None:
    make_subscription(make_account())
    make_subscription(make_account())
    fault("500_before", method="GET", path="/v1/customers/")

    assert reconciliation.reconcile_due(at=noon.now()) == 1
    assert reconciliation.reconcile_due(at=noon.now()) == 1


def test_a_forbidden_call_says_so(settings: Any) -> None:
    settings.STRIPE_SECRET_KEY = "sk_live_of_another_world_entirely"

    with pytest.raises(StripeForbidden), calling() as stripe:
        stripe.v1.customers.list()
