"""Addresses that must not be written to: they bounced, or their owners complained (M3)."""

import datetime as dt

from django.db import transaction
from django.db.models import Q, TextChoices
from django.utils.translation import gettext_lazy as _

from accounts.arbiter import Category
from accounts.errors import WrongState
from accounts.events import By, record
from accounts.ids import hash_token
from accounts.kinds import kinds_of
from accounts.models import Account, Notice, Suppression


class LiftReason(TextChoices):
    """Why an address may be written to again."""

    REPAIRED = "repaired", _("the mailbox works again")
    ASKED = "asked", _("its owner asked for our mails again")
    MISTAKE = "mistake", _("the report was a mistake")


def _key(address: str) -> str:
    return hash_token(address.strip().lower())


def is_suppressed(address: str) -> bool:
    """Whether this address bounced or complained."""
    return Suppression.objects.filter(address_hash=_key(address)).exists()


def suppressions(addresses: "list[str]") -> dict[str, Suppression]:
    """Those of these addresses that are suppressed. One query, none for no address."""
    by_key = {_key(address): address for address in addresses}
    rows = Suppression.objects.filter(address_hash__in=by_key) if by_key else []
    return {by_key[row.address_hash]: row for row in rows}


@transaction.atomic
def suppress_address(address: str, reason: str, *, at: dt.datetime) -> None:
    """Never write to this address again (a bounce or a complaint reported by the mail service).

    What the law demands stays owed: when it is due it fails in sight, and its kind says what follows.
    """
    Suppression.objects.get_or_create(address_hash=_key(address), defaults={"reason": reason, "at": at})
    Notice.objects.filter(
        Q(user__email__iexact=address) | Q(address__iexact=address), status=Notice.Status.OWED
    ).exclude(kind__in=kinds_of(Category.LEGAL)).update(status=Notice.Status.DROPPED, reason="suppressed")


@transaction.atomic
def lift_suppression(account: Account, address: str, *, reason: str, by: By, at: dt.datetime) -> None:
    """Write to a member's address again, for a stated reason; what was dropped meanwhile stays dropped.

    Another bounce or complaint suppresses it anew. Raises `WrongState` where nothing is suppressed.
    """
    code = LiftReason(reason).value
    user = (
        account.members.filter(user__email__iexact=address).values_list("user__public_id", flat=True).first()
    )
    if user is None or not Suppression.objects.filter(address_hash=_key(address)).delete()[0]:
        raise WrongState("This address is not suppressed.")
    record(account, "mail.suppression_lifted", by=by, at=at, subject=user, why=code)


@transaction.atomic
def record_outcome(
    message_id: str, address: str, outcome: str, *, at: dt.datetime, suppress: bool = False
) -> None:
    """What the mail service reports about a message: delivered, bounced, complained (M3).

    A later report never hides a worse one, so "delivered" after "complained" changes nothing.
    """
    if suppress and address:
        suppress_address(address, "complaint" if outcome == Notice.Outcome.COMPLAINED else "bounce", at=at)
    if message_id:
        rows = Notice.objects.filter(message_id=message_id)
        if outcome == Notice.Outcome.DELIVERED:
            rows = rows.filter(outcome="")
        rows.update(outcome=outcome, outcome_at=at)
