"""Who asks for an address that names an account, and what they get instead of it."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from accounts import clock, copies
from accounts.activity import note_activity
from accounts.gate import is_way_out, turn_away
from accounts.models import Account, User
from accounts.passports import KEY_BEGINS, Passport, passport_of_key
from accounts.problems import access_off, not_signed_in, not_yours, wants_json
from accounts.scope import enter


def bearer(request: HttpRequest) -> str:
    """The API key that the request shows, or "" where it shows none of ours."""
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token.startswith(KEY_BEGINS) else ""


def refuse(request: HttpRequest, account_id: str) -> HttpResponse | None:
    """What this request gets instead of the view, or None where it may pass.

    No query for an account that was let in seconds ago, else the one that loads the seat, which the view
    uses too.
    """
    if token := bearer(request):
        return _refuse_key(token, account_id)
    if is_way_out(request):
        return None
    if not request.user.is_authenticated:
        return not_signed_in(_("Sign in first.")) if wants_json(request) else _to_sign_in(request)
    return _refuse_person(request, request.user, account_id)


def _refuse_person(request: HttpRequest, user: User, account_id: str) -> HttpResponse | None:
    name = ("seat", user.pk, account_id)
    kept: Passport | None = copies.recall(name)
    if kept is not None and kept.access(clock.now()).is_open:
        note_activity(kept.account, kept.account_id, kept.time_zone, at=clock.now())
        return None
    version = copies.version()
    scoped = enter(request, account_id)
    account = scoped.account
    if not scoped.access.is_open:
        return turn_away(request, account, scoped.member, scoped.access)
    copies.remember(name, _passport(account, user), read_under=version)
    note_activity(account.pk, account.public_id, account.time_zone, at=clock.now())
    return None


def _passport(account: Account, user: User) -> Passport:
    return Passport(
        account.pk,
        account.public_id,
        account.state,
        account.access_ends_at,
        account.time_zone,
        user_id=user.public_id,
    )


def _refuse_key(token: str, account_id: str) -> HttpResponse:
    """A key opens `/access/check` only; on a page it is told why, or that the account's access is off."""
    passport = passport_of_key(token)
    if passport is None or passport.account_id != account_id:
        return not_signed_in(_("This key is unknown or was revoked."))
    access = passport.access(clock.now())
    if not access.is_open:
        return access_off(account_id, access)
    return not_yours("for-people", _("This page is for people who sign in."))


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    return redirect_to_login(request.get_full_path())
