"""Hearing of subscriptions that change: their planned price is made, or looked at again at once."""

import datetime as dt
from typing import Any

from accounts.models import Notice
from billing.models import PlannedPrice, PriceChange, Subscription
from billing.price_planning import plan_prices
from billing.price_rules import place_of


def follow_subscription(subscription: Subscription, at: dt.datetime, **_signal: Any) -> None:
    """News of a subscription (`subscription_changed`): a plan whose price changes, a renewal that moved."""
    planned = PlannedPrice.objects.open().filter(subscription=subscription).select_related("change").first()
    if planned is not None:
        if not is_as_planned(planned, subscription):
            PlannedPrice.objects.open().filter(pk=planned.pk, next_at__gt=at).update(next_at=at)
    elif PriceChange.objects.standing().filter(from_plan=subscription.plan_id).exists():
        plan_prices([subscription.pk], at=at)


def follow_payment(payment: Any, at: dt.datetime, **_signal: Any) -> None:
    """The first payment after a trial (`payment_received`): from now on its price can change."""
    invoice = payment.invoice
    if invoice is not None and invoice.subscription is not None:
        follow_subscription(invoice.subscription, at)


def look_again(notice: Notice, at: dt.datetime) -> None:
    """A notice of a rise was missed: the rise is looked at, and goes to a later renewal (`on_missed`)."""
    ref = notice.period.partition(":")[0]
    PlannedPrice.objects.open().filter(public_id=ref).update(next_at=at)


def is_as_planned(planned: PlannedPrice, row: Subscription) -> bool:
    """Whether all is still so: it goes on, on that plan, and renews on that day."""
    plans = (planned.change.from_plan_id, planned.change.to_plan_id)
    place = place_of(planned.takes_at, row.period_start, row.period_end, row.plan.interval)
    return row.is_live and row.cancel_at is None and row.plan_id in plans and place in ("next", "later")
