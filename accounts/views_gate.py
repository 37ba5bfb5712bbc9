"""The question that a proxy asks before each request of the operator's own product: may this one in?"""

import datetime as dt
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import clock
from accounts.activity import note_activity, note_use_of_key
from accounts.admission import bearer
from accounts.passports import Passport, SeveralAccounts, passport_of_key, passport_of_session
from accounts.problems import access_off, not_signed_in, not_yours, wants_json


@require_safe
def access_check(request: HttpRequest) -> HttpResponse:
    """200 and who it is, 401 and where to sign in, 402 and where to pay, 403 for somebody else's account.

    The credential is an API key (`Authorization: Bearer gt_…`) or the session's cookie; the account is the
    key's, or the one that `X-Account` or `?account=` names, or the person's only one. With `?redirect=1` a
    browser is led to the page for it instead of 401 and 402, for proxies that hand on whatever they are
    told. Changes nothing but the day with activity. No query from a copy, else one.
    """
    asked = request.GET if request.META.get("QUERY_STRING") else {}
    response = _answer(request, request.headers.get("X-Account") or asked.get("account", ""))
    if "redirect" in asked and not bearer(request) and not wants_json(request):
        response = _lead(request, response)
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Authorization, Cookie, X-Account"
    return response


def _lead(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """To the page on which one signs in, and from there to where one was going; or to the one to pay on."""
    if response.status_code == 401:
        back = urlencode({"next": request.headers.get("X-Forwarded-Uri", "/")})
        return HttpResponseRedirect(f"{response['X-Sign-In-Url']}?{back}")
    if response.status_code == 402:
        return HttpResponseRedirect(response["X-Payment-Url"])
    return response


def _answer(request: HttpRequest, account_id: str) -> HttpResponse:
    if token := bearer(request):
        passport = passport_of_key(token)
        if passport is None:
            return not_signed_in(_("This key is unknown or was revoked."))
        if account_id not in ("", passport.account_id):
            return not_yours("not-your-account", _("This key is of another account."))
        return _decide(passport)
    session = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if not session:
        return not_signed_in(_("Sign in first, or show an API key."))
    try:
        found = passport_of_session(session, account_id)
    except SeveralAccounts:
        return not_yours("name-an-account", _("You belong to several accounts: name one in X-Account."))
    if not found.is_signed_in:
        return not_signed_in(_("Sign in again."))
    if found.passport is None:
        return not_yours("not-your-account", _("You do not belong to this account."))
    return _decide(found.passport)


def _decide(passport: Passport) -> HttpResponse:
    at = clock.now()
    access = passport.access(at)
    if not access.is_open:
        response: HttpResponse = access_off(passport.account_id, access)
        response["X-Account-State"] = passport.state
        return response
    note_activity(passport.account, passport.account_id, passport.time_zone, at=at)
    if passport.key is not None:
        note_use_of_key(passport.key, passport.time_zone, at=at)
    return _let_in(passport, access.until)


def _let_in(passport: Passport, until: dt.datetime | None) -> HttpResponse:
    facts = {
        "account": passport.account_id,
        "user": passport.user_id,
        "key": passport.key_prefix,
        "role": passport.role,
        "state": passport.state,
        "until": until.isoformat() if until else "",
    }
    response = JsonResponse(facts)
    # Always set, empty too: a proxy that hands them on overwrites what a client made up.
    response["X-Account-Id"] = facts["account"]
    response["X-User-Id"] = facts["user"]
    response["X-Api-Key"] = facts["key"]
    response["X-Role"] = facts["role"]
    response["X-Account-State"] = facts["state"]
    response["X-Access-Until"] = facts["until"]
    return response
