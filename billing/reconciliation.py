"""Ours against the provider's: every live subscription and every moving refund once a day (C7, R3)."""

import datetime as dt
import logging

from django.db.models import F, Q, QuerySet

from accounts.events import SYSTEM, record
from billing import sync
from billing.locks import Busy
from billing.models import Customer, Refund, Subscription
from billing.stripe_api import StripeRefused, StripeThrottled, StripeUnavailable

logger = logging.getLogger(__name__)

EVERY = dt.timedelta(hours=20)


def due_customers(at: dt.datetime) -> QuerySet[Customer]:
    """Customers with something that can still move, not compared for twenty hours."""
    moving = Refund.objects.filter(state__in=("pending", "unknown", "sending")).values("account_id")
    live = Subscription.objects.live().exclude(provider_id=None).values("account_id")
    return Customer.objects.filter(
        Q(account_id__in=live) | Q(account_id__in=moving),
        Q(reconciled_at=None) | Q(reconciled_at__lte=at - EVERY),
        deleted_at=None,
    ).order_by(F("reconciled_at").asc(nulls_first=True), "pk")


def reconcile_due(*, at: dt.datetime, limit: int = 500) -> int:
    """Read what is due from the provider again; a difference nobody reported becomes an event."""
    done = 0
    for customer in due_customers(at).select_related("account")[:limit]:
        seen = _facts(customer)
        try:
            sync.sync_everything(customer, at=at)
        except (StripeUnavailable, StripeThrottled, StripeRefused, Busy) as error:
            logger.warning(
                "could not reconcile", extra={"customer": customer.provider_id, "why": type(error).__name__}
            )
            continue
        Customer.objects.filter(pk=customer.pk).update(reconciled_at=at)
        done += 1
        if _facts(customer) != seen:
            record(
                customer.account,
                "billing.drift",
                by=SYSTEM,
                at=at,
                subject=f"customer:{customer.provider_id}",
            )
    return done


def _facts(customer: Customer) -> list[tuple[object, ...]]:
    subscriptions = (
        Subscription.objects.filter(account=customer.account).exclude(provider_id=None).order_by("pk")
    )
    refunds = Refund.objects.filter(account=customer.account).order_by("pk")
    return [
        *subscriptions.values_list("provider_id", "status", "cancel_at", "period_end"),
        *refunds.values_list("public_id", "state", "provider_id", "amount"),
    ]
