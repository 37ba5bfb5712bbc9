"""Taking it back: keep the subscription, or keep the data."""

import datetime as dt

from django.db import transaction

from accounts import notices
from accounts.errors import NotAllowed, WrongState
from accounts.events import By, record
from accounts.models import Account, Member, User
from accounts.recipients import payers, teammates
from billing.models import Pause
from billing.subscriptions import steer_subscription
from offboarding import retention
from offboarding.completions import date_the_data
from offboarding.declarations import limit_access
from offboarding.models import Cancellation, Closure, Ending, Reservation

#: Mail that no longer holds once it is taken back.
MOOT = (
    "leaving_received",
    "leaving_last_step",
    "leaving_confirmed",
    "refund_claim_reminder",
    "teammate_leaving",
)


def can_withdraw(cancellation: Cancellation, *, at: dt.datetime) -> bool:
    """Whether it can still be undone: open, not yet effective, and no money has left for it (C8)."""
    money_left = cancellation.confirmed_at and cancellation.ending != Ending.FREE_DAYS
    return cancellation.is_open and cancellation.effective_at > at and not money_left


@transaction.atomic
def withdraw_cancellation(cancellation: Cancellation, *, by: By, at: dt.datetime) -> Cancellation:
    """Keep the subscription: everything goes on as if nothing had been declared; free days stay given.

    It beats a job that is queued already, and instructions that were not sent are superseded (C8).
    """
    account = Account.objects.select_for_update().get(pk=cancellation.account_id)
    cancellation = Cancellation.objects.select_related("account", "subscription").get(pk=cancellation.pk)
    if cancellation.status == Cancellation.Status.WITHDRAWN:
        return cancellation
    if not can_withdraw(cancellation, at=at):
        raise WrongState("It has taken effect already.")
    Cancellation.objects.open().filter(pk=cancellation.pk).update(
        status=Cancellation.Status.WITHDRAWN, withdrawn_at=at
    )
    record(account, "cancellation.withdrawn", by=by, at=at, subject=cancellation.ref)
    if cancellation.subscription:
        steer_subscription(cancellation.subscription, ends="never", at=at, by=by)
    pause = Pause.objects.filter(subscription=cancellation.subscription, status=Pause.Status.PLANNED).first()
    limit_access(account, pause.starts_at if pause else None, at=at)
    Reservation.objects.filter(cancellation=cancellation, status=Reservation.Status.RESERVED).update(
        status=Reservation.Status.RELEASED, closed_at=at
    )
    notices.drop_notices(account, kinds=MOOT, reason="withdrawn")
    notices.owe(
        account,
        "leaving_withdrawn",
        to=[*payers(account), *teammates(account)],
        at=at,
        period=cancellation.public_id,
        subject=cancellation.ref,
    )
    cancellation.refresh_from_db()
    return cancellation


def can_stop_deletion(closure: Closure, *, at: dt.datetime) -> bool:
    """Whether the data can still be kept: until the purge begins."""
    return closure.status == Closure.Status.SCHEDULED and closure.purge_on > at


@transaction.atomic
def stop_deletion(closure: Closure, *, by: By, at: dt.datetime, user: User) -> None:
    """An owner keeps the data: it stays as after any other ending. Billing is never restarted by it."""
    account = Account.objects.select_for_update().select_related("terms").get(pk=closure.account_id)
    if not Member.objects.owners().filter(account=account, user=user).exists():
        raise NotAllowed("owners_only")
    if not can_stop_deletion(closure, at=at):
        raise WrongState("The deletion has begun.")
    retention.call_off_closure(closure, by=by, at=at, reason="stopped")
    if closure.cancellation and account.state == Account.State.CLOSED:
        date_the_data(closure.cancellation, account, at=at)
