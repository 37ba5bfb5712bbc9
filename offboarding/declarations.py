"""Declaring: "I want to leave" is on record before anything else is asked."""

import datetime as dt
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts import notices
from accounts.errors import NotAllowed, WrongState
from accounts.events import PROVIDER, SYSTEM, By, record
from accounts.ids import new_id
from accounts.models import Account, Member, User
from accounts.recipients import payers, teammates
from billing.dunning_cases import stop_for_leaving
from billing.models import Invoice, Subscription
from billing.subscriptions import steer_subscription
from billing.trial_steps import stop_trial
from offboarding import receipts
from offboarding.facts import read_situation
from offboarding.models import Cancellation, Ending
from offboarding.outcomes import Outcome, decide_outcome
from offboarding.quotes import FactsMoved, Shown, act_of_quote, current_facts, leaving_terms, store_quote
from offboarding.situation import Situation

REMIND_AT_HOUR = 10  # local: a reminder is read in the morning


@transaction.atomic
def declare_cancellation(
    account: Account,
    ending: str,
    *,
    by: By,
    at: dt.datetime,
    user: User,
    shown: Shown | None = None,
    via: str = Cancellation.Via.SELF,
    caller_identified: str = "",
) -> Cancellation:
    """Record the declaration and stop the renewal at once, whatever was chosen (C1, C9).

    Receipt, history, mail and the instruction to the provider are one transaction. Until an ending
    that moves money or data is confirmed, what applies is the one that cannot hurt: access to the
    end of what is paid. Where a declaration is open already that one is returned, with the newly
    chosen ending while it can still change. Raises `FactsMoved` if what was shown no longer holds,
    `NotAllowed` where an owner must do it, `WrongState` where this ending is not offered.
    """
    account = Account.objects.select_for_update().select_related("terms").get(pk=account.pk)
    require_right(account, user, ending)
    known = (
        Cancellation.objects.open().select_related("quote__terms", "account").filter(account=account).first()
    )
    if known is not None:
        same = known.ending == ending or known.confirmed_at
        return known if same else choose_again(known, ending, by=by, at=at, user=user)
    measured = shown.at if shown else at
    facts = read_situation(account, at=measured)
    if shown is not None and facts.fingerprint() != shown.fingerprint:
        raise FactsMoved
    outcome = _offered(account, facts, ending)
    safe = decide_outcome(leaving_terms(account.terms), facts, Ending.STOP_RENEWING)
    cancellation = _create(
        account, facts, outcome, safe, at=at, via=via, declared_by=user, caller_identified=caller_identified
    )
    record(
        account,
        "cancellation.received",
        by=by,
        at=at,
        subject=cancellation.ref,
        ending=ending,
        act=act_of_quote(cancellation.quote),
        via=via,
        until=safe.access_ends_at.isoformat(),
    )
    _stop_renewal(cancellation, safe, by=by, at=at)
    stop_for_leaving(account, by=by, at=at)
    limit_access(account, safe.access_ends_at, at=at)
    _tell(cancellation, at=at)
    return cancellation


def require_right(account: Account, user: User, ending: str) -> None:
    """Owners and billing members may leave; only owners may have the data deleted."""
    member = Member.objects.current().filter(account=account, user=user).first()
    if member is None or not member.may_pay or (ending == Ending.CLOSE_DELETE and not member.is_owner):
        raise NotAllowed("owners_only" if member and member.may_pay else "payers_only")


def _offered(account: Account, facts: Situation, ending: str) -> Outcome:
    outcome = decide_outcome(leaving_terms(account.terms), facts, ending)
    if not outcome.is_offered:
        raise WrongState(outcome.why_not)
    return outcome


def _create(
    account: Account, facts: Situation, outcome: Outcome, safe: Outcome, *, at: dt.datetime, **columns: Any
) -> Cancellation:
    public_id = new_id()
    quote = store_quote(account, facts, outcome, at=at)
    return Cancellation.objects.create(
        public_id=public_id,
        account=account,
        subscription=quote.subscription,
        ending=outcome.ending,
        quote=quote,
        declared_at=at,
        declared_zone=account.time_zone,
        effective_at=safe.access_ends_at,
        billing_ends_at=safe.billing_ends_at,
        claim_until=outcome.claim_until,
        **receipts.hashes(public_id),
        **columns,
    )


@transaction.atomic
def choose_again(
    cancellation: Cancellation, ending: str, *, by: By, at: dt.datetime, user: User
) -> Cancellation:
    """Another ending before the last step. The declaration and its moment stand: it costs nothing (C11)."""
    account = cancellation.account
    require_right(account, user, ending)
    facts = current_facts(cancellation)
    outcome = _offered(account, facts, ending)
    quote = store_quote(account, facts, outcome, at=at)
    changed = (
        Cancellation.objects.open()
        .filter(pk=cancellation.pk, confirmed_at=None)
        .update(ending=ending, quote=quote, claim_until=outcome.claim_until)
    )
    if not changed:
        raise WrongState("It is confirmed already.")
    act = act_of_quote(quote)
    record(account, "cancellation.changed", by=by, at=at, subject=cancellation.ref, ending=ending, act=act)
    cancellation.refresh_from_db()
    remind_of_last_step(cancellation, at=at)
    return cancellation


@transaction.atomic
def adopt_cancellation(
    subscription: Subscription,
    *,
    ends_at: dt.datetime,
    at: dt.datetime,
    via: str = Cancellation.Via.PROVIDER,
) -> Cancellation | None:
    """Someone cancelled at the provider's side, or an invoice was never paid and the terms end it so.

    It is kept as a declaration like any other, with a receipt and a date for the data.
    """
    account = Account.objects.select_for_update().select_related("terms").get(pk=subscription.account_id)
    if Cancellation.objects.open().filter(account=account).exists():
        return None
    by = PROVIDER if via == Cancellation.Via.PROVIDER else SYSTEM
    facts = read_situation(account, at=at)
    outcome = decide_outcome(leaving_terms(account.terms), facts, Ending.STOP_RENEWING)
    cancellation = _create(account, facts, outcome, outcome, at=at, via=via)
    Cancellation.objects.filter(pk=cancellation.pk).update(
        subscription=subscription, effective_at=ends_at, billing_ends_at=ends_at
    )
    cancellation.refresh_from_db()
    record(
        account,
        "cancellation.received",
        by=by,
        at=at,
        subject=cancellation.ref,
        ending=cancellation.ending,
        act=act_of_quote(cancellation.quote),
        via=via,
        until=ends_at.isoformat(),
    )
    mark_scheduled(cancellation, at=at)
    stop_for_leaving(account, by=by, at=at)
    limit_access(account, ends_at, at=at)
    _tell(cancellation, at=at)
    return cancellation


def mark_scheduled(cancellation: Cancellation, *, at: dt.datetime) -> None:
    """The provider has it, or need not know: from now on nothing renews (C3)."""
    changed = Cancellation.objects.filter(pk=cancellation.pk, status=Cancellation.Status.RECEIVED).update(
        status=Cancellation.Status.SCHEDULED, scheduled_at=at
    )
    if changed:
        record(cancellation.account, "cancellation.scheduled", by=SYSTEM, at=at, subject=cancellation.ref)
        cancellation.refresh_from_db()


@transaction.atomic
def extend_to_what_is_paid(cancellation: Cancellation, invoice: Invoice, *, at: dt.datetime) -> bool:
    """Someone who is leaving paid an open invoice after all: access goes on to the end of that (T2).

    Our row of the invoice may still say open: the news of a payment and of its invoice come in any order.
    """
    facts = current_facts(cancellation)
    unpaid = tuple(row for row in facts.unpaid if row.invoice != invoice.provider_id)
    facts = replace(facts, unpaid=unpaid, unpaid_since=facts.unpaid_since if unpaid else None)
    end = decide_outcome(leaving_terms(cancellation.quote.terms), facts, Ending.STOP_RENEWING)
    later = {"effective_at": end.access_ends_at, "billing_ends_at": end.billing_ends_at}
    waiting = Cancellation.objects.open().filter(pk=cancellation.pk, confirmed_at=None)
    if not waiting.filter(effective_at__lt=end.access_ends_at).update(**later):
        return False
    record(
        cancellation.account,
        "cancellation.extended",
        by=SYSTEM,
        at=at,
        subject=cancellation.ref,
        until=end.access_ends_at.isoformat(),
    )
    limit_access(cancellation.account, end.access_ends_at, at=at)
    return True


def limit_access(account: Account, until: dt.datetime | None, *, at: dt.datetime) -> None:
    """Access ends then; None: it does not end by itself. Access that a pause has ended stays ended."""
    if until is not None and account.access_ends_at is not None and account.access_ends_at <= at:
        return
    Account.objects.filter(pk=account.pk).update(access_ends_at=until)
    account.access_ends_at = until


def open_invoices(outcome: Outcome, *, is_final: bool) -> dict[str, Any]:
    """What the provider is told of each unpaid invoice (C6).

    The declaration itself only stops every further try: it can be undone, and a voided invoice could
    not. What the terms decide is carried out with the ending.
    """
    if outcome.open_invoice is None:
        return {}
    rule = outcome.open_invoice.rule if is_final else "hold"
    return {name: {"rule": rule, "credit": credit} for name, credit in outcome.open_invoice.credits}


def _stop_renewal(cancellation: Cancellation, safe: Outcome, *, by: By, at: dt.datetime) -> None:
    """The instruction leaves now; what the provider knows nothing of is scheduled by being recorded."""
    subscription = cancellation.subscription
    unpaid = open_invoices(safe, is_final=False)
    if (
        subscription is None
        or steer_subscription(subscription, ends="period_end", at=at, by=by, open_invoices=unpaid) is None
    ):
        mark_scheduled(cancellation, at=at)
    if subscription is not None and subscription.is_local and subscription.trial_end is not None:
        stop_trial(subscription, safe.access_ends_at)


def _tell(cancellation: Cancellation, *, at: dt.datetime) -> None:
    about: dict[str, Any] = {"period": cancellation.public_id, "subject": cancellation.ref, "at": at}
    notices.owe(cancellation.account, "leaving_received", to=payers(cancellation.account), **about)
    notices.owe(cancellation.account, "teammate_leaving", to=teammates(cancellation.account), **about)
    remind_of_last_step(cancellation, at=at)


def remind_of_last_step(cancellation: Cancellation, *, at: dt.datetime) -> None:
    """Owe a reminder for the next morning; it is dropped if the last step is taken by then."""
    if not cancellation.moves_money_or_data or cancellation.claim_until is None:
        return
    tomorrow = timezone.localtime(at, cancellation.account.zone) + dt.timedelta(days=1)
    morning = tomorrow.replace(hour=REMIND_AT_HOUR, minute=0, second=0, microsecond=0).astimezone(dt.UTC)
    if morning <= cancellation.claim_until:
        notices.owe(
            cancellation.account,
            "leaving_last_step",
            to=payers(cancellation.account),
            at=at,
            window_from=morning,
            window_to=min(morning + notices.WINDOW, cancellation.claim_until),
            period=cancellation.public_id,
            subject=cancellation.ref,
        )
