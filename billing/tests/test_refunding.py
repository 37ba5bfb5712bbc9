"""Refunds at the sandbox: sent, pending, failed later, made elsewhere, disputed, given as credit."""

import datetime as dt
from typing import Any

import pytest

from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.models import Account, Event, Notice
from accounts.tests.worlds import NOON, make_account
from billing import refunds
from billing.instructions import instruct
from billing.models import Customer, Dispute, Payment, Refund, RefundMovement
from billing.stripe_api import calling
from billing.tests.worlds import control, make_subscription, run_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def decide(payment: Payment, amount: int, **different: Any) -> Refund:
    """A refund that our terms grant, decided now."""
    columns: dict[str, Any] = {
        "tax": 0,
        "basis": Refund.Basis.TERMS,
        "reason_ref": "cancellation:one",
        "quote_ref": "quote:one",
        "terms": payment.account.terms,
        "is_voluntary": True,
        "by": SYSTEM,
        "at": NOON,
    }
    return refunds.make_refund(payment, amount=amount, **(columns | different))


def paid(account: Account, card: str = "pm_card_visa") -> Payment:
    """The payment of a subscription that has just started."""
    make_subscription(account, card=card)
    return Payment.objects.select_related("account__terms").get(account=account)


def at_provider(payment: Payment) -> list[Any]:
    with calling() as stripe:
        return list(stripe.v1.refunds.list(params={"payment_intent": payment.provider_id}).data)


def test_a_refund_reaches_the_provider_once_and_is_told() -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    run_worker()

    refund.refresh_from_db()
    sent = at_provider(payment)
    assert [(r.amount, r.metadata["good_terms_refund"]) for r in sent] == [(1000, refund.public_id)]
    assert (refund.state, refund.provider_id) == ("succeeded", sent[0].id)
    assert Notice.objects.filter(kind="refund_sent").count() == 1
    assert list(RefundMovement.objects.values_list("kind", "amount")) == [("refund", 1000)]


def test_two_refunds_of_equal_amount_for_two_reasons_both_work() -> None:
    payment = paid(make_account())
    decide(payment, 1000)
    decide(payment, 1000, reason_ref="cancellation:two")
    run_worker()

    assert [r.amount for r in at_provider(payment)] == [1000, 1000]
    assert Refund.objects.filter(state="succeeded").count() == 2


def test_the_same_reason_gives_the_same_refund() -> None:
    payment = paid(make_account())
    first, second = decide(payment, 1000), decide(payment, 1000)
    run_worker()

    assert first.pk == second.pk
    assert len(at_provider(payment)) == 1


def test_more_than_was_paid_is_refused_before_anything_is_sent() -> None:
    payment = paid(make_account())
    decide(payment, 2000)

    with pytest.raises(WrongState):
        decide(payment, 901, reason_ref="cancellation:two")


def test_a_pending_refund_is_on_its_way_until_the_bank_has_it() -> None:
    payment = paid(make_account(), card="pm_card_pendingRefund")
    refund = decide(payment, 1000)
    run_worker()
    refund.refresh_from_db()
    was = refund.state
    control("POST", f"/_sandbox/refunds/{refund.provider_id}/succeed")
    run_worker()

    refund.refresh_from_db()
    assert (was, refund.state) == ("pending", "succeeded")
    assert Notice.objects.filter(kind="refund_sent").count() == 1
    assert RefundMovement.objects.count() == 1


def test_a_refund_that_fails_later_is_taken_back_in_the_books_and_told() -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    run_worker()
    refund.refresh_from_db()
    control("POST", f"/_sandbox/refunds/{refund.provider_id}/fail")
    run_worker()

    refund.refresh_from_db()
    payment.refresh_from_db()
    assert (refund.state, refund.failure) == ("failed", "expired_or_canceled_card")
    assert payment.refund_reserved == 0
    assert sorted(RefundMovement.objects.values_list("kind", "amount")) == [
        ("refund", 1000),
        ("reversal", 1000),
    ]
    assert Notice.objects.filter(kind="refund_failed", status="sent").count() == 1


def test_a_refund_made_by_hand_at_the_provider_is_imported_and_told_to_nobody() -> None:
    payment = paid(make_account())
    with calling() as stripe:
        made = stripe.v1.refunds.create(params={"payment_intent": payment.provider_id, "amount": 700})
    run_worker()

    refund = Refund.objects.get()
    payment.refresh_from_db()
    assert (refund.basis, refund.amount, refund.provider_id) == ("external", 700, made.id)
    assert (payment.refunded_elsewhere, payment.left) == (700, 2200)
    assert not Notice.objects.filter(kind="refund_sent").exists()


def test_an_external_refund_that_fails_is_no_longer_counted() -> None:
    payment = paid(make_account())
    with calling() as stripe:
        made = stripe.v1.refunds.create(params={"payment_intent": payment.provider_id, "amount": 700})
    run_worker()
    control("POST", f"/_sandbox/refunds/{made.id}/fail")
    run_worker()

    payment.refresh_from_db()
    assert payment.left == 2900
    assert not Notice.objects.filter(kind="refund_failed").exists()


def test_a_dispute_takes_its_amount_until_it_is_won() -> None:
    payment = paid(make_account())
    dispute = control("POST", f"/_sandbox/charges/{payment.charge_id}/dispute", {})
    run_worker()
    payment.refresh_from_db()
    left = payment.left
    control("POST", f"/_sandbox/disputes/{dispute['id']}/win")
    run_worker()

    payment.refresh_from_db()
    assert (left, payment.left) == (0, 2900)
    assert Dispute.objects.get().status == "won"


def test_a_refund_of_a_disputed_payment_is_refused() -> None:
    payment = paid(make_account())
    control("POST", f"/_sandbox/charges/{payment.charge_id}/dispute", {})
    run_worker()

    with pytest.raises(WrongState):
        decide(payment, 100)


def test_a_refund_overtaken_by_a_dispute_fails_and_is_never_shown_as_paid() -> None:
    payment = paid(make_account())
    refund = decide(payment, 1000)
    control("POST", f"/_sandbox/charges/{payment.charge_id}/dispute", {})
    run_worker()

    refund.refresh_from_db()
    assert refund.state == "failed"
    assert at_provider(payment) == []
    assert not Notice.objects.filter(kind="refund_sent").exists()


def test_what_was_paid_with_credit_goes_back_as_credit() -> None:
    account = make_account()
    make_subscription(account)
    customer = Customer.objects.get(account=account)
    instruct(
        account,
        kind="credit",
        subject="credit:one",
        desired={"customer": customer.provider_id, "amount": 500, "currency": "EUR", "for": "one"},
        at=NOON,
        by=SYSTEM,
    )
    run_worker()

    customer.refresh_from_db()
    assert customer.credit == 500


def test_every_move_of_a_refund_is_in_the_history_once() -> None:
    account = make_account()
    decide(paid(account), 1000)
    run_worker()
    run_worker()

    seen = Event.objects.filter(account_ref=account.public_id, kind__startswith="refund.")
    assert list(seen.order_by("seq").values_list("kind", flat=True)) == [
        "refund.decided",
        "refund.sending",
        "refund.succeeded",
    ]


def test_the_mail_says_when_it_arrives_and_on_which_card(mailoutbox: list[Any]) -> None:
    payment = paid(make_account())
    decide(payment, 1000)
    mailoutbox.clear()
    run_worker()

    arrives = NOON + dt.timedelta(days=payment.account.terms.refund_arrival_days)
    assert "€10.00" in mailoutbox[0].subject
    assert "4242" in mailoutbox[0].body
    assert f"{arrives.day} {arrives:%B} {arrives.year}" in mailoutbox[0].body
