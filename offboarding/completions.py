"""Carrying out: on its date access ends, the account closes, and the data gets a date of its own."""

import datetime as dt

from django.db import transaction

from accounts import notices
from accounts.events import SYSTEM, record
from accounts.models import Account
from accounts.recipients import payers
from accounts.states import move_account
from billing import periods
from billing.pauses import leave_during_pause
from billing.subscriptions import end_local
from offboarding import retention
from offboarding.models import Cancellation, Closure


def complete_due_cancellations(*, at: dt.datetime, limit: int = 1000) -> int:
    """Carry out every cancellation whose last moment of access has come, however late this runs (C4)."""
    done = 0
    due = Cancellation.objects.due(at).order_by("effective_at", "pk").values_list("pk", "account_id")
    for pk, account_id in list(due[:limit]):
        with transaction.atomic():
            Account.objects.select_for_update().get(pk=account_id)
            cancellation = Cancellation.objects.select_related(
                "account__terms", "quote__terms", "subscription"
            ).get(pk=pk)
            done += complete_cancellation(cancellation, at=at)
    return done


@transaction.atomic
def complete_cancellation(cancellation: Cancellation, *, at: dt.datetime) -> bool:
    """Close the account as of the date that the receipt says; False when an undo was faster."""
    changed = (
        Cancellation.objects.due(at)
        .filter(pk=cancellation.pk)
        .update(status=Cancellation.Status.COMPLETED, completed_at=at)
    )
    if not changed:
        return False
    cancellation.refresh_from_db()
    account = Account.objects.select_related("terms").get(pk=cancellation.account_id)
    record(account, "cancellation.completed", by=SYSTEM, at=at, subject=cancellation.ref)
    if cancellation.subscription:
        end_local(cancellation.subscription, at=at, reason="left")
        leave_during_pause(cancellation.subscription, at=at)
    if account.state not in (Account.State.CLOSED, Account.State.ERASED):
        move_account(
            account,
            Account.State.CLOSED,
            by=SYSTEM,
            at=at,
            reason="left",
            closed_at=cancellation.effective_at,
        )
    date_the_data(cancellation, account, at=at)
    notices.owe(
        account,
        "leaving_completed",
        to=payers(account),
        period=cancellation.public_id,
        subject=cancellation.ref,
        at=at,
    )
    return True


def date_the_data(cancellation: Cancellation, account: Account, *, at: dt.datetime) -> None:
    """Promise retrieval and retention as the quote's terms say, from the day on which access really ended."""
    if Closure.objects.open().filter(account=account).exists():
        return
    terms = cancellation.quote.terms
    last_day = periods.local_date(cancellation.effective_at, cancellation.declared_zone)
    retention.close_data(
        account,
        cancellation=cancellation,
        waived=False,
        stop_until=None,
        by=SYSTEM,
        at=at,
        data_until=periods.end_of_date(
            last_day + dt.timedelta(days=terms.retrieval_days), cancellation.declared_zone
        ),
        purge_on=periods.end_of_date(
            last_day + dt.timedelta(days=terms.retention_days), cancellation.declared_zone
        ),
    )
