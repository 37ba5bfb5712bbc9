"""Who belongs to the account: the team's page, and both ends of an invitation."""

from collections.abc import Callable
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import clock
from accounts import people as team
from accounts.errors import NotAllowed, TooMany, WrongState
from accounts.forms import INVITATION_KEY, InviteForm, RoleForm
from accounts.gate import way_out
from accounts.links import find_link
from accounts.models import Invitation, Link, Member, User
from accounts.scope import AccountRequest, account_page, reauthenticated

form_page = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
@account_page()
def people(request: AccountRequest) -> HttpResponse:
    """Everyone in the team with their role, and the open invitations."""
    return _people(request, InviteForm())


def _people(request: AccountRequest, form: InviteForm, status: int = 200) -> HttpResponse:
    account, at = request.account, clock.now()
    seats = list(account.members.current().select_related("user").order_by("joined_at", "pk"))
    context = {
        "tab": "people",
        "account": account,
        "member": request.member,
        "seats": seats,
        "roles": Member.Role.choices,
        "is_last_owner": request.member.is_owner and sum(seat.is_owner for seat in seats) == 1,
        "invitations": account.invitations.open_at(at).order_by("-created_at"),
        "form": form,
    }
    return render(request, "accounts/people.html", context, status=status)


def _try(request: AccountRequest, act: Callable[[], object], done: str) -> HttpResponse:
    """Call a verb and go back to the team's page with what happened, or why nothing did."""
    try:
        act()
    except (NotAllowed, WrongState, TooMany) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect("people", request.account.public_id)


@require_POST
@account_page("owner")
def invite(request: AccountRequest) -> HttpResponse:
    """Offer a seat to an address."""
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _people(request, form, status=422)
    email, role = form.cleaned_data["email"], form.cleaned_data["role"]

    def act() -> None:
        team.invite_member(request.account, email, role, by_user=request.user, at=clock.now())

    return _try(request, act, _("We are writing to %(email)s.") % {"email": email})


@require_POST
@account_page("owner")
def withdraw(request: AccountRequest, number: int) -> HttpResponse:
    """Take an offered seat back."""
    offered = get_object_or_404(request.account.invitations, pk=number)

    def act() -> None:
        team.withdraw_invitation(offered, by_user=request.user, at=clock.now())

    return _try(request, act, _("The invitation to %(email)s is withdrawn.") % {"email": offered.email})


def _seat(request: AccountRequest, person: str) -> Member:
    seats = request.account.members.current().select_related("user", "account")
    return get_object_or_404(seats, user__public_id=person)


@require_POST
@account_page("owner")
@reauthenticated
def role(request: AccountRequest, person: str) -> HttpResponse:
    """Give a member another role."""
    seat, form = _seat(request, person), RoleForm(request.POST)
    if not form.is_valid():
        raise Http404

    def act() -> None:
        team.change_role(seat, form.cleaned_data["role"], by_user=request.user, at=clock.now())

    return _try(request, act, _("%(name)s has another role now.") % {"name": seat.user.get_full_name()})


@form_page
@account_page("owner")
def remove(request: AccountRequest, person: str) -> HttpResponse:
    """Say what removing someone means; then, by POST, do it."""
    seat = _seat(request, person)
    if request.method == "POST":
        return _remove(request, seat)
    return render(
        request, "accounts/remove.html", {"tab": "people", "account": request.account, "seat": seat}
    )


@reauthenticated
def _remove(request: AccountRequest, seat: Member) -> HttpResponse:
    def act() -> None:
        team.remove_member(seat, by_user=request.user, at=clock.now())

    return _try(request, act, _("%(name)s has no access any more.") % {"name": seat.user.get_full_name()})


@form_page
@way_out
@account_page()
def leave(request: AccountRequest) -> HttpResponse:
    """Say what leaving the team means, and who must be owner first; then, by POST, do it."""
    account = request.account
    if request.method == "POST":
        try:
            team.leave_team(request.member, at=clock.now())
        except (NotAllowed, WrongState) as refusal:
            messages.error(request, str(refusal))
            return redirect("people", account.public_id)
        messages.success(request, _("You have left %(name)s.") % {"name": account.name})
        return redirect("account_list")
    context = {"tab": "people", "account": account, "is_last_owner": team.is_last_owner(request.member)}
    return render(request, "accounts/leave_team.html", context)


@form_page
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Where an invitation's link leads: who invites to what; joining is a POST by a proven address."""
    at = clock.now()
    link = find_link(Link.Purpose.INVITATION, token, at=at)
    offered = _offered(link)
    if offered is None:
        return render(request, "accounts/invitation_gone.html", status=410)
    if not request.user.is_authenticated:
        request.session[INVITATION_KEY] = offered.pk
        return render(request, "accounts/invitation.html", {"invitation": offered})
    user = request.user
    if request.method == "POST":
        return _join(request, offered, user)
    context = {"invitation": offered, "can_accept": team.can_accept(offered, user)}
    return render(request, "accounts/invitation.html", context)


def _offered(link: Link | None) -> Invitation | None:
    if link is None:
        return None
    open_now = Invitation.objects.open_at(clock.now()).select_related("account", "invited_by")
    return open_now.filter(pk=int(link.subject), account=link.account).first()


@require_POST
@login_required
def join(request: HttpRequest, number: int) -> HttpResponse:
    """Accept an invitation to one of one's own addresses from the list of accounts."""
    user = cast(User, request.user)
    offered = get_object_or_404(team.invitations_for(user, at=clock.now()), pk=number)
    return _join(request, offered, user)


def _join(request: HttpRequest, offered: Invitation, user: User) -> HttpResponse:
    try:
        team.accept_invitation(offered, user=user, at=clock.now())
    except (NotAllowed, WrongState) as refusal:
        messages.error(request, str(refusal))
        return redirect("account_list")
    messages.success(request, _("Welcome to %(name)s.") % {"name": offered.account.name})
    return redirect("account_overview", offered.account.public_id)
