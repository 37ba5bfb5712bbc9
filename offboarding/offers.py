"""What could help, beside a live "no, continue": never before the receipt, never in its way (C9)."""

import datetime as dt

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import User
from billing.models import Plan
from billing.pauses import pause_choices, start_pause
from billing.prices import successors
from billing.subscriptions import change_plan
from offboarding.declarations import choose_again
from offboarding.models import Cancellation, Ending, ExitReason, ExitSurvey, Offer
from offboarding.outcomes import decide_outcome
from offboarding.quotes import current_facts, leaving_terms
from offboarding.withdrawals import can_withdraw, withdraw_cancellation

Kind = ExitReason.Offer


def matching_offer(cancellation: Cancellation, *, at: dt.datetime) -> str:
    """The offer that fits the reason given and can really be taken from here; "" for none."""
    survey = ExitSurvey.objects.select_related("reason").filter(cancellation=cancellation).first()
    kind = survey.reason.offer if survey and survey.reason else ""
    if not kind or not can_withdraw(cancellation, at=at) or cancellation.confirmed_at:
        return ""
    return kind if _can_take(cancellation, kind, at=at) else ""


def _can_take(cancellation: Cancellation, kind: str, *, at: dt.datetime) -> bool:
    subscription = cancellation.subscription
    if kind == Kind.CALL:
        return cancellation.account.terms.offers_call
    if kind == Kind.FREE_DAYS:
        facts = current_facts(cancellation)
        outcome = decide_outcome(leaving_terms(cancellation.quote.terms), facts, Ending.FREE_DAYS)
        return cancellation.ending != Ending.FREE_DAYS and outcome.is_offered
    if subscription is None:
        return False
    if kind == Kind.PAUSE:
        return bool(pause_choices(subscription, at=at))
    return bool(cheaper_plans(cancellation, at=at))


def cheaper_plans(cancellation: Cancellation, *, at: dt.datetime) -> list[Plan]:
    """Paid plans in the same currency and rhythm that cost less; of two that differ by a trial the plain one.

    Whoever pays already has nothing to try.
    """
    subscription = cancellation.subscription
    if subscription is None or subscription.is_local:
        return []
    plan = subscription.plan
    rows = (
        Plan.objects.on_offer(plan.currency)
        .priced_at(at)
        .filter(interval=plan.interval, amount__lt=plan.amount, amount__gt=0)
        .exclude(pk__in=successors(plan))
    )
    plain = {plan.amount for plan in rows if not plan.trial_days}
    return [plan for plan in rows if not plan.trial_days or plan.amount not in plain]


def show_offer(cancellation: Cancellation, kind: str, *, at: dt.datetime) -> None:
    """Remember that it was shown, for an honest count later."""
    Offer.objects.get_or_create(cancellation=cancellation, kind=kind, defaults={"shown_at": at})


@transaction.atomic
def take_offer(
    cancellation: Cancellation,
    kind: str,
    *,
    by: By,
    at: dt.datetime,
    user: User,
    months: int = 0,
    plan: str = "",
    call_when: str = "",
) -> None:
    """Take it: a pause or another plan keeps the subscription, free days change the ending."""
    if not _can_take(cancellation, kind, at=at):
        raise WrongState("This offer does not hold here.")
    show_offer(cancellation, kind, at=at)
    Offer.objects.filter(cancellation=cancellation, kind=kind).update(status=Offer.Status.TAKEN, taken_at=at)
    record(cancellation.account, "offer.taken", by=by, at=at, subject=cancellation.ref, offer=kind)
    subscription = cancellation.subscription
    if kind == Kind.CALL:
        ExitSurvey.objects.filter(cancellation=cancellation).update(
            wants_call=True, call_when=call_when[:120]
        )
    elif kind == Kind.FREE_DAYS:
        choose_again(cancellation, Ending.FREE_DAYS, by=by, at=at, user=user)
    elif subscription is not None:
        withdraw_cancellation(cancellation, by=by, at=at)
        if kind == Kind.PAUSE:
            start_pause(subscription, months, by=by, at=at)
        else:
            chosen = next((p for p in cheaper_plans(cancellation, at=at) if p.code == plan), None)
            if chosen is None:
                raise WrongState("This plan is not on offer.")
            subscription.cancel_at = None  # taken back a moment ago; the provider has yet to say so
            change_plan(subscription, chosen, by=by, at=at)
