"""What wraps every request: its id and log line, and what only admin needs."""

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from config import logs

GetResponse = Callable[[HttpRequest], HttpResponse]
GIVEN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
logger = logging.getLogger("good_terms.request")


class RequestMiddleware:
    """Gives every request an id (the proxy's, where it sent a sane one) and one line in the log."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.monotonic()
        given = request.headers.get("X-Request-ID", "")
        identity = given if GIVEN_ID.fullmatch(given) else secrets.token_hex(10)
        tokens = [
            (logs.request_id, logs.request_id.set(identity)),
            (logs.account_id, logs.account_id.set("")),
        ]
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = identity
            _log(request, response, started)
            return response
        finally:
            for variable, token in tokens:
                variable.reset(token)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Bind the account that the URL names to every line that follows."""
        identity = kwargs.get("account_id")
        if identity:
            logs.account_id.set(str(identity))


def _log(request: HttpRequest, response: HttpResponse, started: float) -> None:
    match = request.resolver_match
    if match is not None and match.view_name in {"healthz", "readyz"} and response.status_code == 200:
        return
    level = logging.ERROR if response.status_code >= 500 else logging.INFO
    facts = {
        "method": request.method,
        "route": f"/{match.route}" if match else "",
        "status": response.status_code,
        "ms": logs.milliseconds_since(started),
    }
    logger.log(level, "request", extra=facts)


class AdminPolicyMiddleware:
    """In admin only: the wider policy that its theme needs, and a second factor for staff."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if _in_admin(request):
            # Alpine.js evaluates attributes and the theme sets inline styles; customers never see it.
            vars(response)["_csp_update"] = {
                "script-src": [SELF, UNSAFE_EVAL],
                "style-src": [SELF, UNSAFE_INLINE],
            }
        return response

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Send staff without a second factor to the page that sets one up."""
        user = getattr(request, "user", None)
        if not settings.STAFF_NEED_MFA or not _in_admin(request) or user is None or not user.is_staff:
            return None
        from allauth.mfa.utils import is_mfa_enabled

        return None if is_mfa_enabled(user) else redirect(reverse("mfa_index"))


def _in_admin(request: HttpRequest) -> bool:
    return request.path_info.startswith("/admin/")
