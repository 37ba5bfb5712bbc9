"""Chasing an unpaid invoice: opening the case, moving its dates, and closing it the moment it is paid."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F, Min, Q, QuerySet

from accounts import holds
from accounts.errors import WrongState
from accounts.events import PROVIDER, SYSTEM, By, record
from accounts.models import Account, Event, Notice, Terms
from accounts.notices import owe
from accounts.recipients import payers
from accounts.states import move_account
from billing import periods
from billing.dunning_ends import bill_again
from billing.dunning_late import give_days_back
from billing.dunning_rules import (
    AGAIN,
    BLOCK,
    DAY,
    END,
    LEAST_NOTICE_DAYS,
    Choice,
    DunningRules,
    Step,
    access_ends,
    choosable_days,
    day_of,
    not_before,
    plan_steps,
)
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

#: Mails about a case that are owed ahead of a date, and die with it.
AHEAD = ("block_soon", "dunning_end_soon")
#: All mails that chase: nothing of them leaves after the payment or the declaration.
CHASING = (*AHEAD, "payment_failed", "access_blocked", "dunning_moved", "dunning_ended")
Status = DunningCase.Status


def rules_of(terms: Terms) -> DunningRules:
    """The rules of one version of the terms."""
    return DunningRules(
        attempt_days=tuple(terms.dunning_attempt_days),
        block_day=terms.dunning_block_day,
        end_day=terms.dunning_end_day,
        choose_days=terms.dunning_choose_days,
    )


def case_of(invoice: Invoice) -> DunningCase | None:
    """The case of this invoice."""
    rows = DunningCase.objects.select_related("account__terms", "invoice__subscription", "terms")
    return rows.filter(invoice=invoice).first()


def is_chased(account: Account) -> bool:
    """Whether an unpaid invoice decides about this account's access."""
    return _deciding(account).exists()


def _deciding(account: Account) -> QuerySet[DunningCase]:
    over = (Terms.DunningEnd.CANCEL, Terms.DunningEnd.FREE_PLAN)
    return DunningCase.objects.unpaid().filter(account=account).exclude(end_action__in=over)


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
    steps = plan_steps(
        rules_of(account.terms),
        failed_at,
        account.time_zone,
        told_at=at,
        holds=_running_hold(account, at),
    )
    case, is_new = DunningCase.objects.get_or_create(
        invoice=invoice,
        defaults={
            "account": account,
            "terms": account.terms,
            "opened_at": failed_at,
            "told_at": at,
            "decline": decline[:60],
            "card_id": _card_of(account),
            **_dates(steps, account.time_zone),
            **_next(steps, account.time_zone),
        },
    )
    if not is_new:
        return case
    facts = {"until": case.block_at.isoformat(), "decline": decline}
    record(account, "dunning.opened", by=SYSTEM, at=at, subject=case.ref, **facts)
    _limit_access(account, case.block_at)
    if account.state in (Account.State.ACTIVE, Account.State.TRIALING):
        move_account(account, Account.State.GRACE, by=SYSTEM, at=at, reason="unpaid")
    owe_failure(case, at=at, decline=decline)
    owe_warnings(case, steps, at=at)
    return case


def _running_hold(account: Account, at: dt.datetime) -> list[holds.Stretch]:
    """The rest of a hold that is open already: the clock of a new case stands still too."""
    hold = holds.open_hold(account, at=at)
    return [(at, hold.ends_at)] if hold else []


def _dates(steps: Iterable[Step], zone: str) -> dict[str, Any]:
    """What the customer is told: the last moment of access, and the day on which all of it ends."""
    steps = list(steps)
    end = next(step for step in steps if step.key == END)
    return {"block_at": access_ends(steps, zone), "end_at": end.at(zone)}


def _next(left: Iterable[Step], zone: str) -> dict[str, Any]:
    """The steps that are left, and the first of them where the sweep finds it."""
    left = list(left)
    return {
        "plan": [[step.key, step.day.isoformat()] for step in left],
        "next_step": left[0].kind if left else "",
        "next_at": left[0].at(zone) if left else None,
    }


def steps_left(case: DunningCase) -> tuple[Step, ...]:
    """The case's plan as steps."""
    return tuple(Step(key, dt.date.fromisoformat(day)) for key, day in case.plan)


def _card_of(account: Account) -> str:
    return Customer.objects.filter(account=account).values_list("card_id", flat=True).first() or ""


def _limit_access(account: Account, until: dt.datetime) -> None:
    """Access ends then unless it ends before: the date decides, however late a sweep runs."""
    later = Q(access_ends_at=None) | Q(access_ends_at__gt=until)
    if Account.objects.filter(later, pk=account.pk).update(access_ends_at=until):
        account.access_ends_at = until


# --- Mails ---------------------------------------------------------------------------------------


def owe_failure(case: DunningCase, *, at: dt.datetime, decline: str, left_out: str = "") -> None:
    """Tell of a failure, or on the day of an attempt that was left out, why: with the dates as they are."""
    period = f"{case.invoice.provider_id}:{case.failures}"
    if left_out:
        period = f"{case.invoice.provider_id}:{periods.local_date(at, case.account.time_zone)}"
    _owe(case, "payment_failed", period=period, at=at, facts={"decline": decline, "left_out": left_out})


def _owe(case: DunningCase, kind: str, *, period: str, at: dt.datetime, **more: Any) -> None:
    owe(case.account, kind, to=payers(case.account), period=period, subject=case.about, at=at, **more)


def owe_warnings(case: DunningCase, steps: Iterable[Step], *, at: dt.datetime) -> None:
    """Owe the definite warnings for the mornings of the days on which something is taken away."""
    zone, steps = case.account.time_zone, list(steps)
    block = day_of(steps, BLOCK) or (day_of(steps, END) if case.block_at == case.end_at else None)
    end = day_of(steps, END) if case.block_at < case.end_at else None
    for kind, day in (("block_soon", block), ("dunning_end_soon", end)):
        if day is None:
            continue
        morning, period = Step("mail", day).at(zone), f"{case.invoice.provider_id}:{day}"
        # The day was told before, moved away or stopped, and holds again.
        again = Notice.objects.filter(account=case.account_id, kind=kind, period=period)
        again.filter(status=Notice.Status.DROPPED, sent_at=None, window_to__gt=at).update(
            status=Notice.Status.OWED, reason=""
        )
        _owe(
            case,
            kind,
            period=period,
            at=at,
            window_from=max(at, morning),
            window_to=max(at, periods.end_of_date(day, zone)),
        )


def stop_mails(case: DunningCase, reason: str) -> None:
    """Nothing about this invoice that chases leaves any more."""
    _drop(case, CHASING, reason)


def _drop(case: DunningCase, kinds: Iterable[str], reason: str) -> None:
    rows = Notice.objects.filter(account=case.account_id, kind__in=list(kinds), subject=case.about)
    rows.filter(status=Notice.Status.OWED).update(status=Notice.Status.DROPPED, reason=reason)


# --- Failures ------------------------------------------------------------------------------------


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
        _give_access_back(account, case, by=by, at=at)
        bill_again(case, at=at)
        moved = give_days_back(case, at=at)
        if status == Status.PAID:
            _owe(case, "payment_recovered", period=case.invoice.provider_id, at=at, facts=moved)
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


def _give_access_back(account: Account, case: DunningCase, *, by: By, at: dt.datetime) -> None:
    """Lift the end of access that this case wrote, and no other; another unpaid invoice keeps its own."""
    others = _deciding(account).exclude(pk=case.pk)
    until = others.aggregate(first=Min("block_at"))["first"]
    is_ours = account.access_ends_at == case.block_at
    if until is None and account.state == Account.State.GRACE:
        columns = {"access_ends_at": None} if is_ours else {}
        move_account(account, Account.State.ACTIVE, by=by, at=at, reason="paid", **columns)
    elif is_ours and account.state == Account.State.FROZEN and (until is None or until > at):
        state = Account.State.GRACE if until else Account.State.ACTIVE
        move_account(account, state, by=by, at=at, reason="paid", access_ends_at=until)
    elif is_ours:
        Account.objects.filter(pk=account.pk, access_ends_at=case.block_at).update(access_ends_at=until)


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


# --- Moving the dates ----------------------------------------------------------------------------


def can_choose_day(case: DunningCase) -> bool:
    """Once, while it runs, and where the terms leave a choice."""
    return case.is_running and case.chosen_on is None and case.terms.dunning_choose_days > 0


def days_to_choose(case: DunningCase, *, at: dt.datetime) -> list[dt.date]:
    """The days on which the customer may have us try, none where there is no choice any more."""
    if not can_choose_day(case):
        return []
    return choosable_days(rules_of(case.terms), case.opened_at, case.account.time_zone, at=at)


@transaction.atomic
def choose_day(case: DunningCase, day: dt.date, *, by: By, at: dt.datetime) -> None:
    """Try on this day, and nothing harsher before the day after it; once, within the terms' limit.

    Raises `WrongState` for a day that is not offered, or where it was chosen already.
    """
    Account.objects.select_for_update().get(pk=case.account_id)
    case.refresh_from_db()
    if day not in days_to_choose(case, at=at):
        raise WrongState("This day cannot be chosen.")
    held = DunningCase.objects.running().filter(pk=case.pk, chosen_on=None)
    if not held.update(chosen_on=day, chosen_made_at=at):
        raise WrongState("A day was chosen already.")
    case.refresh_from_db()
    withdraw_attempts(case)
    record(case.account, "dunning.chosen", by=by, at=at, subject=case.ref, day=day.isoformat())
    replan_case(case, at=at)


def follow_hold(account: Account, at: dt.datetime, **_signal: Any) -> None:
    """A hold was placed or ended: each running case gets its dates anew (`hold_changed`)."""
    rows = DunningCase.objects.running().filter(account=account).select_related("terms", "invoice", "account")
    for case in rows:
        replan_case(case, at=at)


@transaction.atomic
def replan_case(case: DunningCase, *, at: dt.datetime) -> None:
    """Work out again what is left, from the first failure, the chosen day and every hold since.

    Dates that come nearer because a hold ended early are told in time all the same.
    """
    account = Account.objects.select_for_update().get(pk=case.account_id)
    case.refresh_from_db()
    zone, left_before = account.time_zone, {step.key for step in steps_left(case)}
    choice = None
    if case.chosen_on and case.chosen_made_at:
        choice = Choice(case.chosen_made_at, case.chosen_on)
    steps = plan_steps(
        rules_of(case.terms),
        case.opened_at,
        zone,
        told_at=case.told_at,
        choice=choice,
        holds=_holds_since(case),
    )
    today = periods.local_date(at, zone)
    is_new_choice = choice is not None and choice.made_at == at
    left = tuple(
        s
        for s in steps
        if s.key in left_before
        or (is_new_choice and s.key == "chosen")
        or (s.key.startswith(AGAIN) and s.day > today)
    )
    earlier = Step("x", today + LEAST_NOTICE_DAYS * DAY)
    if left and _comes_nearer(case, left, zone):
        left = not_before(left, earlier.day)
    if left and case.last_step_on and left[0].day <= case.last_step_on:
        left = (Step(left[0].key, case.last_step_on + DAY), *left[1:])
    _write_plan(case, account, left, at=at)


def _holds_since(case: DunningCase) -> list[holds.Stretch]:
    """Every hold that stood still for a while of this case."""
    found = holds.stretches(case.account)
    return [(max(start, case.told_at), end) for start, end in found if end > case.told_at]


def _comes_nearer(case: DunningCase, left: Iterable[Step], zone: str) -> bool:
    harsh = next((step for step in left if step.is_harsh), None)
    told = case.end_at if case.blocked_at else case.block_at
    return harsh is not None and harsh.at(zone) < told


def _write_plan(case: DunningCase, account: Account, left: tuple[Step, ...], *, at: dt.datetime) -> None:
    """Write new dates, move the end of access with them, and tell them where they changed."""
    zone, told = account.time_zone, (case.block_at, case.end_at)
    end = next(step for step in left if step.key == END)
    columns: dict[str, Any] = _next(left, zone) | {"end_at": end.at(zone)}
    if case.blocked_at is None:
        columns["block_at"] = access_ends(left, zone)
    DunningCase.objects.running().filter(pk=case.pk).update(**columns)
    case.refresh_from_db()
    if (case.block_at, case.end_at) == told and not case.chosen_on:
        return
    if account.state in Account.OPEN_STATES:
        Account.objects.filter(pk=account.pk, access_ends_at=told[0]).update(access_ends_at=case.block_at)
    _drop(case, AHEAD, "moved")
    owe_warnings(case, left, at=at)
    period = f"{case.invoice.provider_id}:{case.block_at.date()}:{case.end_at.date()}"
    _owe(case, "dunning_moved", period=period, at=at)


@transaction.atomic
def tell_again(case: DunningCase, *, at: dt.datetime) -> None:
    """The first mail has not left for days: what is harsh waits until it is three days old (T2)."""
    account = Account.objects.select_for_update().get(pk=case.account_id)
    case.refresh_from_db()
    today = periods.local_date(at, account.time_zone)
    left = not_before(steps_left(case), today + LEAST_NOTICE_DAYS * DAY)
    record(account, "dunning.told_late", by=SYSTEM, at=at, subject=case.ref)
    _write_plan(case, account, left, at=at)


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
    choice = None
    if case.chosen_on and case.chosen_made_at:
        choice = Choice(case.chosen_made_at, case.chosen_on)
    steps = plan_steps(
        rules_of(case.terms),
        case.opened_at,
        zone,
        told_at=case.told_at,
        choice=choice,
        holds=_holds_since(case),
    )
    today = periods.local_date(at, zone)
    left = tuple(s for s in steps if s.day > today or (s.is_harsh and not _was_taken(case, s)))
    columns = _next(left, zone) | {"status": Status.OPEN, "closed_at": None, "closed_reason": ""}
    if not DunningCase.objects.filter(pk=case.pk, status=Status.LEFT).update(**columns):
        return
    case.refresh_from_db()
    record(case.account, "dunning.resumed", by=by, at=at, subject=case.ref)
    _limit_access(case.account, case.block_at)
    owe_warnings(case, left, at=at)


def _was_taken(case: DunningCase, step: Step) -> bool:
    return step.key == BLOCK and case.blocked_at is not None
