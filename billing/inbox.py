"""The webhook inbox: take in fast, apply later, once, in any order."""

import datetime as dt
import logging
import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import F

from accounts.doorbell import ring
from accounts.models import Account
from billing import cards, sync
from billing.locks import Busy
from billing.models import Customer, Incoming
from billing.stripe_api import (
    StripeForbidden,
    StripeRefused,
    StripeThrottled,
    StripeUnavailable,
    calling,
)

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=2)
ATTEMPTS = 12
Status = Incoming.Status


def take_in(event: dict[str, Any], *, at: dt.datetime) -> bool:
    """Store one verified event unless it is here already; False for one that is not for us."""
    if not _is_event(event) or bool(event.get("livemode")) != settings.STRIPE_LIVE_MODE:
        return False
    Incoming.objects.bulk_create([_row(event, at=at)], ignore_conflicts=True)
    ring("billing.apply_events")
    return True


def _is_event(event: dict[str, Any]) -> bool:
    """Whether it has what an event has; anything else is answered and forgotten, never an error of ours."""
    return (
        event.get("object") == "event"
        and all(isinstance(event.get(name), str) for name in ("id", "type"))
        and isinstance(event.get("created"), int)
        and isinstance(event.get("data"), dict)
        and isinstance(event["data"].get("object"), dict)
    )


def _row(event: dict[str, Any], *, at: dt.datetime) -> Incoming:
    subject = event["data"]["object"]
    customer = subject.get("id") if subject.get("object") == "customer" else subject.get("customer")
    return Incoming(
        event_id=event["id"],
        type=event["type"],
        object_id=str(subject.get("id") or ""),
        customer_id=customer if isinstance(customer, str) else (customer or {}).get("id", ""),
        created=dt.datetime.fromtimestamp(event["created"], dt.UTC),
        received_at=at,
        next_attempt_at=at,
    )


def apply_due_events(*, at: dt.datetime, limit: int = 200) -> int:
    """Apply what came in: each row leased, its object fetched afresh, written once."""
    done = 0
    for pk in list(Incoming.objects.due(at).order_by("pk").values_list("pk", flat=True)[:limit]):
        token = secrets.token_hex(16)
        if (
            Incoming.objects.due(at)
            .filter(pk=pk)
            .update(lease_until=at + LEASE, lease_token=token, attempts=F("attempts") + 1)
        ):
            done += _apply(Incoming.objects.get(pk=pk), token, at=at)
    return done


def _apply(row: Incoming, token: str, *, at: dt.datetime) -> bool:
    held = Incoming.objects.filter(pk=row.pk, lease_token=token, status=Status.NEW)
    try:
        status = apply_event(row, at=at)
    except Busy:
        held.update(lease_until=None, next_attempt_at=at, attempts=F("attempts") - 1)
        return False
    except (StripeUnavailable, StripeThrottled, StripeForbidden, StripeRefused, LookupError) as error:
        _put_off(held, row, f"{type(error).__name__}: {error}", at=at)
        return False
    return bool(held.update(status=status, done_at=at, lease_until=None, error=""))


def apply_event(row: Incoming, *, at: dt.datetime) -> str:
    """Fetch what the event is about and write it: `done`, or `ignored` where it is nothing of ours.

    Nothing is written about an account that was erased: a late event must not bring its data back (D3).
    """
    family = next((f for f in _APPLY if row.type.startswith(f)), None)
    known = Customer.objects.select_related("account").exclude(account__state=Account.State.ERASED)
    customer = known.filter(provider_id=_customer_id(row)).first()
    if family is None or customer is None:
        return Status.IGNORED
    _APPLY[family](customer, row, at)
    return Status.DONE


def _customer_id(row: Incoming) -> str:
    """Some events name only a charge: then the charge names the customer."""
    if row.customer_id or not row.type.startswith(
        ("charge.dispute", "refund.", "charge.refund", "invoice_payment.")
    ):
        return row.customer_id
    with calling() as stripe:
        if row.type.startswith("invoice_payment."):
            made = stripe.v1.invoice_payments.retrieve(row.object_id, params={"expand": ["invoice"]})
            return sync.id_of(getattr(made.invoice, "customer", None))
        about: Any = (
            stripe.v1.disputes.retrieve(row.object_id, params={"expand": ["charge"]})
            if row.type.startswith("charge.dispute")
            else stripe.v1.refunds.retrieve(row.object_id, params={"expand": ["charge"]})
        )
    return sync.id_of(about.charge.customer) if about.charge else ""


def _put_off(held: Any, row: Incoming, why: str, *, at: dt.datetime) -> None:
    if row.attempts >= ATTEMPTS:
        held.update(status=Status.DEAD, error=why[:200], lease_until=None)
        logger.error("event needs a person", extra={"event": row.event_id, "why": why})
        return
    wait = dt.timedelta(seconds=min(300, 5 * 2**row.attempts))
    held.update(error=why[:200], lease_until=None, next_attempt_at=at + wait)


def _subscription(customer: Customer, row: Incoming, at: dt.datetime) -> None:
    sync.sync_subscription(customer, row.object_id, at=at)


def _invoice(customer: Customer, row: Incoming, at: dt.datetime) -> None:
    if row.type not in ("invoice.upcoming", "invoice.deleted"):
        sync.sync_invoice(customer, row.object_id, at=at)


def _payment_of(kind: str) -> Callable[[Customer, Incoming, dt.datetime], None]:
    def apply(customer: Customer, row: Incoming, at: dt.datetime) -> None:
        with calling() as stripe:
            service: Any = getattr(stripe.v1, kind)
            intent = sync.id_of(service.retrieve(row.object_id).payment_intent)
        if intent:
            sync.sync_payment(customer, intent, at=at)

    return apply


def _intent(customer: Customer, row: Incoming, at: dt.datetime) -> None:
    sync.sync_payment(customer, row.object_id, at=at)


def _invoice_payment(customer: Customer, row: Incoming, at: dt.datetime) -> None:
    with calling() as stripe:
        made = stripe.v1.invoice_payments.retrieve(row.object_id)
    sync.sync_invoice(customer, sync.id_of(made.invoice), at=at)


def _customer(customer: Customer, row: Incoming, at: dt.datetime) -> None:
    sync.sync_customer(customer, at=at)


def _card_saved(customer: Customer, row: Incoming, at: dt.datetime) -> None:
    cards.adopt_saved_card(customer, row.object_id, at=at)


#: By the beginning of the event's type; the longest first.
_APPLY: dict[str, Callable[[Customer, Incoming, dt.datetime], None]] = {
    "customer.subscription.": _subscription,
    "customer.": _customer,
    "invoice_payment.": _invoice_payment,
    "invoice.": _invoice,
    "payment_intent.succeeded": _intent,
    "setup_intent.succeeded": _card_saved,
    "charge.dispute.": _payment_of("disputes"),
    "charge.refund.": _payment_of("refunds"),
    "charge.": _payment_of("charges"),
    "refund.": _payment_of("refunds"),
}
