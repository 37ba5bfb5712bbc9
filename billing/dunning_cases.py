"""Chasing an unpaid invoice: opening the case, closing it the moment it is paid, and opening it again."""

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F

from accounts.errors import WrongState
from accounts.events import PROVIDER, SYSTEM, By, record
from accounts.models import Account, Event, Terms
from accounts.states import move_account
from billing import periods
from billing.dunning_access import give_access_back, limit_access
from billing.dunning_dates import columns_of, dates_told, first_steps, steps_since_failure
from billing.dunning_ends import bill_again
from billing.dunning_late import give_days_back
from billing.dunning_mails import owe_failure, owe_mail, owe_warnings, stop_mails
from billing.dunning_rules import BLOCK, Step
from billing.instructions import instruct
from billing.models import (
    Customer,
    DunningAttempt,
    DunningCase,
    Instruction,
    Invoice,
    Payment,
)
from billing.subscriptions import is_ending

Status = DunningCase.Status


def case_of(invoice: Invoice) -> DunningCase | None:
    """The case of this invoice."""
    rows = DunningCase.objects.select_related("account__terms", "invoice__subscription", "terms")
    return rows.filter(invoice=invoice).first()


def follow_invoice(
    invoice: Invoice,
    decline: str,
    *,
    is_new_failure: bool,
    at: dt.datetime,
    failed_at: dt.datetime | None = None,
) -> None:
    """What the provider says of an invoice: unpaid opens a case, anything else closes it.

    Asked at every look at an invoice, so that a lost event costs an hour and no more. The very first
    invoice of a subscription is not chased: the page says so itself, and nothing has begun.
    """
    case = case_of(invoice)
    if invoice.status != Invoice.Status.OPEN:
        if case is not None:
            settle_case(case, by=SYSTEM, at=at)
    elif case is not None:
        if is_new_failure and case.is_running:
            record_failure(case, decline, at=at)
    elif can_chase(invoice):
        open_case(invoice, decline, at=at, failed_at=failed_at)


def can_chase(invoice: Invoice) -> bool:
    """Tried in vain and still owed, by someone who stays: a declaration stops it (C6)."""
    subscription = invoice.subscription
    return (
        invoice.status == Invoice.Status.OPEN
        and invoice.attempt_count > 0
        and invoice.amount_remaining > 0
        and invoice.billing_reason != "subscription_create"
        and invoice.account.state not in (Account.State.CLOSED, Account.State.ERASED)
        and (subscription is None or not is_ending(subscription))
    )


@transaction.atomic
def open_case(
    invoice: Invoice, decline: str, *, at: dt.datetime, failed_at: dt.datetime | None = None
) -> DunningCase:
    """Begin to chase: the dates are set, the first mail says them, the account is in grace until then.

    Days count from the failure, also where we hear of it late.
    """
    account = Account.objects.select_for_update().select_related("terms").get(pk=invoice.account_id)
    failed_at = min(failed_at or at, at)
    steps = first_steps(account, failed_at, at=at)
    case, is_new = DunningCase.objects.get_or_create(
        invoice=invoice,
        defaults={
            "account": account,
            "terms": account.terms,
            "opened_at": failed_at,
            "told_at": at,
            "decline": decline[:60],
            "card_id": _card_of(account),
            **dates_told(steps, account.time_zone),
            **columns_of(steps, account.time_zone),
        },
    )
    if not is_new:
        return case
    facts = {"until": case.block_at.isoformat(), "decline": decline}
    record(account, "dunning.opened", by=SYSTEM, at=at, subject=case.ref, **facts)
    limit_access(account, case.block_at)
    if account.state in (Account.State.ACTIVE, Account.State.TRIALING):
        move_account(account, Account.State.GRACE, by=SYSTEM, at=at, reason="unpaid")
    owe_failure(case, at=at, decline=decline)
    owe_warnings(case, steps, at=at)
    return case


def _card_of(account: Account) -> str:
    return Customer.objects.filter(account=account).values_list("card_id", flat=True).first() or ""


@transaction.atomic
def record_failure(case: DunningCase, decline: str, *, at: dt.datetime) -> None:
    """One more failure: it is told, with the dates, which it does not move."""
    case.refresh_from_db()
    DunningCase.objects.filter(pk=case.pk).update(
        failures=F("failures") + 1, decline=decline[:60], card_id=_card_of(case.account)
    )
    case.refresh_from_db()
    if case.is_running:
        owe_failure(case, at=at, decline=decline)


# --- Closing -------------------------------------------------------------------------------------

#: What an invoice's status means for its case.
CLOSES = {
    Invoice.Status.PAID: Status.PAID,
    Invoice.Status.VOID: Status.VOID,
    Invoice.Status.UNCOLLECTIBLE: Status.WRITTEN_OFF,
}


def settle_case(case: DunningCase, *, by: By, at: dt.datetime) -> None:
    """The invoice is not open any more: the case follows it."""
    status = CLOSES.get(Invoice.Status(case.invoice.status))
    if status is not None:
        close_case(case, status, by=by, at=at)


def is_settled_by(payment: Payment, *, at: dt.datetime) -> bool:
    """Whether this payment is for a chased invoice: then the mail that says so is its receipt too."""
    case = case_of(payment.invoice) if payment.invoice else None
    if case is None:
        return False
    if case.status in (Status.OPEN, Status.ENDED):
        close_case(case, Status.PAID, by=PROVIDER, at=at)
    case.refresh_from_db()
    return case.status == Status.PAID and not _is_over(case)


@transaction.atomic
def close_case(case: DunningCase, status: str, *, by: By, at: dt.datetime, reason: str = "") -> bool:
    """Stop chasing, and give access back where it was this invoice that took it or was about to.

    Paid in any way at any time, also after the end, everything is on again. False where it was
    closed already.
    """
    account = Account.objects.select_for_update().get(pk=case.account_id)
    # What the end has done stays done, unless it is paid or given up by a person.
    by_person = by.actor == Event.Actor.STAFF
    seen = (Status.OPEN, Status.ENDED) if status == Status.PAID or by_person else (Status.OPEN,)
    closed = DunningCase.objects.filter(pk=case.pk, status__in=seen)
    columns: dict[str, Any] = {"status": status, "closed_at": at, "closed_reason": reason[:200]}
    if not closed.update(plan=[], next_step="", next_at=None, **columns):
        return False
    case.refresh_from_db()
    case.account = account
    record(account, f"dunning.{status}", by=by, at=at, subject=case.ref)
    withdraw_attempts(case)
    stop_mails(case, status)
    if status != Status.LEFT and not _is_over(case):
        give_access_back(account, case, by=by, at=at)
        bill_again(case, at=at)
        moved = give_days_back(case, at=at)
        if status == Status.PAID:
            owe_mail(case, "payment_recovered", period=case.invoice.provider_id, at=at, facts=moved)
    return True


def _is_over(case: DunningCase) -> bool:
    """It ended with the subscription: what is paid now is owed for the past and starts nothing."""
    return case.end_action in (Terms.DunningEnd.CANCEL, Terms.DunningEnd.FREE_PLAN)


def withdraw_attempts(case: DunningCase) -> None:
    """An attempt that has not left does not leave any more; one that is on its way is read, not repeated."""
    Instruction.objects.filter(
        subject=f"pay:{case.invoice.provider_id}",
        kind=Instruction.Kind.RETRY,
        status=Instruction.Status.PENDING,
    ).update(status=Instruction.Status.SUPERSEDED)
    DunningAttempt.objects.filter(
        case=case, outcome=DunningAttempt.Outcome.SENT, instruction__status=Instruction.Status.SUPERSEDED
    ).update(outcome=DunningAttempt.Outcome.OVERTAKEN)


# --- Written off -----------------------------------------------------------------------------------


def can_write_off(case: DunningCase) -> bool:
    """While it is owed and somebody still chases it, or has stopped to."""
    return case.status in (Status.OPEN, Status.ENDED) and case.invoice.status == Invoice.Status.OPEN


@transaction.atomic
def write_off(case: DunningCase, *, reason: str, by: By, at: dt.datetime) -> None:
    """Nothing more is asked for this invoice: the provider marks it uncollectible, access is given back.

    The reason is kept with the case, not in the history.
    """
    if not can_write_off(case):
        raise WrongState("This invoice is not owed any more.")
    instruct(
        case.account,
        kind=Instruction.Kind.WRITE_OFF,
        subject=f"pay:{case.invoice.provider_id}",
        desired={"invoice": case.invoice.provider_id},
        at=at,
        by=by,
    )
    close_case(case, Status.WRITTEN_OFF, by=by, at=at, reason=reason)


# --- Leaving -------------------------------------------------------------------------------------


@transaction.atomic
def stop_for_leaving(account: Account, *, by: By, at: dt.datetime) -> None:
    """A declaration stops every attempt and every mail that chases; what is owed, leaving decides (C6)."""
    for case in DunningCase.objects.running().filter(account=account).select_related("invoice", "account"):
        close_case(case, Status.LEFT, by=by, at=at)


@transaction.atomic
def resume_after_leaving(account: Account, *, by: By, at: dt.datetime) -> None:
    """Whoever stays after all finds the dates as they were: the declaration neither gave nor took days."""
    rows = DunningCase.objects.filter(account=account, status=Status.LEFT, invoice__status="open")
    for case in rows.select_related("invoice", "account", "terms"):
        _reopen(case, by=by, at=at)


def _reopen(case: DunningCase, *, by: By, at: dt.datetime) -> None:
    zone = case.account.time_zone
    steps = steps_since_failure(case, zone)
    today = periods.local_date(at, zone)
    left = tuple(s for s in steps if s.day > today or (s.is_harsh and not _was_taken(case, s)))
    columns = columns_of(left, zone) | {"status": Status.OPEN, "closed_at": None, "closed_reason": ""}
    if not DunningCase.objects.filter(pk=case.pk, status=Status.LEFT).update(**columns):
        return
    case.refresh_from_db()
    record(case.account, "dunning.resumed", by=by, at=at, subject=case.ref)
    limit_access(case.account, case.block_at)
    owe_warnings(case, left, at=at)


def _was_taken(case: DunningCase, step: Step) -> bool:
    return step.key == BLOCK and case.blocked_at is not None
