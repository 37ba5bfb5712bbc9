""" "I need more time": one page, reached by the link of a mail or from the account."""

import datetime as dt

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import clock
from accounts.errors import WrongState
from accounts.gate import way_out
from accounts.links import find_link
from accounts.models import Account, Link, Member, User
from accounts.scope import AccountRequest, account_page
from billing.forms import MoreTimeForm
from billing.models import Subscription
from billing.trial_notices import trial_words
from billing.trials import (
    MoreTime,
    ask_for_time,
    can_ask,
    can_extend_yourself,
    extend_trial_yourself,
    full_access_with,
    open_request,
    trial_of,
)

form_page = require_http_methods(["GET", "HEAD", "POST"])


@form_page
@way_out
@account_page("payer")
def more_time(request: AccountRequest) -> HttpResponse:
    """Take the days that the terms give, or ask for more of them."""
    return _more_time(request, request.account, request.user)


@form_page
def more_time_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """The same from a mail, without signing in: it shows what it would do, and does it by POST."""
    at = clock.now()
    link = find_link(Link.Purpose.MORE_TIME, token, at=at)
    seats = Member.objects.payers()
    if link is None or not seats.filter(account=link.account, user=link.user).exists():
        raise Http404
    assert link.user is not None
    timezone.activate(link.account.zone)
    response = _more_time(request, link.account, link.user, by_link=True)
    response["Cache-Control"] = "no-store"
    # Nobody else learns the address; with "no-referrer" a browser would not say either that the form is ours.
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response


def _more_time(request: HttpRequest, account: Account, user: User, *, by_link: bool = False) -> HttpResponse:
    form = MoreTimeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _give_or_ask(request, account, user, form.cleaned_data["text"])
        return redirect(request.path)
    at = clock.now()
    trial, more = trial_of(account, at=at), can_extend_yourself(account, at=at)
    context = {
        "tab": "billing",
        "account": account,
        "at": at,
        "by_link": by_link,
        "form": form,
        "more": more,
        "all_on_until": _all_on_until(trial, more, at) if trial and more else None,
        "asked": open_request(account),
        "can_ask": can_ask(account, at=at),
        **(trial_words(trial, at=at) if trial else {}),
    }
    return render(request, "billing/more_time.html", context)


def _all_on_until(trial: Subscription, more: MoreTime, at: dt.datetime) -> dt.datetime:
    """The end of the longer trial; where it is ours alone, of the days of grace that come after it anew."""
    full = full_access_with(trial, more.until, at=at) if trial.is_local else None
    return max(full or more.until, more.until)


def _give_or_ask(request: HttpRequest, account: Account, user: User, text: str) -> None:
    """At once what the terms give, else a request; whatever was faster is what the page then shows."""
    at = clock.now()
    try:
        if can_extend_yourself(account, at=at) is not None:
            extend_trial_yourself(account, user=user, text=text, at=at)
            messages.success(request, _("Your trial is longer. We have sent you the new date by mail."))
        else:
            ask_for_time(account, user=user, text=text, at=at)
            messages.success(request, _("Your request is with us, and the clock stands still meanwhile."))
    except WrongState:
        messages.warning(request, _("That has changed in the meantime. This is how it stands now."))
