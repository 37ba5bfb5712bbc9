"""Free days first: time to decide that never costs the refund (R9)."""

import datetime as dt

from django.db import transaction

from accounts import notices
from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Account, User
from accounts.recipients import payers
from billing.models import Payment
from billing.subscriptions import move_local_end, steer_subscription
from offboarding.completions import complete_cancellation
from offboarding.declarations import limit_access, require_right
from offboarding.models import Cancellation, Reservation
from offboarding.outcomes import Outcome
from offboarding.payouts import give_back
from offboarding.quotes import FactsMoved

#: The two reminders before the refund can no longer be claimed.
REMIND_BEFORE = (dt.timedelta(days=7), dt.timedelta(days=2))


def reserve_refund(cancellation: Cancellation, outcome: Outcome, *, by: By, at: dt.datetime) -> Reservation:
    """Keep today's refund safe until its deadline, and move the end of what is paid by the free days."""
    account, quote = cancellation.account, cancellation.quote
    if quote.claim_until is None or outcome.free_until is None:
        raise WrongState("This quote has no deadline for a claim.")
    reservation = Reservation.objects.create(
        cancellation=cancellation,
        quote=quote,
        amount=quote.amount + quote.credit,
        currency=quote.currency,
        free_until=outcome.free_until,
        deadline_at=quote.claim_until,
    )
    record(
        account,
        "refund.reserved",
        by=by,
        at=at,
        subject=cancellation.ref,
        amount=reservation.amount,
        currency=reservation.currency,
        until=quote.claim_until.isoformat(),
    )
    subscription = cancellation.subscription
    if subscription is not None and subscription.is_local:
        move_local_end(subscription, outcome.access_ends_at, at=at)
    elif subscription is not None:
        steer_subscription(subscription, ends="period_end", at=at, by=by, paid_end=outcome.access_ends_at)
    if reservation.amount:
        _owe_reminders(reservation, at=at)
    return reservation


def _owe_reminders(reservation: Reservation, *, at: dt.datetime) -> None:
    cancellation = reservation.cancellation
    for number, ahead in enumerate(REMIND_BEFORE, start=1):
        notices.owe(
            cancellation.account,
            "refund_claim_reminder",
            to=payers(cancellation.account),
            at=at,
            period=f"{cancellation.public_id}:{number}",
            subject=cancellation.ref,
            window_from=reservation.deadline_at - ahead,
            window_to=reservation.deadline_at,
        )


def can_claim(cancellation: Cancellation, *, at: dt.datetime) -> bool:
    """Whether a refund is still kept for this cancellation."""
    return Reservation.objects.filter(
        cancellation=cancellation, status=Reservation.Status.RESERVED, deadline_at__gte=at, amount__gt=0
    ).exists()


@transaction.atomic
def claim_reserved_refund(cancellation: Cancellation, *, by: By, at: dt.datetime, user: User) -> Cancellation:
    """Take the refund that free days kept, to the cent; what is left of access ends with it.

    Where a payment has less left than was reserved (a dispute, a refund made elsewhere) nothing is
    executed and `FactsMoved` is raised. Claiming twice is one claim.
    """
    Account.objects.select_for_update().get(pk=cancellation.account_id)
    cancellation = Cancellation.objects.select_related("account__terms", "quote__terms", "subscription").get(
        pk=cancellation.pk
    )
    require_right(cancellation.account, user, cancellation.ending)
    changed = Reservation.objects.filter(
        cancellation=cancellation, status=Reservation.Status.RESERVED, deadline_at__gte=at
    ).update(status=Reservation.Status.CLAIMED, closed_at=at)
    if not changed:
        raise WrongState("There is no refund left to claim.")
    _require_still_there(cancellation)
    record(
        cancellation.account,
        "refund.claimed",
        by=by,
        at=at,
        subject=cancellation.ref,
        amount=cancellation.quote.amount,
        currency=cancellation.quote.currency,
    )
    give_back(cancellation, by=by, at=at)
    notices.drop_notices(cancellation.account, kinds=["refund_claim_reminder"], reason="claimed")
    _end_access(cancellation, at=at)
    return cancellation


def _require_still_there(cancellation: Cancellation) -> None:
    wanted = {part["payment"]: part["amount"] for part in cancellation.quote.parts if part["amount"]}
    for payment in Payment.objects.select_for_update().filter(provider_id__in=wanted):
        if payment.left < wanted[payment.provider_id]:
            raise FactsMoved


def _end_access(cancellation: Cancellation, *, at: dt.datetime) -> None:
    if not cancellation.is_open:
        return
    Cancellation.objects.filter(pk=cancellation.pk).update(effective_at=at, billing_ends_at=at)
    limit_access(cancellation.account, at, at=at)
    cancellation.refresh_from_db()
    complete_cancellation(cancellation, at=at)


def lapse_reservations(*, at: dt.datetime) -> int:
    """Refunds that nobody claimed by their deadline, of which they were told twice."""
    return Reservation.objects.due_to_lapse(at).update(status=Reservation.Status.LAPSED, closed_at=at)
