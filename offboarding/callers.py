"""Helping a caller: who calls, how support knows it, and that nobody helps themselves."""

import datetime as dt

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.errors import NotAllowed
from accounts.events import By, record
from accounts.models import Account, Member, User


class Identified(models.TextChoices):
    """How the caller was identified: a code and no words, because the history outlives the person."""

    CODE = "code", _("a code that was mailed to their address and read out")
    CALLBACK = "callback", _("a call back to the number we had before")
    INVOICE = "invoice", _("number, date and amount of the last invoice")
    OTHER = "other", _("another way that our rules allow")


def may_help(account: Account, staff: User) -> bool:
    """Whether this member of staff may act here: never on an account of their own (R7)."""
    return not Member.objects.current().filter(account=account, user=staff).exists()


@transaction.atomic
def identify_caller(account: Account, caller: User, how: str, *, staff: User, at: dt.datetime) -> By:
    """Keep in the history who was spoken with and how that is known; returns who acts.

    Raises `NotAllowed` on an account of one's own, and where the caller may not pay or leave.
    """
    if not may_help(account, staff):
        raise NotAllowed("own_account")
    if not Member.objects.payers().filter(account=account, user=caller).exists():
        raise NotAllowed("payers_only")
    by = By.staff(staff)
    code = Identified(how).value
    record(account, "caller.identified", by=by, at=at, subject=caller.public_id, how=code)
    return by
