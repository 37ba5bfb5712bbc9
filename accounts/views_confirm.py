"""The page that confirms by a mailed code that it is still the same person."""

from typing import cast

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.reauthentication import resume_request
from allauth.account.utils import get_next_redirect_url
from allauth.core import ratelimit
from allauth.decorators import rate_limit
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import clock
from accounts.errors import WrongState
from accounts.forms import CodeForm
from accounts.mail import MailFailed
from accounts.models import User
from accounts.reauthentication import can_confirm_by_code, confirm_code, is_code_waiting, send_code


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@rate_limit(action="reauthenticate")  # type: ignore[untyped-decorator]
def confirm_by_code(request: HttpRequest) -> HttpResponse:
    """Ask for a code, type it in, and go on with what was begun; nothing that was filled in is lost."""
    user = cast(User, request.user)
    if not can_confirm_by_code(user):
        return redirect("account_reauthenticate")
    if request.POST.get("action") == "send":
        return _send(request, user)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            if confirm_code(request, user, form.cleaned_data["code"], at=clock.now()):
                return _go_on(request)
            form.add_error("code", _("This is not the code. Please look again."))
        except WrongState:
            form.add_error("code", _("This code does not work any more. Please ask for a new one."))
    return _show(request, user, form)


def _send(request: HttpRequest, user: User) -> HttpResponse:
    if not ratelimit.consume(request, action="request_login_code", key=user.email):
        messages.error(request, _("That was often enough for now. Please wait a minute."))
    else:
        try:
            send_code(request, user, at=clock.now())
        except MailFailed:
            messages.error(request, _("The mail could not be sent. Please try again in a minute."))
    return _show(request, user, CodeForm())


def _show(request: HttpRequest, user: User, form: CodeForm) -> HttpResponse:
    others = get_adapter(request).get_reauthentication_methods(user)
    context = {
        "form": form,
        "is_waiting": is_code_waiting(request, at=clock.now()),
        "next": get_next_redirect_url(request) or "",
        "alternatives": [method for method in others if method["url"] != request.path],
    }
    return render(request, "accounts/confirm_by_code.html", context)


def _go_on(request: HttpRequest) -> HttpResponse:
    resumed = cast("HttpResponse | None", resume_request(request))
    return resumed or redirect(get_next_redirect_url(request) or reverse("account_list"))
