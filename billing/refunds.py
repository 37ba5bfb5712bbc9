"""Refunds: reserved on the payment, written down, sent, followed until they land or fail."""

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts import notices
from accounts.errors import WrongState
from accounts.events import PROVIDER, SYSTEM, By, record
from accounts.models import Member, Terms
from billing.instructions import instruct
from billing.models import Instruction, Payment, Refund, RefundMovement
from billing.signals import refund_changed
from billing.stripe_api import ProviderRefund, optional

State = Refund.State

#: The provider's words for a refund's state, in ours.
STATES = {
    "succeeded": State.SUCCEEDED,
    "pending": State.PENDING,
    "requires_action": State.PENDING,
    "failed": State.FAILED,
    "canceled": State.FAILED,
}


@transaction.atomic
def make_refund(
    payment: Payment,
    *,
    amount: int,
    tax: int,
    basis: str,
    reason_ref: str,
    quote_ref: str,
    terms: Terms,
    is_voluntary: bool,
    by: By,
    at: dt.datetime,
) -> Refund:
    """Decide one refund of `amount` minor units on this payment and tell the provider.

    The amount is reserved by a guarded update, so that parallel refunds never exceed the payment
    (R1); one that lives already for the same reason and payment is returned unchanged (R2).
    """
    Payment.objects.select_for_update().get(pk=payment.pk)
    living = Refund.objects.alive().filter(reason_ref=reason_ref, payment=payment).first()
    if living is not None:
        return living
    room = F("amount") - F("refund_reserved") - F("refunded_elsewhere") - F("disputed")
    fits = Payment.objects.alias(room=room).filter(pk=payment.pk, room__gte=amount)
    if not fits.update(refund_reserved=F("refund_reserved") + amount):
        raise WrongState("The payment has less left than this refund.")
    refund = Refund.objects.create(
        account=payment.account,
        payment=payment,
        reason_ref=reason_ref,
        quote_ref=quote_ref,
        terms=terms,
        basis=basis,
        amount=amount,
        tax=tax,
        currency=payment.currency,
        is_voluntary=is_voluntary,
        created_at=at,
        arrives_by=at + dt.timedelta(days=terms.refund_arrival_days),
    )
    record(
        payment.account,
        "refund.decided",
        by=by,
        at=at,
        subject=f"refund:{refund.public_id}",
        amount=amount,
        currency=payment.currency,
        basis=basis,
    )
    instruct(
        payment.account,
        kind=Instruction.Kind.REFUND,
        subject=f"refund:{refund.public_id}",
        at=at,
        by=by,
        desired={"refund": refund.public_id, "payment_intent": payment.provider_id, "amount": amount},
    )
    return refund


def move_refund(refund: Refund, state: str, *, by: By, at: dt.datetime, **columns: Any) -> bool:
    """One guarded move with its event, movement and mail; False when it is there already.

    Raises `WrongState` for a move that `Refund.MOVES` does not allow.
    """
    if refund.state == state:
        return False
    if state not in Refund.MOVES[refund.state]:
        raise WrongState(f"A refund that is {refund.state} cannot become {state}.")
    if not Refund.objects.filter(pk=refund.pk, state=refund.state).update(state=state, **columns):
        raise WrongState("The refund moved meanwhile.")
    refund.refresh_from_db()
    record(
        refund.account,
        f"refund.{state}",
        by=by,
        at=at,
        subject=f"refund:{refund.public_id}",
        amount=refund.amount,
        currency=refund.currency,
    )
    refund_changed.send(Refund, refund=refund, at=at)
    return True


def mark_sending(instruction: Instruction, *, at: dt.datetime) -> None:
    """The row says `sending` before the call is made, in the transaction that claims it."""
    refund = refund_of(instruction)
    if refund is not None and refund.state in (State.INTENT, State.UNKNOWN):
        move_refund(refund, State.SENDING, by=SYSTEM, at=at, sent_at=refund.sent_at or at)


def mark_unanswered(instruction: Instruction, *, is_unknown: bool, at: dt.datetime) -> None:
    """No answer came: the outcome is unknown. (A 429 executed nothing; the row stays `sending`.)"""
    refund = refund_of(instruction)
    if refund is not None and is_unknown and refund.state == State.SENDING:
        move_refund(refund, State.UNKNOWN, by=SYSTEM, at=at)


def mark_refused(instruction: Instruction, why: str, *, at: dt.datetime) -> None:
    """The provider refused it: failed, the reservation is free again, staff and customer are told."""
    refund = refund_of(instruction)
    if refund is not None and refund.state in (State.SENDING, State.UNKNOWN):
        _fail(refund, why, at=at, moved_back_at=None, balance_transaction="")


def record_answer(instruction: Instruction, provider: ProviderRefund, *, at: dt.datetime) -> None:
    """Write what the provider answered to our own refund."""
    refund = refund_of(instruction)
    if refund is not None:
        apply_provider_refund(refund, provider, at=at)


def refund_of(instruction: Instruction) -> Refund | None:
    """The refund that an instruction carries, or None for another kind; locked where the database can."""
    if instruction.kind != Instruction.Kind.REFUND:
        return None
    return (
        Refund.objects.select_for_update()
        .select_related("account", "payment")
        .get(public_id=instruction.desired["refund"])
    )


@transaction.atomic
def apply_provider_refund(refund: Refund, provider: ProviderRefund, *, at: dt.datetime) -> None:
    """Bring our row to the provider's state, whatever came before; known news changes nothing (I2)."""
    refund = Refund.objects.select_for_update().select_related("account", "payment").get(pk=refund.pk)
    state = STATES.get(str(provider.status), State.PENDING)
    moved_at = dt.datetime.fromtimestamp(int(provider.created), dt.UTC)
    transaction_id = str(optional(provider, "balance_transaction") or "")
    if state == State.FAILED:
        if refund.state != State.FAILED:
            _arrived(refund, State.PENDING, provider.id, moved_at, transaction_id, at=at)
            _fail(
                refund,
                str(optional(provider, "failure_reason") or provider.status),
                at=at,
                moved_back_at=at,
                balance_transaction=str(optional(provider, "failure_balance_transaction") or ""),
            )
        return
    _arrived(refund, state, provider.id, moved_at, transaction_id, at=at)


def _arrived(
    refund: Refund,
    state: str,
    provider_id: str,
    moved_at: dt.datetime,
    transaction_id: str,
    *,
    at: dt.datetime,
) -> None:
    """The provider has it: write its id, and the movement for the books once."""
    if refund.state in (State.FAILED, State.SUCCEEDED) or (refund.state == State.PENDING == state):
        return
    if refund.state == State.INTENT:
        move_refund(refund, State.SENDING, by=SYSTEM, at=at, sent_at=at)
    move_refund(refund, state, by=PROVIDER, at=at, provider_id=provider_id, moved_at=moved_at)
    RefundMovement.objects.get_or_create(
        refund=refund,
        kind=RefundMovement.Kind.REFUND,
        defaults={
            "amount": refund.amount,
            "tax": refund.tax,
            "currency": refund.currency,
            "moved_at": moved_at,
            "balance_transaction": transaction_id,
        },
    )
    if refund.basis != Refund.Basis.EXTERNAL:
        _tell(refund, "refund_sent", at=at)


def _fail(
    refund: Refund, why: str, *, at: dt.datetime, moved_back_at: dt.datetime | None, balance_transaction: str
) -> None:
    """It did not reach the customer (R6): the money is ours again to give, and nobody is told it is paid."""
    move_refund(refund, State.FAILED, by=PROVIDER, at=at, failure=why[:60], failed_at=at)
    if refund.basis != Refund.Basis.EXTERNAL:
        Payment.objects.filter(pk=refund.payment_id).update(
            refund_reserved=F("refund_reserved") - refund.amount
        )
    if moved_back_at is not None:
        RefundMovement.objects.get_or_create(
            refund=refund,
            kind=RefundMovement.Kind.REVERSAL,
            defaults={
                "amount": refund.amount,
                "tax": refund.tax,
                "currency": refund.currency,
                "moved_at": moved_back_at,
                "balance_transaction": balance_transaction,
            },
        )
    if refund.basis != Refund.Basis.EXTERNAL:  # nobody was told that it left
        _tell(refund, "refund_failed", at=at)


def _tell(refund: Refund, kind: str, *, at: dt.datetime) -> None:
    payers = [m.user for m in Member.objects.payers().filter(account=refund.account).select_related("user")]
    notices.owe(
        refund.account, kind, to=payers, period=refund.public_id, subject=f"refund:{refund.public_id}", at=at
    )


@transaction.atomic
def import_external_refund(payment: Payment, provider: ProviderRefund, *, at: dt.datetime) -> Refund:
    """A refund made by hand at the provider gets its local row (R3); it decides nothing, it is counted."""
    refund, _created = Refund.objects.get_or_create(
        provider_id=provider.id,
        defaults={
            "account": payment.account,
            "payment": payment,
            "basis": Refund.Basis.EXTERNAL,
            "amount": provider.amount,
            "currency": payment.currency,
            "is_voluntary": False,
            "created_at": at,
            "state": State.SENDING,
        },
    )
    apply_provider_refund(refund, provider, at=at)
    return refund
