"""What a plan costs from when on: planning another price, withdrawing it, and what holds at a moment."""

import datetime as dt
import re

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import By
from billing.models import Plan, PlannedPrice, PriceChange, Subscription

_NUMBERED = re.compile(r"^(.*?)-(\d+)$")
State = PlannedPrice.State


def can_change_price(plan: Plan) -> bool:
    """A paid plan on offer, of which no other price is planned already."""
    return not plan.is_free and plan.is_active and not plan.price_changes.standing().exists()


@transaction.atomic
def plan_price_change(
    plan: Plan,
    *,
    amount: int,
    provider_price: str,
    effective_from: dt.datetime,
    reason: str,
    by: By,
    at: dt.datetime,
) -> PriceChange:
    """From a day on this plan costs something else: for new customers at once then, for others at a renewal
    after it that could be announced in time.

    Another plan row takes its place, because a price of the provider's never changes. Raises `WrongState`
    for a day that is over, for the same amount, and where another price is planned already.
    """
    plan = Plan.objects.select_for_update().get(pk=plan.pk)
    if not can_change_price(plan) or effective_from < at or amount in (0, plan.amount):
        raise WrongState("This plan cannot have another price from that day on.")
    dearer = Plan.objects.create(
        code=next_code(plan.code),
        name_en=plan.name_en,
        name_es=plan.name_es,
        summary_en=plan.summary_en,
        summary_es=plan.summary_es,
        amount=amount,
        currency=plan.currency,
        interval=plan.interval,
        trial_days=plan.trial_days,
        trial_needs_card=plan.trial_needs_card,
        provider_price=provider_price,
    )
    return PriceChange.objects.create(
        from_plan=plan,
        to_plan=dearer,
        effective_from=effective_from,
        reason=reason[:200],
        actor=by.actor,
        actor_ref=by.ref,
        created_at=at,
    )


def next_code(code: str) -> str:
    """The code of the plan that takes the place of this one: solo, solo-2, solo-3; never one in use."""
    numbered = _NUMBERED.match(code)
    base, number = (numbered[1], int(numbered[2])) if numbered else (code, 1)
    while True:
        number += 1
        found = f"{base[: 39 - len(str(number))]}-{number}"
        if not Plan.objects.filter(code=found).exists():
            return found


def can_withdraw_change(change: PriceChange) -> bool:
    """While nobody pays the new price and the provider has not been told of it for anybody."""
    told = PlannedPrice.objects.filter(change=change, state__in=(State.SET, State.DONE))
    bought = Subscription.objects.filter(plan=change.to_plan_id)
    return change.withdrawn_at is None and not told.exists() and not bought.exists()


@transaction.atomic
def withdraw_change(change: PriceChange, *, reason: str, by: By, at: dt.datetime) -> None:
    """The price stays. Mails about it stop with this; whoever has been told is told so by the next run."""
    change = PriceChange.objects.select_for_update().get(pk=change.pk)
    if not can_withdraw_change(change):
        raise WrongState("Somebody pays this price already.")
    change.withdrawn_at, change.withdrawn_by, change.withdrawn_reason = at, by.ref or by.actor, reason[:200]
    change.save(update_fields=["withdrawn_at", "withdrawn_by", "withdrawn_reason"])


# --- What holds at a moment -----------------------------------------------------------------------


def plan_now(plan: Plan, *, at: dt.datetime) -> Plan:
    """The plan at the price that a new customer pays now."""
    while True:
        changes = plan.price_changes.standing().filter(effective_from__lte=at).select_related("to_plan")
        change = changes.first()
        if change is None:
            return plan
        plan = change.to_plan


def successors(plan: Plan) -> set[int]:
    """The plans that have taken, or will take, the place of this one: the same at another price."""
    found: set[int] = set()
    step: int | None = plan.pk
    standing = PriceChange.objects.standing()
    while step := standing.filter(from_plan=step).values_list("to_plan", flat=True).first():
        found.add(step)
    return found


def price_until_renewal(subscription: Subscription) -> str:
    """The provider's price for a charge that comes before the renewal, where another one is set; else ""."""
    planned = subscription.planned_prices.open().filter(state=State.SET)
    return planned.values_list("change__from_plan__provider_price", flat=True).first() or ""
