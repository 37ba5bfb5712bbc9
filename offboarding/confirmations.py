"""Confirming: the last step of an ending that moves money or data executes what was shown."""

import datetime as dt
from dataclasses import replace

from django.db import transaction
from django.db.models import Min

from accounts import notices
from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record
from accounts.models import Account, User
from accounts.recipients import payers, teammates
from billing.models import Payment
from billing.subscriptions import steer_subscription
from offboarding import free_days, retention
from offboarding.completions import complete_cancellation
from offboarding.declarations import limit_access, open_invoices, require_right
from offboarding.models import Cancellation, Ending, Quote
from offboarding.outcomes import Outcome, decide_outcome
from offboarding.payouts import give_back
from offboarding.quotes import (
    FactsMoved,
    act_of_quote,
    current_facts,
    leaving_terms,
    situation_of,
    store_quote,
)


def outcome_at_confirmation(quote: Quote, *, at: dt.datetime) -> Outcome:
    """What confirming now does: the money as it was measured at the declaration, the dates from now (C11)."""
    facts = situation_of(quote)
    rules = leaving_terms(quote.terms)
    measured = decide_outcome(rules, facts, quote.ending)
    if quote.ending == Ending.FREE_DAYS or measured.keeps_access:
        return measured
    dated = decide_outcome(rules, facts.measured(int(at.timestamp())), quote.ending)
    return replace(dated, refund=measured.refund, open_invoice=measured.open_invoice)


def confirm_cancellation(
    cancellation: Cancellation,
    *,
    quote_id: str,
    by: By,
    at: dt.datetime,
    user: User,
    waives_retrieval: bool = False,
) -> Cancellation:
    """Execute exactly the quote that was shown (R4).

    Twice, in parallel or after a crash, it is one confirmation (R2). If the facts moved nothing is
    executed: a new quote is attached, `FactsMoved` is raised, and it is shown and asked again.
    """
    try:
        return _confirm(
            cancellation, quote_id=quote_id, by=by, at=at, user=user, waives_retrieval=waives_retrieval
        )
    except FactsMoved:
        requote(cancellation, at=at)
        raise


@transaction.atomic
def requote(cancellation: Cancellation, *, at: dt.datetime) -> Quote:
    """A new quote from the facts as they are, measured at the declaration; the last one if nothing moved."""
    cancellation = Cancellation.objects.select_related("account__terms", "quote__terms").get(
        pk=cancellation.pk
    )
    facts = current_facts(cancellation)
    if facts.fingerprint() == cancellation.quote.facts_hash or cancellation.confirmed_at:
        return cancellation.quote
    outcome = decide_outcome(leaving_terms(cancellation.quote.terms), facts, cancellation.ending)
    quote = store_quote(cancellation.account, facts, outcome, at=at)
    Cancellation.objects.open().filter(pk=cancellation.pk, confirmed_at=None).update(
        quote=quote, claim_until=outcome.claim_until
    )
    record(cancellation.account, "cancellation.requoted", by=SYSTEM, at=at, subject=cancellation.ref)
    return quote


@transaction.atomic
def _confirm(
    cancellation: Cancellation, *, quote_id: str, by: By, at: dt.datetime, user: User, waives_retrieval: bool
) -> Cancellation:
    Account.objects.select_for_update().get(pk=cancellation.account_id)
    cancellation = Cancellation.objects.select_related("account__terms", "quote__terms", "subscription").get(
        pk=cancellation.pk
    )
    if cancellation.confirmed_at:
        return cancellation
    _require_open(cancellation, at=at)
    require_right(cancellation.account, user, cancellation.ending)
    _hold_cards(cancellation.account)
    quote = cancellation.quote
    if quote.public_id != quote_id or current_facts(cancellation).fingerprint() != quote.facts_hash:
        raise FactsMoved
    outcome = outcome_at_confirmation(quote, at=at)
    changed = (
        Cancellation.objects.open()
        .filter(pk=cancellation.pk, confirmed_at=None)
        .update(
            confirmed_at=at,
            waived_retrieval=waives_retrieval,
            effective_at=outcome.access_ends_at,
            billing_ends_at=outcome.billing_ends_at,
        )
    )
    if not changed:
        raise WrongState("It was confirmed or taken back meanwhile.")
    cancellation.refresh_from_db()
    record(
        cancellation.account,
        "cancellation.confirmed",
        by=by,
        at=at,
        subject=cancellation.ref,
        ending=cancellation.ending,
        act=act_of_quote(quote),
        until=cancellation.effective_at.isoformat(),
    )
    _execute(cancellation, outcome, by=by, at=at)
    return cancellation


def _hold_cards(account: Account) -> None:
    """Accounts that one card pays for confirm one after the other: the later sees the refund of the earlier.

    What is locked is the first payment ever made with the card.
    """
    cards = (
        Payment.objects.filter(account=account).exclude(method_fingerprint="").values("method_fingerprint")
    )
    paid = Payment.objects.filter(method_fingerprint__in=cards).values("method_fingerprint")
    first = paid.annotate(first=Min("pk")).values("first")
    list(Payment.objects.select_for_update().filter(pk__in=first).order_by("pk").values_list("pk"))


def _require_open(cancellation: Cancellation, *, at: dt.datetime) -> None:
    if not cancellation.is_open or not cancellation.moves_money_or_data:
        raise WrongState("There is nothing to confirm.")
    if cancellation.claim_until and at > cancellation.claim_until:
        raise WrongState("The time to confirm is over.")


def _execute(cancellation: Cancellation, outcome: Outcome, *, by: By, at: dt.datetime) -> None:
    account = cancellation.account
    if cancellation.ending == Ending.FREE_DAYS:
        free_days.reserve_refund(cancellation, outcome, by=by, at=at)
    else:
        give_back(cancellation, by=by, at=at)
        if cancellation.subscription:
            steer_subscription(
                cancellation.subscription,
                ends="period_end" if outcome.keeps_access else "now",
                at=at,
                by=by,
                open_invoices=open_invoices(outcome, is_final=True),
            )
    if cancellation.ending == Ending.CLOSE_DELETE:
        waived = cancellation.waived_retrieval
        if earlier := retention.open_closure(account):
            retention.call_off_closure(earlier, by=by, at=at, reason="replaced")
        retention.close_data(
            account,
            cancellation=cancellation,
            data_until=outcome.data_until,
            waived=waived,
            by=by,
            at=at,
            purge_on=outcome.purge_on if waived else outcome.data_until,
            stop_until=outcome.stop_until,
        )
    limit_access(account, cancellation.effective_at, at=at)
    notices.drop_notices(account, kinds=["leaving_last_step"], reason="confirmed")
    notices.owe(
        account,
        "leaving_confirmed",
        to=payers(account),
        period=cancellation.public_id,
        subject=cancellation.ref,
        at=at,
    )
    _tell_teammates(cancellation, at=at)
    if cancellation.effective_at <= at:
        complete_cancellation(cancellation, at=at)


def _tell_teammates(cancellation: Cancellation, *, at: dt.datetime) -> None:
    """Their last day is another one now, or their data goes: they are told at once, with the new dates."""
    account = cancellation.account
    notices.drop_notices(account, kinds=["teammate_leaving"], reason="confirmed")
    notices.owe(
        account,
        "teammate_leaving",
        to=teammates(account),
        period=f"{cancellation.public_id}:confirmed",
        subject=cancellation.ref,
        at=at,
    )
