"""Carrying out: on its date access ends, the account closes, and the data gets a date of its own."""

import datetime as dt
import logging
from typing import Any, NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, transaction
from django.db.models import BooleanField, Case, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Coalesce

from accounts import notices
from accounts.errors import WrongState
from accounts.events import SYSTEM, record, record_many
from accounts.models import Account
from accounts.recipients import payers
from accounts.sets import in_chunks, lock_accounts
from accounts.states import move_account, move_accounts
from billing import periods
from billing.models import Invoice, Pause, Subscription
from billing.pauses import leave_during_pause
from billing.subscriptions import end_local, end_local_many, steer_subscription
from offboarding import retention
from offboarding.declarations import open_invoices
from offboarding.models import Cancellation, Closure, Ending
from offboarding.outcomes import decide_outcome
from offboarding.quotes import current_facts, leaving_terms

logger = logging.getLogger(__name__)

#: What one row can fail for: the database refuses it, someone was faster, nobody can read its own facts.
ROW_FAULTS = (
    DatabaseError,
    WrongState,
    ObjectDoesNotExist,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
)

#: Confirmed endings that told the provider everything when they were confirmed.
SETTLED_THERE = Q(
    confirmed_at__isnull=False, ending__in=(Ending.STOP_NOW, Ending.CLOSE_DELETE), quote__keeps_access=False
)
LEAVING_COLUMNS = (
    "pk",
    "public_id",
    "account_id",
    "subscription_id",
    "effective_at",
    "declared_zone",
    "quote__terms__retrieval_days",
    "quote__terms__retention_days",
    "via",
)


def complete_due_cancellations(*, at: dt.datetime) -> int:
    """Carry out every cancellation whose last moment of access has come, however late this runs (C4).

    The ordinary ones in sets; then, one by one, those that need a look at their own facts. One that is
    held by someone else right now waits for the next run, one that fails keeps none of the others back.
    """
    ordinary, others = _due(at, is_ordinary=True), _due(at, is_ordinary=False)
    done = 0
    for accounts in in_chunks(ordinary.order_by("effective_at", "pk").values_list("account_id", flat=True)):
        done += _complete_ordinary(accounts, at=at)
    for pk in list(others.order_by("effective_at", "pk").values_list("pk", flat=True)):
        done += _complete_apart(pk, at=at)
    return done


def _complete_ordinary(accounts: list[int], *, at: dt.datetime) -> int:
    """Carry out what is ordinary among these accounts in one transaction; where that fails, one by one."""
    try:
        return complete_cancellations(accounts, at=at)
    except ROW_FAULTS:
        # One row that the database refuses must not keep thousands of people from their date.
        logger.exception("cancellations cannot be completed together", extra={"number": len(accounts)})
    rows = Cancellation.objects.due(at).filter(account__in=accounts).order_by("effective_at", "pk")
    return sum(_complete_apart(pk, at=at) for pk in list(rows.values_list("pk", flat=True)))


def _complete_apart(pk: int, *, at: dt.datetime) -> bool:
    """Carry out one, by the rules of `complete_cancellation`; False where it has to wait."""
    rows = Cancellation.objects.select_related("account__terms", "quote__terms", "subscription")
    try:
        with transaction.atomic():
            account_id = Cancellation.objects.values_list("account_id", flat=True).get(pk=pk)
            return bool(lock_accounts([account_id])) and complete_cancellation(rows.get(pk=pk), at=at)
    except ROW_FAULTS:
        # It stays due, and the audit shows it (C4).
        logger.exception("cancellation cannot be completed", extra={"cancellation": pk})
        return False


def _due(at: dt.datetime, *, is_ordinary: bool) -> QuerySet[Cancellation]:
    """What is due and ordinary, or due and not: then somebody has to look at the facts of that one.

    Not ordinary is who has come back on another subscription, is paused, or has something left at the
    provider: an unpaid invoice, or a period that runs on.
    """
    subscription = {"subscription": OuterRef("subscription")}
    others = Subscription.objects.live().filter(account=OuterRef("account"))
    back = Exists(others.exclude(pk=Coalesce(OuterRef("subscription"), 0)))
    paused = Exists(Pause.objects.filter(status=Pause.Status.PLANNED, **subscription))
    unpaid = Exists(Invoice.objects.unpaid().filter(**subscription))
    runs_on = Q(subscription__status__in=Subscription.LIVE, subscription__period_end__gt=F("effective_at"))
    is_settled = Q(subscription__provider_id=None) | SETTLED_THERE
    rows = Cancellation.objects.due(at).annotate(
        is_ordinary=Case(
            When(back | paused, then=False),
            When(is_settled, then=True),
            When(unpaid | runs_on, then=False),
            default=True,
            output_field=BooleanField(),
        )
    )
    return rows.filter(is_ordinary=is_ordinary)


@transaction.atomic
def complete_cancellations(accounts: list[int], *, at: dt.datetime) -> int:
    """What `complete_cancellation` does, for what is ordinary among these accounts, in a set.

    The number of statements does not grow with them. Facts are asked again once the accounts are held.
    """
    due = _due(at, is_ordinary=True).filter(account__in=lock_accounts(accounts))
    rows = [_Leaving(*row) for row in due.select_for_update(of=("self",)).values_list(*LEAVING_COLUMNS)]
    if not rows:
        return 0
    Cancellation.objects.open().filter(pk__in=[row.pk for row in rows]).update(
        status=Cancellation.Status.COMPLETED, completed_at=at
    )
    refs = {row.account: f"cancellation:{row.public_id}" for row in rows}
    record_many(refs, "cancellation.completed", by=SYSTEM, at=at, subjects=refs)
    end_local_many([row.subscription for row in rows if row.subscription], at=at, reason="left")
    move_accounts(
        refs,
        [state for state, then in Account.MOVES.items() if Account.State.CLOSED in then],
        Account.State.CLOSED,
        by=SYSTEM,
        at=at,
        reason="left",
        closed_at={row.account: row.effective_at for row in rows},
    )
    retention.close_data_many([row.promise() for row in rows], by=SYSTEM, at=at)
    told = [
        notices.Owed(row.account, row.public_id, subject=refs[row.account])
        for row in rows
        if row.via != Cancellation.Via.UNPAID
    ]
    notices.owe_many("leaving_completed", told, at=at)
    return len(rows)


class _Leaving(NamedTuple):
    """One cancellation of a set: what carrying it out needs to know, in the order of `LEAVING_COLUMNS`."""

    pk: int
    public_id: str
    account: int
    subscription: int | None
    effective_at: dt.datetime
    zone: str
    retrieval_days: int
    retention_days: int
    via: str

    def promise(self) -> retention.Promise:
        """Until when its data is kept, as the quote's terms say."""
        dates = data_dates(self.effective_at, self.zone, self.retrieval_days, self.retention_days)
        return retention.Promise(self.account, self.pk, *dates)


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
    if cancellation.via == Cancellation.Via.UNPAID:
        return True  # its one mail has said so, with what becomes of the data
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
    data_until, purge_on = data_dates(
        cancellation.effective_at, cancellation.declared_zone, terms.retrieval_days, terms.retention_days
    )
    retention.close_data(
        account,
        cancellation=cancellation,
        waived=False,
        stop_until=None,
        by=SYSTEM,
        at=at,
        data_until=data_until,
        purge_on=purge_on,
    )


def kept_until(cancellation: Cancellation) -> dt.datetime:
    """When the data goes as things stand: counted from the end of access, without a step not yet taken."""
    terms, zone = cancellation.quote.terms, cancellation.declared_zone
    return data_dates(cancellation.effective_at, zone, terms.retrieval_days, terms.retention_days)[1]


def data_dates(
    ended: dt.datetime, zone: str, retrieval_days: int, retention_days: int
) -> tuple[dt.datetime, dt.datetime]:
    """Until when data can be fetched and when it goes: whole local days from the last day of access."""
    last_day = periods.local_date(ended, zone)
    days = dt.timedelta(days=retrieval_days), dt.timedelta(days=retention_days)
    return periods.end_of_date(last_day + days[0], zone), periods.end_of_date(last_day + days[1], zone)
