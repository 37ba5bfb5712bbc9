"""Opaque links: made when they are shown or mailed, found by the hash of their secret."""

import datetime as dt

from django.db.models import Q

from accounts.ids import hash_token, new_token
from accounts.models import Account, Link, User


def make_link(
    account: Account,
    purpose: str,
    subject: str,
    *,
    at: dt.datetime,
    expires_at: dt.datetime | None = None,
    user: User | None = None,
) -> str:
    """A new secret for this purpose and subject; the caller puts it into an address. Stored hashed."""
    token = new_token()
    Link.objects.create(
        purpose=purpose,
        account=account,
        subject=subject,
        token_hash=hash_token(token),
        user=user,
        created_at=at,
        expires_at=expires_at,
    )
    return token


def find_link(purpose: str, token: str, *, at: dt.datetime) -> Link | None:
    """The live link behind a secret, or None for one that is unknown, used or expired."""
    return (
        Link.objects.filter(
            Q(expires_at=None) | Q(expires_at__gt=at),
            purpose=purpose,
            token_hash=hash_token(token),
            used_at=None,
        )
        .select_related("account", "account__terms", "user")
        .first()
    )


def use_link(link: Link, *, at: dt.datetime) -> bool:
    """Use a single-use link up; False when someone else was faster."""
    return bool(Link.objects.filter(pk=link.pk, used_at=None).update(used_at=at))
