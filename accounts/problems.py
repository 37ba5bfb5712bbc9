"""What a machine is told when it is not let in: a problem document (RFC 9457), with where to go."""

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.access import Access

CONTENT_TYPE: Final = "application/problem+json"


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller asks for JSON before HTML; a browser never does."""
    accepts = request.headers.get("Accept", "")
    if "json" not in accepts:
        return False
    preferred = request.get_preferred_type(["text/html", "application/json", CONTENT_TYPE])
    return preferred is not None and preferred != "text/html"


def page_url(name: str, *args: object) -> str:
    """The full address of a page."""
    return f"{settings.SITE_URL}{reverse(name, args=args)}"


def problem(status: int, code: str, title: str, detail: str, **more: Any) -> JsonResponse:
    """A problem document; `code` is stable and in English, `title` and `detail` are for people."""
    body = {"type": f"urn:good-terms:problem:{code}", "title": title, "status": status, "detail": detail}
    response = JsonResponse(body | more, status=status, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    return response


def why_off(reason: str) -> str:
    """The reason of a decision in a sentence without dates."""
    return {
        "frozen": _("Access to this account is off. At the payment address a person gets it back."),
        "closed": _("This account was closed."),
    }.get(reason, _("Access to this account has ended."))


def access_off(account_id: str, access: Access) -> JsonResponse:
    """402: the account is there, and its access is off; `payment` is where a person gets it back."""
    where, reason = page_url("account_overview", account_id), access.reason
    title, detail = _("Access is off"), why_off(reason)
    more = {"account": account_id, "reason": reason, "payment": where}
    response = problem(402, "access-off", title, detail, **more)
    response["X-Account-Id"] = account_id
    response["X-Access-Reason"] = access.reason
    response["X-Payment-Url"] = where
    response["Link"] = f'<{where}>; rel="payment"'
    return response


def not_signed_in(detail: str) -> JsonResponse:
    """401: no credential, or none that holds; `sign_in` is where a person gets one."""
    where = page_url("account_login")
    response = problem(401, "not-signed-in", _("Not signed in"), detail, sign_in=where)
    response["WWW-Authenticate"] = f'Bearer realm="{settings.SITE_URL}"'
    response["X-Sign-In-Url"] = where
    return response


def not_yours(code: str, detail: str) -> JsonResponse:
    """403: somebody is known, and that does not open this account."""
    return problem(403, code, _("Not for you"), detail)
