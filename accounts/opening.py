"""Opening an account, and changing what it says about itself."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Account, Member, Terms, User
from accounts.notices import owe
from accounts.signals import account_changed, account_opened
from accounts.terms import accept_terms

#: What an owner may change afterwards. The currency stays: invoices are in it. So does the kind:
#: a consumer's rights are not given away in a form.
CHANGEABLE: Final = ("name", "country", "time_zone", "language")


@dataclass(frozen=True)
class Company:
    """What someone says about the company (or about themselves) when opening an account."""

    name: str
    country: str
    time_zone: str
    language: str
    currency: str
    kind: str


@transaction.atomic
def open_account(
    company: Company, *, owner: User, terms: Terms, immediate_start: bool, at: dt.datetime
) -> Account:
    """A new account with its owner, the terms they accepted, and a mail that says so.

    It is active at once; which plan or trial it starts with is for the receivers of
    `account_opened` to say, inside this transaction.
    """
    account = Account.objects.create(
        name=company.name,
        country=company.country,
        time_zone=company.time_zone,
        language=company.language,
        currency=company.currency,
        kind=company.kind,
        terms=terms,
        created_at=at,
    )
    Member.objects.create(account=account, user=owner, role=Member.Role.OWNER, joined_at=at)
    by = By.customer(owner)
    record(account, "account.opened", by=by, at=at, country=company.country, customer=company.kind)
    accept_terms(
        account,
        terms,
        by_user=owner,
        language=company.language,
        immediate_start=immediate_start,
        at=at,
    )
    owe(account, "welcome", to=[owner], period="opened", at=at, window_to=at + dt.timedelta(days=14))
    account_opened.send(Account, account=account, at=at)
    return account


@transaction.atomic
def change_account(account: Account, changes: Mapping[str, str], *, by: By, at: dt.datetime) -> list[str]:
    """Change name, country, time zone or language; returns the columns that really changed.

    The country decides which law applies from now on, so its change is in the history with both
    values; what was declared before keeps the rules of its day.
    """
    seen = Account.objects.select_for_update().get(pk=account.pk)
    changed = {
        name: changes[name] for name in CHANGEABLE if name in changes and changes[name] != getattr(seen, name)
    }
    if not changed:
        return []
    if not Account.objects.filter(pk=seen.pk).exclude(state=Account.State.ERASED).update(**changed):
        raise WrongState("The account is gone.")
    if "country" in changed:
        record(
            account, "account.country_changed", by=by, at=at, before=seen.country, after=changed["country"]
        )
    others = [name for name in changed if name != "country"]
    if others:
        record(account, "account.settings_changed", by=by, at=at, columns=others)
    for name, value in changed.items():
        setattr(account, name, value)
    account_changed.send(Account, account=account, changed=list(changed), at=at)
    return list(changed)
