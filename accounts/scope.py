"""Every page of an account goes through here: who asks, for which account, with which role."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, Literal, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts.access import Access
from accounts.gate import access_of, is_way_out, turn_away
from accounts.models import Account, Member, User
from accounts.reauthentication import ask_who_it_is, is_fresh

Role = Literal["member", "payer", "owner"]
P = ParamSpec("P")
Scoped = Callable[Concatenate["AccountRequest", P], HttpResponse]
Open = Callable[Concatenate[HttpRequest, P], HttpResponse]


class AccountRequest(HttpRequest):
    """A request by a signed-in member of `account`."""

    user: User
    account: Account
    member: Member
    access: Access


def account_page(role: Role = "member") -> Callable[[Scoped[P]], Open[P]]:
    """For a view whose address carries `account_id`; the view gets an `AccountRequest` without it.

    Strangers and unknown accounts get 404, members without the role a page that says who has it, and
    everybody 402 while access is off, unless the view is a `way_out`: here the row itself decides, not a
    copy of it. Sets the account's time zone for the rest of the request. One query, shared with the gate.
    """

    def decorate(view: Scoped[P]) -> Open[P]:
        @login_required
        @wraps(view)
        def wrapped(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            scoped = enter(request, str(kwargs.pop("account_id")))
            if not (scoped.access.is_open or is_way_out(request)):
                return turn_away(request, scoped.account, scoped.member, scoped.access)
            if not has_role(scoped.member, role):
                return _say_who_can(scoped, role)
            return view(scoped, *args, **kwargs)

        return cast("Open[P]", wrapped)

    return decorate


def reauthenticated(view: Scoped[P]) -> Scoped[P]:
    """For what moves money, data or rights: it is confirmed first that it is still the same person.

    A form that was sent meanwhile is kept and goes through afterwards. Goes below `account_page`.
    """

    @wraps(view)
    def wrapped(request: "AccountRequest", /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not is_fresh(request):
            ask_who_it_is(request)
        return view(request, *args, **kwargs)

    return cast("Scoped[P]", wrapped)


def has_role(member: Member, role: Role) -> bool:
    """Whether a member may do what is for `role`: owners may do all, billing members may pay."""
    return {"member": True, "payer": member.may_pay, "owner": member.is_owner}[role]


def enter(request: HttpRequest, account_id: str) -> AccountRequest:
    """Load the seat of whoever asks, once for a request; raises 404 for strangers and unknown accounts."""
    scoped = cast(AccountRequest, request)
    present: Account | None = getattr(request, "account", None)
    if present is not None and present.public_id == account_id:
        return scoped
    member = Member.objects.of(scoped.user).filter(account__public_id=account_id).first()
    if member is None:
        raise Http404
    scoped.account, scoped.member = member.account, member
    scoped.access = access_of(member.account)
    member.user = scoped.user
    timezone.activate(member.account.zone)
    return scoped


def _say_who_can(request: AccountRequest, role: Role) -> HttpResponse:
    seats = request.account.members.current()
    able = seats.owners() if role == "owner" else seats.payers()
    context = {"account": request.account, "able": able.select_related("user"), "role": role}
    return render(request, "accounts/not_your_role.html", context, status=403)
