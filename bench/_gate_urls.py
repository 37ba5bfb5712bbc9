"""The product's addresses and the references of the gate's measurement."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone

from accounts import clock
from accounts.access import decide_access
from accounts.admission import bearer
from accounts.ids import hash_token
from accounts.models import Account, ActivityDay, ApiKey, Member
from config.urls import urlpatterns as of_the_product


def page(request: HttpRequest, account_id: str) -> HttpResponse:
    """A page that names an account and does nothing."""
    return HttpResponse("ok")


def bare_check(request: HttpRequest) -> HttpResponse:
    """What the check answers, without asking anything."""
    response = JsonResponse({"account": "", "user": "", "key": "", "role": "", "state": "", "until": ""})
    for name in ("X-Account-Id", "X-User-Id", "X-Api-Key", "X-Role", "X-Account-State", "X-Access-Until"):
        response[name] = ""
    response["Cache-Control"] = "no-store"
    response["Vary"] = "Authorization, Cookie, X-Account"
    return response


def orm_check(request: HttpRequest) -> HttpResponse:
    """The check as one writes it first: the key, its account, the day with activity."""
    key = get_object_or_404(
        ApiKey.objects.live().select_related("account"), token_hash=hash_token(bearer(request))
    )
    _let_in(key.account)
    return bare_check(request)


def _let_in(account: Account) -> None:
    at = clock.now()
    if not decide_access(state=account.state, access_ends_at=account.access_ends_at, at=at).is_open:
        raise Http404
    ActivityDay.objects.get_or_create(account=account, day=timezone.localdate(at, account.zone))


class OrmGate:
    """The gate as one writes it first."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """Seat, account, decision, day: each time."""
        if "account_id" in kwargs:
            seats = Member.objects.current().select_related("account")
            seat = get_object_or_404(seats, user=request.user, account__public_id=kwargs["account_id"])
            _let_in(seat.account)


urlpatterns = [
    path("a/<slug:account_id>/bench/", page),
    path("access/bare", bare_check),
    path("access/orm", orm_check),
    *of_the_product,
]
