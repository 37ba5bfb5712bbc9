"""Whom a credential stands for, and whether their account is open: one raw join, remembered for seconds.

A credential is an API key or a session's cookie. The ORM is left out on purpose: this is asked for every
request of the operator's product.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils.crypto import constant_time_compare
from django.utils.dateparse import parse_datetime

from accounts import clock, copies
from accounts.access import Access, decide_access
from accounts.ids import hash_token
from accounts.models import User

#: How an API key begins; anything else in an Authorization header is not for us.
KEY_BEGINS: Final = "gt_"


@dataclass(frozen=True, slots=True)
class Passport:
    """Who asks (a person, or a key) and the facts of the account that decide about access."""

    account: int
    account_id: str
    state: str
    access_ends_at: dt.datetime | None
    time_zone: str
    user_id: str = ""
    role: str = ""
    key: int | None = None
    key_prefix: str = ""

    def access(self, at: dt.datetime) -> Access:
        """The one decision, at this moment: a copy is as exact about dates as the row."""
        return decide_access(state=self.state, access_ends_at=self.access_ends_at, at=at)


class SeveralAccounts(Exception):
    """The person belongs to more than one account, and the request names none."""


_BY_KEY: Final = """
    SELECT a.id, a.public_id, a.state, a.access_ends_at, a.time_zone, k.id, k.prefix
    FROM accounts_apikey k JOIN accounts_account a ON a.id = k.account_id
    WHERE k.token_hash = %s AND k.revoked_at IS NULL AND a.state <> 'erased'
"""


def passport_of_key(token: str) -> Passport | None:
    """The account of an API key, or None for one that is unknown or revoked. One query, none from a copy."""
    name = ("key", hash_token(token))
    found: Passport | None = copies.recall(name)
    if found is not None:
        return found
    version = copies.version()
    with connection.cursor() as cursor:
        cursor.execute(_BY_KEY, [name[1]])
        row = cursor.fetchone()
    if row is None:
        return None
    account, public, state, ends, zone, key, prefix = row
    passport = Passport(account, public, state, _moment(ends), zone, key=key, key_prefix=prefix)
    return _kept(name, passport, version)


# The list of sessions says whose a session is; the session itself proves it, and is opened below.
_BY_SESSION: Final = """
    SELECT s.session_data, u.id, u.public_id, u.password, a.id, a.public_id, a.state, a.access_ends_at,
        a.time_zone, m.role
    FROM django_session s
    LEFT JOIN usersessions_usersession t ON t.session_key = s.session_key
    LEFT JOIN accounts_user u ON u.id = COALESCE(t.user_id, %s) AND u.is_active
    LEFT JOIN (
        accounts_member m JOIN accounts_account a ON a.id = m.account_id AND a.state <> 'erased'
    ) ON m.user_id = u.id AND m.left_at IS NULL
    WHERE s.session_key = %s AND s.expire_date > %s
    ORDER BY CASE WHEN a.public_id = %s THEN 0 ELSE 1 END
    LIMIT 2
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a session's cookie leads to: nobody, somebody without that account, or a passport."""

    is_signed_in: bool = False
    passport: Passport | None = None


def passport_of_session(session_key: str, account_id: str) -> Found:
    """The seat of whoever has this session in the account named, or in their only one.

    Raises `SeveralAccounts` where none is named and there are more. One query, none from a copy; one more
    for a session that allauth has not listed yet.
    """
    name = ("session", session_key, account_id)
    kept: Passport | None = copies.recall(name)
    if kept is not None:
        return Found(is_signed_in=True, passport=kept)
    version = copies.version()
    rows = _read_seats(session_key, account_id)
    if rows and rows[0][1] is None:
        # A session that is in no list yet; its own word about whose it is, proven below like any other.
        rows = _read_seats(session_key, account_id, user=_held(session_key, rows[0][0]).get(SESSION_KEY))
    if not rows or rows[0][1] is None:
        return Found()
    session_data, user, user_id, password = rows[0][:4]
    if not _is_session_of(_held(session_key, session_data), user, password):
        return Found()
    seats = [row[4:] for row in rows if row[4] is not None and account_id in ("", row[5])]
    if not seats:
        return Found(is_signed_in=True)
    if not account_id and len(seats) > 1:
        raise SeveralAccounts
    account, public, state, ends, zone, role = seats[0]
    passport = Passport(account, public, state, _moment(ends), zone, user_id=user_id, role=role)
    return Found(is_signed_in=True, passport=_kept(name, passport, version))


def _read_seats(session_key: str, account_id: str, *, user: str | None = None) -> list[tuple[Any, ...]]:
    """The session, its person, and up to two of their seats, the one in the named account first."""
    with connection.cursor() as cursor:
        # A session's end is real time, whatever the product's clock is turned to.
        until = connection.ops.adapt_datetimefield_value(dt.datetime.now(dt.UTC))
        known = int(user) if user and user.isdecimal() else None
        cursor.execute(_BY_SESSION, [known, session_key, until, account_id])
        return list(cursor.fetchall())


def _held(session_key: str, session_data: str) -> dict[str, Any]:
    """What a stored session holds; nothing where its signature does not."""
    return dict(SessionStore(session_key).decode(session_data))


def _is_session_of(held: dict[str, Any], user: int, password: str) -> bool:
    """Whether the signed session is this person's, and of their present password, as Django asks it."""
    if held.get(SESSION_KEY) != str(user) or held.get(BACKEND_SESSION_KEY) not in (
        settings.AUTHENTICATION_BACKENDS
    ):
        return False
    person = User(pk=user, password=password)
    good = [person.get_session_auth_hash(), *person.get_session_auth_fallback_hash()]
    return any(constant_time_compare(held.get(HASH_SESSION_KEY, ""), each) for each in good)


def _kept(name: tuple[str, ...], passport: Passport, version: int) -> Passport:
    """Remember what lets in; what keeps out is asked anew each time, so that paying opens at once."""
    if passport.access(clock.now()).is_open:
        copies.remember(name, passport, read_under=version)
    return passport


def _moment(value: Any) -> dt.datetime | None:
    """A moment as the database gives it: SQLite keeps text in UTC."""
    if isinstance(value, str):
        value = parse_datetime(value)
    if value is None:
        return None
    moment: dt.datetime = value
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
