"""The account's pages: choose, open, overview, history, settings."""

from typing import cast

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.i18n import set_language

from accounts import clock
from accounts.calendar import what_comes_next
from accounts.events import By
from accounts.forms import INVITATION_KEY, AccountSettingsForm, OpenAccountForm, PersonForm
from accounts.history import read_history
from accounts.models import Member, User
from accounts.opening import CHANGEABLE, change_account
from accounts.panels import rendered_panels
from accounts.people import invitations_for
from accounts.places import currency_words
from accounts.scope import AccountRequest, account_page
from accounts.sharing import read_once
from accounts.standing import standing

form_page = require_http_methods(["GET", "HEAD", "POST"])
#: Lines of the history on the overview; the rest is one click away.
RECENT = 6


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is, for anyone."""
    return render(request, "home.html")


@require_POST
def choose_language(request: HttpRequest) -> HttpResponseBase:
    """Django's switch, which also changes what a signed-in person has chosen for themselves."""
    language = request.POST.get("language", "")
    if request.user.is_authenticated and language in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=language)
    return set_language(request)


@require_safe
@login_required
def account_list(request: HttpRequest) -> HttpResponse:
    """The person's accounts and the invitations to their addresses; a single account opens at once."""
    user = cast(User, request.user)
    request.session.pop(INVITATION_KEY, None)
    seats = list(Member.objects.of(user).order_by("account__name", "pk"))
    invitations = list(invitations_for(user, at=clock.now()))
    if len(seats) == 1 and not invitations and "all" not in request.GET:
        return redirect("account_overview", seats[0].account.public_id)
    return render(request, "accounts/list.html", {"seats": seats, "invitations": invitations})


@form_page
@login_required
def account_new(request: HttpRequest) -> HttpResponse:
    """A further account for someone who is signed in, where new ones are opened at all."""
    if not get_adapter().is_open_for_signup(request):
        return render(request, "account/signup_closed.html")
    form = OpenAccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        account = form.open_for(cast(User, request.user))
        messages.success(request, _("%(name)s is open.") % {"name": account.name})
        return redirect("account_overview", account.public_id)
    return render(request, "accounts/new.html", {"form": form})


@require_safe
@account_page()
def account_overview(request: AccountRequest) -> HttpResponse:
    """State in words, what comes next, what happened, and the cards of the other apps."""
    account, member, at = request.account, request.member, clock.now()
    lines, older = read_history(account, reader=member, size=RECENT)
    with read_once(account):
        cards = rendered_panels(account, member, at=at, request=request)
        coming = what_comes_next(account, member, at=at)
    context = {
        "tab": "overview",
        "account": account,
        "member": member,
        "standing": standing(account, at=at),
        "panels": cards,
        "coming": coming,
        "lines": lines,
        "has_more": older is not None,
    }
    return render(request, "accounts/overview.html", context)


@require_safe
@account_page()
def account_history(request: AccountRequest) -> HttpResponse:
    """The whole history in words, page by page."""
    asked = request.GET.get("before", "")
    before = int(asked) if asked.isdecimal() and len(asked) < 10 else None
    lines, older = read_history(request.account, reader=request.member, before=before)
    context = {
        "tab": "overview",
        "account": request.account,
        "lines": lines,
        "older_url": f"?before={older}" if older else "",
        "newest_url": request.path if before else "",
    }
    return render(request, "accounts/history.html", context)


@form_page
@account_page("owner")
def account_settings(request: AccountRequest) -> HttpResponse:
    """Name, country, time zone and language, each with what a change means."""
    account = request.account
    initial = {name: getattr(account, name) for name in CHANGEABLE}
    form = AccountSettingsForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        change_account(account, form.cleaned_data, by=By.customer(request.user), at=clock.now())
        messages.success(request, _("Saved."))
        return redirect("account_settings", account.public_id)
    context = {"tab": "settings", "form": form, "account": account}
    return render(request, "accounts/settings.html", context | {"currency": currency_words(account.currency)})


@form_page
@login_required
def user_settings(request: HttpRequest) -> HttpResponse:
    """The person's own name and language."""
    user = cast(User, request.user)
    form = PersonForm(request.POST or None, instance=User.objects.get(pk=user.pk))
    if request.method == "POST" and form.is_valid():
        User.objects.filter(pk=user.pk).update(**form.cleaned_data)
        translation.activate(form.cleaned_data["language"])
        messages.success(request, _("Saved."))
        return redirect("user_settings")
    return render(request, "accounts/person.html", {"form": form})
