"""Confirming that it is still the same person, also for those who sign in with mailed codes only.

allauth asks for a password or a second factor, and lets people who have neither go through unasked.
Here a code by mail is one more way, and the only one for them. Whoever has set up a second factor
uses that: a mailed code would be the weaker of the two.
"""

import datetime as dt
import time
from typing import Any, Final, NoReturn

from allauth.account.adapter import get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.account.internal.flows.reauthentication import STATE_SESSION_KEY
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.crypto import constant_time_compare

from accounts import mail
from accounts.errors import WrongState
from accounts.ids import hash_token
from accounts.models import User

KEY: Final = "accounts.confirmation_code"
CODE_LIFE: Final = dt.timedelta(minutes=10)
ATTEMPTS: Final = 3


def is_fresh(request: HttpRequest) -> bool:
    """Whether this session signed in or confirmed within ACCOUNT_REAUTHENTICATION_TIMEOUT seconds."""
    records = get_authentication_records(request, request.user)
    return bool(records) and time.time() - records[-1]["at"] < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def ask_who_it_is(request: HttpRequest) -> NoReturn:
    """allauth's middleware asks; a form that was sent is kept and goes through afterwards.

    One that was left at the question is forgotten as soon as a page is asked for: it is never sent later.
    """
    if request.method in ("GET", "HEAD"):
        request.session.pop(STATE_SESSION_KEY, None)
    raise ReauthenticationRequired


def can_confirm_by_code(user: User) -> bool:
    """Everybody who has not set up a second factor."""
    return not is_mfa_enabled(user)


def send_code(request: HttpRequest, user: User, *, at: dt.datetime) -> None:
    """Mail a new code, which replaces the one before; raises `accounts.mail.MailFailed`."""
    code: str = get_adapter(request).generate_login_code()
    message = mail.render_message(
        "confirmation_code",
        {"code": code, "user": user, "at": at},
        to=user.email,
        language=translation.get_language() or user.language,
        zone=timezone.get_current_timezone(),
    )
    mail.send_message(message, tag="confirmation_code")
    expires_at = (at + CODE_LIFE).isoformat()
    request.session[KEY] = {"hash": hash_token(_plain(code)), "until": expires_at, "left": ATTEMPTS}


def is_code_waiting(request: HttpRequest, *, at: dt.datetime) -> bool:
    """Whether a code was mailed that can still be typed in."""
    sent: dict[str, Any] | None = request.session.get(KEY)
    return bool(sent and sent["left"] > 0 and at < dt.datetime.fromisoformat(sent["until"]))


def confirm_code(request: HttpRequest, user: User, code: str, *, at: dt.datetime) -> bool:
    """Use the mailed code up; False for a wrong one. Raises `WrongState` where none can be used any more."""
    if not is_code_waiting(request, at=at):
        raise WrongState
    sent = request.session[KEY]
    if not constant_time_compare(sent["hash"], hash_token(_plain(code))):
        request.session[KEY] = sent | {"left": sent["left"] - 1}
        return False
    del request.session[KEY]
    record_authentication(request, user, method="code", email=user.email, reauthenticated=True)
    return True


def _plain(code: str) -> str:
    """As people type it: case, spaces and dashes do not matter."""
    return "".join(letter for letter in code.upper() if letter.isalnum())
