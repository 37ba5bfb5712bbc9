"""dj-stripe as a mirror for support: it follows our inbox and decides nothing.

A mirror that fails to update is logged and tried again; no fact of ours waits for it.
"""

import datetime as dt
import logging
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import F

from billing.models import Incoming
from billing.stripe_api import StripeForbidden, StripeThrottled, StripeUnavailable, calling

logger = logging.getLogger(__name__)

#: By the beginning of the event's type: dj-stripe's model, and how the current object is read.
FOLLOWS = {
    "customer.subscription.": ("Subscription", "subscriptions"),
    "customer.created": ("Customer", "customers"),
    "customer.updated": ("Customer", "customers"),
    "customer.deleted": ("Customer", "customers"),
    "invoice.": ("Invoice", "invoices"),
    "charge.dispute.": ("Dispute", "disputes"),
    "charge.refund.": ("Refund", "refunds"),
    "charge.": ("Charge", "charges"),
    "refund.": ("Refund", "refunds"),
}


def follow_due(*, at: dt.datetime, limit: int = 100) -> int:
    """Bring the mirror up to what was applied since; returns how many rows it followed.

    One look at an object serves all its events. Where the provider does not answer, the rest waits
    for the next run, so that an outage holds the worker up once and not a hundred times.
    """
    done = 0
    seen: set[tuple[str, str]] = set()
    for row in Incoming.objects.to_mirror().order_by("pk")[:limit]:
        target = next((t for prefix, t in FOLLOWS.items() if row.type.startswith(prefix)), None)
        if target is not None and (target[0], row.object_id) not in seen:
            Incoming.objects.filter(pk=row.pk).update(mirror_attempts=F("mirror_attempts") + 1)
            try:
                if not _follow(row, *target):
                    continue
            except (StripeUnavailable, StripeThrottled, StripeForbidden) as error:
                logger.warning("the mirror waits", extra={"why": type(error).__name__})
                break
            seen.add((target[0], row.object_id))
        done += Incoming.objects.filter(pk=row.pk).update(mirrored_at=at)
    return done


def _follow(row: Incoming, model_name: str, service_name: str) -> bool:
    model: Any = apps.get_model("djstripe", model_name)
    try:
        with calling() as stripe:
            fetched = getattr(stripe.v1, service_name).retrieve(row.object_id)
            model.sync_from_stripe_data(fetched, api_key=settings.STRIPE_SECRET_KEY)
    except (StripeUnavailable, StripeThrottled, StripeForbidden):
        raise
    except Exception as error:  # the library's own code: whatever it cannot read must not stop the rest
        logger.warning(
            "the mirror did not follow", extra={"event": row.event_id, "why": type(error).__name__}
        )
        return False
    return True
