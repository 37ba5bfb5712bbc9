"""The webhook inbox: take in fast, apply later, once, in any order."""

import datetime as dt
import logging
import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from accounts import sets
from accounts.doorbell import ring_soon
from accounts.models import Account
from billing import cards, sync, sync_invoices
from billing.locks import Busy
from billing.models import Customer, Incoming
from billing.stripe_api import (
    StripeForbidden,
    StripeRefused,
    StripeThrottled,
    StripeUnavailable,
    calling,
    id_of,
)

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=2)
ATTEMPTS = 12
Status = Incoming.Status
#: Kind and id of an object at the provider.
Target = tuple[str, str]


def take_in(event: dict[str, Any], *, at: dt.datetime) -> bool:
    """Store one verified event unless it is here, in one statement; False for one that is not for us."""
    if not _is_event(event) or bool(event.get("livemode")) != settings.STRIPE_LIVE_MODE:
        return False
    sets.run(sets.insert_select(_row(event, at=at), {}, ("", []), conflict="ON CONFLICT DO NOTHING"))
    ring_soon("billing.apply_events")
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
    return Incoming(
        event_id=event["id"],
        type=event["type"],
        object_id=str(subject.get("id") or ""),
        customer_id=_named(subject, "id" if subject.get("object") == "customer" else "customer"),
        payment_id=_named(subject, "payment_intent"),
        invoice_id=_named(subject, "invoice"),
        created=dt.datetime.fromtimestamp(event["created"], dt.UTC),
        received_at=at,
        next_attempt_at=at,
    )


def _named(subject: dict[str, Any], field: str) -> str:
    """The id in a field that holds an id or a whole object."""
    value = subject.get(field)
    return str(value.get("id") or "") if isinstance(value, dict) else str(value or "")


def apply_due_events(*, at: dt.datetime, limit: int = 200) -> int:
    """Apply what came in: each row leased, what it is about fetched afresh, written once.

    One look at an object serves every event about it that had come in before the look.
    """
    rows = list(Incoming.objects.due(at).order_by("pk")[:limit])
    looked: set[Target] = set()
    done = 0
    for row in sorted(rows, key=lambda row: (_ORDER.index(target_of(row)[0]), row.pk)):
        token = secrets.token_hex(16)
        free = Incoming.objects.due(at).filter(pk=row.pk)
        if free.update(lease_until=at + LEASE, lease_token=token, attempts=F("attempts") + 1):
            row.attempts += 1
            done += _apply(row, token, looked, at=at)
    return done


def _apply(row: Incoming, token: str, looked: set[Target], *, at: dt.datetime) -> bool:
    held = Incoming.objects.filter(pk=row.pk, lease_token=token, status=Status.NEW)
    try:
        status = Status.DONE if target_of(row) in looked else apply_event(row, looked, at=at)
    except Busy:
        held.update(lease_until=None, next_attempt_at=at, attempts=F("attempts") - 1)
        return False
    except (StripeUnavailable, StripeThrottled, StripeForbidden, StripeRefused, LookupError) as error:
        _put_off(held, row, f"{type(error).__name__}: {error}", at=at)
        return False
    return bool(held.update(status=status, done_at=at, lease_until=None, error=""))


def apply_event(row: Incoming, looked: set[Target], *, at: dt.datetime) -> str:
    """Fetch what the event is about and write it: `done`, or `ignored` where it is nothing of ours.

    Nothing is written about an account that was erased: a late event must not bring its data back (D3).
    """
    kind, provider_id = target_of(row)
    known = Customer.objects.select_related("account").exclude(account__state=Account.State.ERASED)
    customer = known.filter(provider_id=_customer_id(row)).first() if kind and provider_id else None
    if customer is None:
        return Status.IGNORED
    looked |= _LOOK[kind](customer, provider_id, at)
    looked.add((kind, provider_id))
    return Status.DONE


def target_of(row: Incoming) -> Target:
    """The object that has to be looked at for this event: its kind and id; ("", "") for none of ours."""
    family = next((f for f in _TARGETS if row.type.startswith(f)), "")
    if not family or row.type in ("invoice.upcoming", "invoice.deleted"):
        return "", ""
    kind, column = _TARGETS[family]
    return kind, str(getattr(row, column))


def _customer_id(row: Incoming) -> str:
    """Some events do not name the customer: then our own rows do, or else the provider's."""
    if row.customer_id:
        return row.customer_id
    known = Customer.objects.filter(
        Q(account__payments__provider_id=row.payment_id or None)
        | Q(account__invoices__provider_id=row.invoice_id or None)
    )
    if customer := known.first():
        return customer.provider_id
    with calling() as stripe:
        about: Any = None
        if row.payment_id:
            about = stripe.v1.payment_intents.retrieve(row.payment_id)
        elif row.invoice_id:
            about = stripe.v1.invoices.retrieve(row.invoice_id)
    return id_of(about.customer) if about else ""


def _put_off(held: Any, row: Incoming, why: str, *, at: dt.datetime) -> None:
    if row.attempts >= ATTEMPTS:
        held.update(status=Status.DEAD, error=why[:200], lease_until=None)
        logger.error("event needs a person", extra={"event": row.event_id, "why": why})
        return
    wait = dt.timedelta(seconds=min(300, 5 * 2**row.attempts))
    held.update(error=why[:200], lease_until=None, next_attempt_at=at + wait)


def _subscription(customer: Customer, provider_id: str, at: dt.datetime) -> set[Target]:
    sync.sync_subscription(customer, provider_id, at=at)
    return set()


def _invoice(customer: Customer, provider_id: str, at: dt.datetime) -> set[Target]:
    return {("payment", intent) for intent in sync_invoices.sync_invoice(customer, provider_id, at=at)}


def _payment(customer: Customer, provider_id: str, at: dt.datetime) -> set[Target]:
    sync_invoices.sync_payment(customer, provider_id, at=at)
    return set()


def _customer(customer: Customer, provider_id: str, at: dt.datetime) -> set[Target]:
    sync.sync_customer(customer, at=at)
    return set()


def _card_saved(customer: Customer, provider_id: str, at: dt.datetime) -> set[Target]:
    cards.adopt_saved_card(customer, provider_id, at=at)
    return set()


#: By the beginning of the event's type, the longest first: what to look at, and the column with its id.
_TARGETS: dict[str, Target] = {
    "customer.subscription.": ("subscription", "object_id"),
    "customer.": ("customer", "customer_id"),
    "invoice_payment.": ("invoice", "invoice_id"),
    "invoice.": ("invoice", "object_id"),
    "payment_intent.succeeded": ("payment", "object_id"),
    "setup_intent.succeeded": ("card", "object_id"),
    "charge.": ("payment", "payment_id"),
    "refund.": ("payment", "payment_id"),
}
#: An invoice is looked at before the payments on it, which it brings along.
_ORDER = ("subscription", "invoice", "payment", "customer", "card", "")
_LOOK: dict[str, Callable[[Customer, str, dt.datetime], set[Target]]] = {
    "subscription": _subscription,
    "invoice": _invoice,
    "payment": _payment,
    "customer": _customer,
    "card": _card_saved,
}
