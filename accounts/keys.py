"""Keys by which machines show that they act for an account."""

import datetime as dt
import secrets
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import NotAllowed, TooMany, WrongState
from accounts.events import By, record
from accounts.ids import RECEIPT_ALPHABET, hash_token, new_token
from accounts.models import Account, ApiKey, User
from accounts.notices import owe
from accounts.passports import KEY_BEGINS

#: Live keys of one account: one for each of its services, not one for each of its processes.
MOST_KEYS: Final = 20


@transaction.atomic
def make_key(account: Account, name: str, *, by_user: User, at: dt.datetime) -> tuple[ApiKey, str]:
    """A new key and its secret, which is shown once and never again; all owners are told.

    Raises `NotAllowed` for who is no owner, `TooMany` past the limit.
    """
    Account.objects.select_for_update().filter(pk=account.pk).first()
    owners = account.members.owners().select_related("user")
    people = [seat.user for seat in owners]
    if by_user not in people:
        raise NotAllowed(_("Only owners can make keys."))
    if account.api_keys.live().count() >= MOST_KEYS:
        raise TooMany(
            _("An account has at most %(count)d keys. Revoke one that is not used.") % {"count": MOST_KEYS}
        )
    prefix = KEY_BEGINS + "".join(secrets.choice(RECEIPT_ALPHABET) for _each in range(8)).lower()
    token = f"{prefix}_{new_token()}"
    key = ApiKey.objects.create(
        account=account,
        name=name,
        prefix=prefix,
        token_hash=hash_token(token),
        created_by=by_user,
        created_at=at,
    )
    record(account, "key.made", by=By.customer(by_user), at=at, subject=f"key:{key.pk}", prefix=prefix)
    owe(account, "key_made", to=people, period=f"key:{key.pk}", at=at, subject=str(key.pk))
    return key, token


@transaction.atomic
def revoke_key(key: ApiKey, *, by: By, at: dt.datetime) -> None:
    """From now on it opens nothing. Raises `WrongState` for one that was revoked already."""
    if not ApiKey.objects.live().filter(pk=key.pk).update(revoked_at=at):
        raise WrongState(_("This key was revoked already."))
    record(key.account, "key.revoked", by=by, at=at, subject=f"key:{key.pk}", prefix=key.prefix)
