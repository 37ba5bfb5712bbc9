"""Prices that change, at the real sandbox and by the clock: planned, announced, charged, read back."""

import datetime as dt
from typing import Any

from django.db.models import Min

from accounts.events import By
from accounts.models import Event, Notice
from accounts.tests.worlds import NOON, make_account, make_user
from billing.models import Invoice, Plan, PlannedPrice, PriceChange, Subscription
from billing.price_sweep import run_prices
from billing.prices import plan_price_change
from billing.stripe_api import calling
from billing.tests.worlds import (
    TurnableClock,
    advance,
    let_the_provider_follow,
    make_plan,
    make_subscription,
    run_worker,
)

DAY, HOUR, MINUTES = dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=5)


def make_price(plan: Plan, amount: int) -> str:
    """Another price of the plan's product at the sandbox."""
    with calling() as stripe:
        product = stripe.v1.prices.retrieve(plan.provider_price).product
        made = stripe.v1.prices.create(
            params={
                "product": str(product),
                "unit_amount": amount,
                "currency": plan.currency.lower(),
                "recurring": {"interval": plan.interval},  # type: ignore[typeddict-item]
            }
        )
    return str(made.id)


def change_price(
    plan: Plan,
    amount: int = 3500,
    *,
    at: dt.datetime = NOON,
    since: dt.datetime | None = None,
    price: str = "",
) -> PriceChange:
    """Staff plan another price, from the next day on unless told otherwise."""
    return plan_price_change(
        plan,
        amount=amount,
        provider_price=price or make_price(plan, amount),
        effective_from=since or at + DAY,
        reason="costs",
        by=By.staff(make_user(is_staff=True)),
        at=at,
    )


def paying(interval: str = "month", amount: int = 2900, **account: Any) -> Subscription:
    """A paid subscription at the sandbox, begun now."""
    return make_subscription(make_account(**account), make_plan(interval=interval, amount=amount))


def live(clock: TurnableClock, until: dt.datetime, *, beats: int = 1) -> None:
    """Let time pass, and beat run a few minutes after each moment at which something is due."""
    while clock.now() < until:
        moment = min(until, max(clock.now() + MINUTES, _next_moment(clock.now()) + MINUTES))
        advance(clock, moment)
        beat(moment, beats=beats)


def _next_moment(now: dt.datetime) -> dt.datetime:
    """When something is due next: a mail, a planned price, a renewal (its invoice is final an hour later)."""
    found = [
        Notice.objects.filter(status="owed").aggregate(at=Min("next_attempt_at"))["at"],
        PlannedPrice.objects.open().aggregate(at=Min("next_at"))["at"],
        *Subscription.objects.live().filter(period_end__gt=now).values_list("period_end", flat=True),
    ]
    renewed = Subscription.objects.live().filter(period_start__lte=now, period_start__gt=now - HOUR)
    found += [start + HOUR for start in renewed.values_list("period_start", flat=True)]
    return min((at for at in found if at is not None and at > now), default=now + DAY)


def beat(at: dt.datetime, *, beats: int = 1) -> None:
    """What beat does of prices at this moment, and what the doorbell brings along."""
    for _ in range(beats):
        run_prices(at=at)
    run_worker(at)


def be_off(clock: TurnableClock, until: dt.datetime) -> None:
    """Nothing of ours runs until then; the provider goes on by itself."""
    clock.turn_to(until)
    let_the_provider_follow(until)


def bill(subscription: Subscription) -> list[int]:
    """What was invoiced, in order."""
    rows = Invoice.objects.filter(subscription=subscription).exclude(status="draft")
    return list(rows.order_by("created_at").values_list("total", flat=True))


def planned(subscription: Subscription) -> list[tuple[str, str]]:
    """Each planned price: state and why, in order."""
    rows = PlannedPrice.objects.filter(subscription=subscription).order_by("pk")
    return list(rows.values_list("state", "reason"))


def mails(subscription: Subscription) -> list[tuple[int, str]]:
    """The mails about prices and renewals that left, each with its day since the start."""
    rows = Notice.objects.filter(account=subscription.account_id, status="sent", sent_at__isnull=False)
    rows = rows.filter(kind__startswith="price_") | rows.filter(kind="renewal_ahead")
    return [
        ((row.sent_at - NOON).days, f"{row.kind} {row.period.rpartition(':')[2]}")
        for row in rows.order_by("sent_at", "pk")
        if row.sent_at
    ]


def said(subscription: Subscription) -> list[str]:
    """What the history says about prices."""
    rows = Event.objects.filter(account_ref=subscription.account.public_id, kind__startswith="price.")
    return list(rows.order_by("seq").values_list("kind", flat=True))
