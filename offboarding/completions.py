"""Carrying out: on its date access ends, the account closes, and the data gets a date of its own."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts import notices
from accounts.events import SYSTEM, record
from accounts.models import Account
from accounts.recipients import payers
from accounts.states import move_account
from billing import periods
from billing.models import Invoice, Subscription
from billing.pauses import leave_during_pause
from billing.subscriptions import end_local, steer_subscription
from offboarding import retention
from offboarding.declarations import open_invoices
from offboarding.models import Cancellation, Closure, Ending
from offboarding.outcomes import decide_outcome
from offboarding.quotes import current_facts, leaving_terms


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
    if _has_come_back(cancellation):
        _lift_end_of_access(cancellation)
        return True
    if cancellation.subscription:
        _end_at_provider(cancellation, cancellation.subscription, at=at)
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


@transaction.atomic
def end_without_closing(cancellation: Cancellation, *, at: dt.datetime) -> None:
    """Whoever came back on another subscription is not shut out on the old date."""
    over = {"status": Cancellation.Status.COMPLETED, "completed_at": at}
    if Cancellation.objects.open().filter(pk=cancellation.pk).update(**over):
        record(cancellation.account, "cancellation.completed", by=SYSTEM, at=at, subject=cancellation.ref)
        _lift_end_of_access(cancellation)


def _has_come_back(cancellation: Cancellation) -> bool:
    live = Subscription.objects.live().filter(account=cancellation.account_id)
    return live.exclude(pk=cancellation.subscription_id or 0).exists()


def _lift_end_of_access(cancellation: Cancellation) -> None:
    Account.objects.filter(
        pk=cancellation.account_id,
        state__in=Account.OPEN_STATES,
        access_ends_at=cancellation.effective_at,
    ).update(access_ends_at=None)


def _end_at_provider(cancellation: Cancellation, subscription: Subscription, *, at: dt.datetime) -> None:
    """Carry out what the terms decide for unpaid invoices (C6), and end what would run on there (C4).

    It runs on where access ends before the provider's period does: unpaid, paused, or claimed early.
    """
    said = cancellation.confirmed_at and cancellation.ending in (Ending.STOP_NOW, Ending.CLOSE_DELETE)
    if subscription.is_local or (said and not cancellation.quote.keeps_access):
        return
    unpaid: dict[str, Any] = {}
    if Invoice.objects.unpaid().filter(subscription=subscription).exists():
        rules = leaving_terms(cancellation.quote.terms)
        outcome = decide_outcome(rules, current_facts(cancellation), Ending.STOP_RENEWING)
        unpaid = open_invoices(outcome, is_final=True)
    runs_on = subscription.period_end is not None and subscription.period_end > cancellation.effective_at
    if unpaid or (subscription.is_live and runs_on):
        steer_subscription(subscription, ends="now", at=at, by=SYSTEM, open_invoices=unpaid)


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
