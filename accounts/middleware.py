"""The reader's language and zone, for every page they see; when a session was last used; the gate."""

import time
from collections.abc import Callable
from typing import Any, Final

from allauth.account.adapter import get_adapter
from allauth.usersessions.middleware import UserSessionsMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from accounts.admission import refuse
from accounts.ids import hash_token

GetResponse = Callable[[HttpRequest], HttpResponse]
SEEN: Final = "accounts.seen"
#: Seconds for which a session that was just seen is not written again.
SEEN_FOR: Final = 300
#: What machines ask with each request of theirs: it reads its credential itself, in one query or none.
MACHINES: Final = "/access/"


class ReaderMiddleware:
    """After sign-in pages speak the person's own language; a zone set for one request ends with it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        timezone.deactivate()
        if request.path_info.startswith(MACHINES):
            return self.get_response(request)
        if request.user.is_authenticated:
            translation.activate(request.user.language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)


class ActivityMiddleware(UserSessionsMiddleware):  # type: ignore[misc]
    """allauth's list of sessions, written every five minutes instead of at every page.

    Writing at every page would make each look a write, and SQLite has one writer. A change of
    address or browser is written at once.
    """

    def __call__(self, request: HttpRequest) -> HttpResponse:
        passed_on: GetResponse = super().__call__ if self._is_news(request) else self.get_response
        return passed_on(request)

    def _is_news(self, request: HttpRequest) -> bool:
        """Whether this session was not seen lately with this address and browser; notes that it was."""
        if request.path_info.startswith(MACHINES) or not request.user.is_authenticated:
            return False
        browser = request.headers.get("User-Agent", "")
        client = hash_token(f"{get_adapter(request).get_client_ip(request)} {browser}")
        seen_client, seen_at = request.session.get(SEEN, ("", 0))
        if client == seen_client and 0 <= time.time() - seen_at < SEEN_FOR:
            return False
        request.session[SEEN] = (client, int(time.time()))
        return True


class GateMiddleware:
    """Nobody whose account's access is off gets past the ways out, whatever the view forgot (T1)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Ask for every address that names an account; in admin staff act, whose own permissions decide."""
        account_id, match = kwargs.get("account_id"), request.resolver_match
        if account_id is None or (match is not None and "admin" in match.namespaces):
            return None
        return refuse(request, str(account_id))
