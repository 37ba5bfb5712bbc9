"""The only door to Stripe: one client, one meaning per error, never inside a transaction.

Every write goes out with an idempotency key that a row of ours holds already; the library's own
retries, which would invent keys, are off.
"""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import stripe
from django.conf import settings
from django.db import connection

#: Stripe's objects and client, for annotations elsewhere.
Client = stripe.StripeClient
ProviderRefund = stripe.Refund


class StripeUnavailable(Exception):
    """No answer, or none that says what happened: the outcome is unknown (timeout, reset, 5xx, 409)."""


class StripeThrottled(Exception):
    """429: nothing was executed; ask again later."""


class StripeForbidden(Exception):
    """401 or 403: the key is wrong; money jobs stop and someone is alarmed."""


class StripeRefused(Exception):
    """Stripe understood and said no. `code` is its error code, `decline` the bank's reason.

    `by_bank`: it is about the card, so the customer can do something; anything else is our fault.
    """

    def __init__(self, code: str, decline: str = "", *, by_bank: bool = False) -> None:
        super().__init__(decline or code)
        self.code = code
        self.decline = decline
        self.by_bank = by_bank


class NetworkCallInTransaction(Exception):
    """A programming fault: the database would be held while the network answers."""


@contextmanager
def calling() -> Iterator[stripe.StripeClient]:
    """Stripe's client, its errors told apart; refuses to be used inside a transaction."""
    _refuse_transaction()
    try:
        yield _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT)
    except stripe.RateLimitError as error:
        raise StripeThrottled from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise StripeForbidden(type(error).__name__) from error
    except stripe.CardError as error:
        raise StripeRefused(error.code or "card_declined", _decline_of(error), by_bank=True) from error
    except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        if error.http_status == 409:
            raise StripeUnavailable("409") from error
        raise StripeRefused(error.code or type(error).__name__) from error
    except stripe.StripeError as error:
        raise StripeUnavailable(type(error).__name__) from error


def keyed(key: str) -> stripe.RequestOptions:
    """The options of a write: its stored idempotency key."""
    return {"idempotency_key": key}


def optional(fetched: stripe.StripeObject, name: str) -> Any:
    """A field that the provider may leave out altogether; the library raises where it is missing."""
    return getattr(fetched, name, None)


def metadata_of(fetched: stripe.StripeObject) -> dict[str, str]:
    """The metadata as a plain dictionary; the library's objects are none."""
    metadata = optional(fetched, "metadata")
    return dict(metadata.to_dict()) if metadata else {}


def instant(epoch: int) -> dt.datetime:
    """The provider's epoch seconds as a moment in UTC."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC)


def moment(epoch: int | None) -> dt.datetime | None:
    """The same for a field that may be empty."""
    return None if epoch is None else instant(epoch)


def id_of(value: Any) -> str:
    """The id of a field that holds an id or an expanded object."""
    return "" if value is None else value if isinstance(value, str) else str(value.id)


def read_event(body: bytes, signature: str) -> dict[str, Any] | None:
    """The event in a webhook's raw body, or None unless the signature holds and is under 300 s old."""
    try:
        stripe.WebhookSignature.verify_header(
            body.decode(),
            signature,
            settings.STRIPE_WEBHOOK_SECRET,
            tolerance=stripe.Webhook.DEFAULT_TOLERANCE,
        )
    except (stripe.SignatureVerificationError, UnicodeDecodeError):
        return None
    try:
        event = json.loads(body)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


@lru_cache(maxsize=4)
def _client(key: str, base: str, timeout: int) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout),
    )


def _decline_of(error: stripe.CardError) -> str:
    body = error.error
    return str(getattr(body, "decline_code", None) or "") if body else ""


def _refuse_transaction() -> None:
    """Tests wrap each test in a transaction of their own; that one does not count."""
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise NetworkCallInTransaction("Commit first, call then, record the answer.")
