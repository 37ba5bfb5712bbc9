"""The gate: an account whose access is off reaches the ways out, and nothing else.

Deny by default: a view that names an account in its address is open only while the account is, unless it is
marked as a `way_out` (pay, fetch one's data, leave, come back). Nothing else has to be remembered.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import clock
from accounts.access import Access, decide_access
from accounts.models import Account, Member
from accounts.panels import rendered_panels
from accounts.problems import access_off, wants_json
from accounts.sharing import read_once
from accounts.standing import standing
from accounts.ways_out import find_ways

View = TypeVar("View", bound=Callable[..., Any])


def way_out(view: View) -> View:
    """Mark a view that stays open when its account's access is off; the mark passes through `wraps`."""
    cast(Any, view).is_way_out = True
    return view


def is_way_out(request: HttpRequest) -> bool:
    """Whether the view of this request is marked."""
    match = request.resolver_match
    return match is not None and bool(getattr(match.func, "is_way_out", False))


def access_of(account: Account) -> Access:
    """The one decision about this account, now."""
    return decide_access(state=account.state, access_ends_at=account.access_ends_at, at=clock.now())


def turn_away(request: HttpRequest, account: Account, member: Member, access: Access) -> HttpResponse:
    """402 with the reason: a page with the ways out for a person, a problem document for a machine."""
    if wants_json(request):
        return access_off(account.public_id, access)
    at = clock.now()
    with read_once(account):
        cards = rendered_panels(account, member, at=at, request=request, when_closed=True)
        ways = find_ways(account, member, at=at)
    able = None if member.may_pay else account.members.payers().select_related("user")
    context = {
        "tab": "overview",
        "account": account,
        "member": member,
        "standing": standing(account, at=at),
        "ways_in": ways["in"],
        "ways_out": ways["out"],
        "able": able,
        "panels": cards,
    }
    response = render(request, "accounts/access_off.html", context, status=402)
    response["Cache-Control"] = "no-store"
    return response
