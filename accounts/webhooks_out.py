"""Telling the operator's own product of every change of access: Standard Webhooks, from an outbox.

https://www.standardwebhooks.com: `webhook-id`, `webhook-timestamp`, and `webhook-signature`, which is "v1,"
and the base64 of HMAC-SHA256 over "id.timestamp.body" with the bytes of the secret after "whsec_".
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from accounts.access import decide_access
from accounts.doorbell import ring
from accounts.errors import WrongState
from accounts.models import Account, WebhookDelivery, WebhookEndpoint

#: For so long a former secret signs along after a change.
OVERLAP: Final = dt.timedelta(hours=24)
#: Messages that were taken are kept for so long, for whoever asks what was sent.
KEPT: Final = dt.timedelta(days=30)
BATCH: Final = 2000


def new_secret() -> str:
    """A secret as the standard writes it: 192 random bits, base64, after "whsec_"."""
    return f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"


def sign(secret: str, message_id: str, timestamp: int, body: str) -> str:
    """One signature, as it stands in `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def signatures(endpoint: WebhookEndpoint, message_id: str, timestamp: int, body: str, at: dt.datetime) -> str:
    """Every signature that a receiver may check: with the present secret, and with a former one for a day."""
    live = [endpoint.secret]
    if endpoint.former_secret and endpoint.former_until and endpoint.former_until > at:
        live.append(endpoint.former_secret)
    return " ".join(sign(secret, message_id, timestamp, body) for secret in live)


def owe_deliveries(account_ids: Iterable[int], *, at: dt.datetime) -> int:
    """Owe every endpoint a message for each of these accounts, inside the transaction that moved them.

    One query where nobody listens; else two, and one more for each `BATCH` messages. Returns how many.
    """
    endpoints = list(WebhookEndpoint.objects.listening())
    if not endpoints:
        return 0
    moved = Account.objects.filter(pk__in=list(account_ids)).order_by("pk")
    rows = [
        WebhookDelivery(
            endpoint=endpoint,
            account_ref=public_id,
            kind=f"access.{state}",
            body=_body(public_id, state, access_ends_at, at),
            next_attempt_at=at,
            created_at=at,
        )
        for public_id, state, access_ends_at in moved.values_list("public_id", "state", "access_ends_at")
        for endpoint in endpoints
    ]
    WebhookDelivery.objects.bulk_create(rows, batch_size=BATCH)
    ring("accounts.send_webhooks")
    return len(rows)


def _body(account_id: str, state: str, access_ends_at: dt.datetime | None, at: dt.datetime) -> str:
    """What happened, in numbers and codes: no name and no address ever leaves by this door."""
    access = decide_access(state=state, access_ends_at=access_ends_at, at=at)
    facts: dict[str, Any] = {
        "account": account_id,
        "state": state,
        "is_open": access.is_open,
        "access_until": access.until.isoformat() if access.until else None,
    }
    message = {"type": f"access.{state}", "timestamp": at.isoformat(), "data": facts}
    return json.dumps(message, separators=(",", ":"))


def on_access_changed(*, account_ids: Iterable[int], at: dt.datetime, **_: Any) -> None:
    """Hear of accounts that were moved."""
    owe_deliveries(account_ids, at=at)


@transaction.atomic
def rotate_secret(endpoint: WebhookEndpoint, *, at: dt.datetime) -> str:
    """Another secret, to be shown once; the former signs along for a day."""
    present = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
    secret = new_secret()
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        secret=secret, former_secret=present.secret, former_until=at + OVERLAP
    )
    return secret


@transaction.atomic
def send_again(deliveries: "QuerySet[WebhookDelivery]", *, at: dt.datetime) -> int:
    """Dead letters go out again, under the ids that they had. Raises `WrongState` where there is none."""
    found = deliveries.filter(status=WebhookDelivery.Status.DEAD).update(
        status=WebhookDelivery.Status.PENDING, attempts=0, error="", next_attempt_at=at
    )
    if not found:
        raise WrongState
    ring("accounts.send_webhooks")
    return found


def taken_long_ago(at: dt.datetime) -> "QuerySet[WebhookDelivery]":
    """Messages that were taken a month ago: nobody asks for them any more."""
    return WebhookDelivery.objects.filter(status=WebhookDelivery.Status.DONE, done_at__lt=at - KEPT)


def forget_taken(*, at: dt.datetime) -> int:
    """They go, in chunks. Returns how many went."""
    gone = 0
    while chunk := list(taken_long_ago(at).values_list("pk", flat=True)[:BATCH]):
        gone += WebhookDelivery.objects.filter(pk__in=chunk).delete()[0]
    return gone
