"""The leaving receipt and the undo link: unguessable addresses that need no sign-in.

A link's secret is derived from the cancellation's id with the server's key, so that every page and
every mail can show the same address without writing anything; only its hash is stored, and it is
found by that.
"""

import base64
import hashlib
import hmac

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse

from accounts.ids import hash_token
from offboarding.models import Cancellation


def _secret(purpose: str, public_id: str) -> str:
    """256 bits that nobody without the server's key can guess."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), f"{purpose}:{public_id}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def hashes(public_id: str) -> dict[str, str]:
    """The two columns of a new cancellation."""
    return {
        "receipt_hash": hash_token(_secret("receipt", public_id)),
        "undo_hash": hash_token(_secret("undo", public_id)),
    }


def receipt_path(cancellation: Cancellation) -> str:
    """Address of the receipt on this site."""
    return reverse("receipt", args=[_secret("receipt", cancellation.public_id)])


def undo_path(cancellation: Cancellation) -> str:
    """Address of the page that undoes it."""
    return reverse("undo", args=[_secret("undo", cancellation.public_id)])


def find_by_receipt(token: str) -> Cancellation | None:
    """The cancellation behind a receipt's address."""
    return _with_all().filter(receipt_hash=hash_token(token)).first()


def find_by_undo(token: str) -> Cancellation | None:
    """The cancellation behind an undo link."""
    return _with_all().filter(undo_hash=hash_token(token)).first()


def _with_all() -> QuerySet[Cancellation]:
    return Cancellation.objects.select_related(
        "account", "account__terms", "quote__terms", "subscription__plan"
    )
