"""The account as the provider's customer."""

import datetime as dt

from django.conf import settings

from accounts.events import By
from accounts.models import Account, Member
from billing.instructions import instruct
from billing.models import Customer, Instruction
from billing.outgoing import send_while_waiting
from billing.stripe_api import StripeUnavailable


def ensure_customer(account: Account, *, by: By, at: dt.datetime) -> Customer:
    """The account's customer at the provider, made there if there is none yet.

    Someone is waiting, so the call is made at once; raises `StripeUnavailable` when no answer came
    (the instruction stays and is carried out later: asking again finds it).
    """
    if known := Customer.objects.filter(account=account, deleted_at=None).first():
        return known
    subject = f"account:{account.public_id}"
    waiting = Instruction.objects.open().filter(subject=subject).first()
    instruction = waiting or instruct(
        account, kind=Instruction.Kind.CUSTOMER, subject=subject, desired=_wanted(account, at), at=at, by=by
    )
    send_while_waiting(instruction.pk, at=at)
    made = Customer.objects.filter(account=account, deleted_at=None).first()
    if made is None:
        raise StripeUnavailable("customer")
    return made


def _wanted(account: Account, at: dt.datetime) -> dict[str, object]:
    owner = Member.objects.owners().filter(account=account).select_related("user").order_by("pk").first()
    return {
        "account": account.public_id,
        "name": account.name,
        "email": owner.user.email if owner else "",
        "language": account.language,
        "clock": int(at.timestamp()) if settings.STRIPE_TEST_CLOCKS else None,
    }
