"""The ordinary world that a test changes in one place: plain functions that make rows."""

import datetime as dt
from itertools import count
from typing import Any

from allauth.account.models import EmailAddress

from accounts.models import Account, Member, Terms, User

#: Long before any test's clock, so that version 1 is in force whenever a test takes place.
LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
#: An ordinary moment for tests that do not care which: a Wednesday, noon in UTC.
NOON = dt.datetime(2026, 3, 11, 12, tzinfo=dt.UTC)
PASSWORD = "correct horse battery staple"

_number = count(1)


def make_terms(version: int = 1, **columns: Any) -> Terms:
    """A published version, in force since long ago, with the defaults of the model; `columns` differ."""
    defaults: dict[str, Any] = {
        "in_force_from": LONG_AGO,
        "published_at": LONG_AGO,
    }
    return Terms.objects.create(version=version, **(defaults | columns))


def current_terms() -> Terms:
    """Version 1 where a test has made it already, otherwise made here."""
    return Terms.objects.filter(version=1).first() or make_terms()


def make_user(email: str = "", *, password: str | None = None, **columns: Any) -> User:
    """A person whose address is verified; without a password unless given one (`PASSWORD` will do)."""
    user = User.objects.create_user(email or f"person{next(_number)}@example.com", password, **columns)
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


def make_account(terms: Terms | None = None, owner: User | None = None, **columns: Any) -> Account:
    """An active Spanish business with one owner (made here unless given)."""
    defaults: dict[str, Any] = {
        "name": "Ferretería Sol",
        "country": "ES",
        "time_zone": "Europe/Madrid",
        "created_at": LONG_AGO,
    }
    account = Account.objects.create(terms=terms or current_terms(), **(defaults | columns))
    make_member(account, Member.Role.OWNER, user=owner)
    return account


def make_member(
    account: Account, role: str = Member.Role.MEMBER, *, user: User | None = None, **columns: Any
) -> Member:
    """A person (made here unless given) in this account with this role."""
    defaults: dict[str, Any] = {"joined_at": LONG_AGO}
    return Member.objects.create(account=account, user=user or make_user(), role=role, **(defaults | columns))


def owner_of(account: Account) -> User:
    """The person who has owned it longest."""
    return Member.objects.select_related("user").filter(account=account).owners().order_by("pk")[0].user
