"""Writing and reading the history."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import F

from accounts.models import Account, Event

if TYPE_CHECKING:
    import datetime as dt

    from accounts.models import User

_CODE = re.compile(r"[A-Za-z0-9_.:+/-]{0,80}")


@dataclass(frozen=True)
class By:
    """Who acts: a customer, a member of staff (perhaps for a caller), the product itself, or the provider."""

    actor: str
    ref: str = ""

    @classmethod
    def customer(cls, user: "User") -> "By":
        return cls(Event.Actor.CUSTOMER, user.public_id)

    @classmethod
    def staff(cls, user: "User") -> "By":
        return cls(Event.Actor.STAFF, user.public_id)


SYSTEM = By(Event.Actor.SYSTEM)
PROVIDER = By(Event.Actor.PROVIDER)


def record(
    account: Account, kind: str, *, by: By, at: "dt.datetime", subject: str = "", **facts: Any
) -> Event:
    """Append to the account's history, inside the caller's transaction.

    Facts are ids, codes, amounts and times only (D3); anything that could be free text or a
    name raises `ValueError`, because the history outlives the person.
    """
    for name, value in facts.items():
        _refuse_personal(name, value)
    Account.objects.filter(pk=account.pk).update(event_count=F("event_count") + 1)
    seq = Account.objects.values_list("event_count", flat=True).get(pk=account.pk)
    return Event.objects.create(
        account_ref=account.public_id,
        seq=seq,
        kind=kind,
        subject=subject,
        actor=by.actor,
        actor_ref=by.ref,
        facts=facts,
        at=at,
    )


def _refuse_personal(name: str, value: Any) -> None:
    if value is None or isinstance(value, (bool, int)):
        return
    if isinstance(value, str) and _CODE.fullmatch(value):
        return
    if isinstance(value, list) and all(isinstance(item, str) and _CODE.fullmatch(item) for item in value):
        return
    raise ValueError(f"{name!r} may not go into the history: ids, codes, amounts and times only.")
