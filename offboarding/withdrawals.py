"""Taking it back: keep the subscription, or keep the data."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts import notices
from accounts.errors import NotAllowed, WrongState
from accounts.events import By, record
from accounts.models import Account, Member, User
from accounts.recipients import payers, teammates
from billing.dunning_cases import resume_after_leaving
from billing.models import Invoice, Pause, Subscription
from billing.subscriptions import steer_subscription
from billing.trial_steps import access_end_of, resume_trial
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
    """Whether it can still be undone: open, not yet effective, and no money has left for it (C8).

    What has ended at the provider cannot be kept any more, only begun again.
    """
    subscription = cancellation.subscription
    runs = subscription is None or subscription.is_live
    return cancellation.is_open and cancellation.effective_at > at and runs and not has_paid_out(cancellation)


def has_paid_out(cancellation: Cancellation) -> bool:
    """Whether it is confirmed and the money is on its way; free days only keep it safe."""
    return cancellation.confirmed_at is not None and cancellation.ending != Ending.FREE_DAYS


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
    take_back(cancellation, account, by=by, at=at)
    return cancellation


def take_back(cancellation: Cancellation, account: Account, *, by: By, at: dt.datetime) -> None:
    """Close it as withdrawn and put back everything that it had announced."""
    Cancellation.objects.open().filter(pk=cancellation.pk).update(
        status=Cancellation.Status.WITHDRAWN, withdrawn_at=at
    )
    record(account, "cancellation.withdrawn", by=by, at=at, subject=cancellation.ref)
    if cancellation.subscription and cancellation.subscription.is_live:
        steer_subscription(
            cancellation.subscription, ends="never", at=at, by=by, open_invoices=_collect_again(cancellation)
        )
    trial = cancellation.subscription
    if trial is not None and trial.is_live and trial.is_local and trial.trial_granted_end is not None:
        resume_trial(trial, at=at)
    limit_access(account, _end_by_itself(account), at=at)
    resume_after_leaving(account, by=by, at=at)
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


def _collect_again(cancellation: Cancellation) -> dict[str, Any]:
    """An unpaid invoice that the declaration put on hold is owed as it was before."""
    unpaid = Invoice.objects.unpaid().filter(subscription=cancellation.subscription)
    return {name: {"rule": "resume", "credit": 0} for name in unpaid.values_list("provider_id", flat=True)}


def _end_by_itself(account: Account) -> dt.datetime | None:
    """When access ends although nobody leaves: a pause begins, or a trial without card is over."""
    live = Subscription.objects.live().filter(account=account).select_related("account__terms")
    subscription = live.first()
    pause = Pause.objects.filter(subscription=subscription, status=Pause.Status.PLANNED).first()
    if pause is not None and subscription is not None:
        return pause.starts_at
    return access_end_of(subscription) if subscription is not None and subscription.is_local else None


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
