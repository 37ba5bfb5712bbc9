"""The wizard for a caller: the same four endings, chosen by support for a member who was identified.

Every page is inside the admin site, wants a fresh sign-in of the member of staff, and is refused on an
account of their own. The customer gets receipt, mails and undo link as after their own click.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import clock
from accounts.admin.base import require_fresh
from accounts.errors import NotAllowed, WrongState
from accounts.events import By
from accounts.models import Account, Member, User
from offboarding import wording
from offboarding.callers import Identified, identify_caller, may_help
from offboarding.confirmations import confirm_cancellation, outcome_at_confirmation
from offboarding.declarations import declare_cancellation
from offboarding.endings import show_endings
from offboarding.facts import read_situation
from offboarding.forms import ConfirmForm, SurveyForm
from offboarding.free_days import can_claim, claim_reserved_refund
from offboarding.models import Cancellation, Closure, Ending, ExitSurvey
from offboarding.quotes import FactsMoved, Shown, current_facts, situation_of
from offboarding.standing import is_last_step_open
from offboarding.surveys import save_survey
from offboarding.withdrawals import can_stop_deletion, can_withdraw, stop_deletion, withdraw_cancellation

#: Who may do this: the permission that the role support has.
MAY_HELP = "offboarding.add_cancellation"
#: What a call can be about, with the page that it leads to.
ABOUT = ("leave", "survey", "confirm", "keep", "claim", "keep_data")


@dataclass(frozen=True)
class Call:
    """One caller at the telephone: which account, which member, how they were identified."""

    request: HttpRequest
    account: Account
    member: Member
    how: str

    @property
    def staff(self) -> User:
        return cast(User, self.request.user)

    def identify(self) -> By:
        """Record the identification with what is done; returns who acts."""
        return identify_caller(self.account, self.member.user, self.how, staff=self.staff, at=clock.now())

    def url(self, about: str, cancellation: Cancellation | None = None) -> str:
        """The page of this call about something."""
        return page_url(self.account, about, cancellation) + "?" + self.query

    @property
    def query(self) -> str:
        return urlencode({"caller": self.member.user.public_id, "identified": self.how})

    def render(self, template: str, *, status: int = 200, **context: Any) -> HttpResponse:
        """A page of this call."""
        common = {"call": self, "account": self.account, "back": account_url(self.account)}
        return render(self.request, template, common | context, status=status)

    def finish(self, text: str) -> HttpResponse:
        """Back to the account's page with a word about what was done."""
        messages.success(self.request, text)
        return redirect(account_url(self.account))

    def refuse(self) -> HttpResponse:
        """Back to the account's page: someone or something was faster."""
        messages.error(self.request, _("That is not possible any more. This is how it stands."))
        return redirect(account_url(self.account))


def account_url(account: Account) -> str:
    """Support's page of the account."""
    return reverse("admin:accounts_account_change", args=[account.pk])


def page_url(account: Account, about: str, cancellation: Cancellation | None = None) -> str:
    """The address of a page, without the caller."""
    if about in ("leave", "keep_data"):
        return reverse(f"admin:call_{about}", args=[account.public_id])
    ids = [account.public_id, cancellation.public_id if cancellation else ""]
    return reverse(f"admin:call_{about}", args=ids)


class CallerForm(forms.Form):
    """Who is calling, and how support knows."""

    caller = forms.ChoiceField(label=gettext_lazy("Person of this account"), widget=forms.RadioSelect)
    identified = forms.ChoiceField(
        label=gettext_lazy("How do you know?"), choices=Identified.choices, widget=forms.RadioSelect
    )

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Member.objects.payers().filter(account=account).select_related("user").order_by("pk")
        self.members = {member.user.public_id: member for member in rows}
        caller = cast(forms.ChoiceField, self.fields["caller"])
        caller.choices = [
            (key, f"{member.user.get_full_name()} · {member.get_role_display()}")
            for key, member in self.members.items()
        ]

    def call(self, request: HttpRequest, account: Account) -> Call:
        """The call that the valid form describes."""
        member = self.members[self.cleaned_data["caller"]]
        return Call(request, account, member, self.cleaned_data["identified"])


def _enter(request: HttpRequest, account_id: str) -> Account:
    """The account, for staff who may help and do not belong to it."""
    if not request.user.has_perm(MAY_HELP):
        raise PermissionDenied
    account = get_object_or_404(Account.objects.select_related("terms"), public_id=account_id)
    if not may_help(account, cast(User, request.user)):
        raise PermissionDenied(_("This is an account of your own. Please ask a colleague."))
    require_fresh(request)
    timezone.activate(account.zone)
    return account


def start_call(request: HttpRequest, account_id: str, about: str, cancellation_id: str = "") -> HttpResponse:
    """Who is calling? Asked before anything that is done for a caller; it changes nothing."""
    account = _enter(request, account_id)
    form = CallerForm(
        account, request.GET if "caller" in request.GET or "identified" in request.GET else None
    )
    ids = [account.public_id, cancellation_id] if cancellation_id else [account.public_id]
    if form.is_bound and form.is_valid():
        return redirect(f"{reverse(f'admin:call_{about}', args=ids)}?{form.call(request, account).query}")
    context = {"form": form, "account": account, "back": account_url(account)}
    return render(request, "staff/caller.html", context)


def for_caller(about: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """For a page that acts for a caller: without one, ask who is calling first. The view gets a `Call`."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def wrapped(request: HttpRequest, account_id: str, **ids: str) -> HttpResponse:
            account = _enter(request, account_id)
            form = CallerForm(account, request.GET)
            if not form.is_valid():
                return start_call(request, account_id, about, **ids)
            call = form.call(request, account)
            if ids:
                return view(call, _cancellation(account, ids["cancellation_id"]))
            return view(call)

        return wrapped

    return decorate


def _cancellation(account: Account, cancellation_id: str) -> Cancellation:
    rows = Cancellation.objects.select_related("account__terms", "quote__terms", "subscription__plan")
    return get_object_or_404(rows, account=account, public_id=cancellation_id)


@for_caller("leave")
def leave(call: Call) -> HttpResponse:
    """The four endings as the customer would see them; choosing one records the declaration at once."""
    if call.request.method == "POST":
        return _declare(call)
    return _show_endings(call)


def _show_endings(call: Call, *, moved: bool = False) -> HttpResponse:
    open_ = (
        Cancellation.objects.open()
        .select_related("quote__terms", "account", "subscription")
        .filter(account=call.account)
        .first()
    )
    if open_ is not None and open_.confirmed_at:
        return call.refuse()
    at = open_.quote.measured_at if open_ else clock.now()
    facts = current_facts(open_) if open_ else read_situation(call.account, at=at)
    chosen = {"chosen": open_.ending, "tag": _("The choice so far")} if open_ else {}
    return call.render(
        "staff/leave.html",
        **show_endings(call.account, call.member, facts, at=at, **chosen),
        moved=moved,
        open=open_,
        action=call.url("leave"),
        status=409 if moved else 200,
    )


def _declare(call: Call) -> HttpResponse:
    ending = call.request.POST.get("ending", "")
    at = clock.now()
    if ending not in Ending.values:
        return _show_endings(call)
    try:
        shown = None
        if not Cancellation.objects.open().filter(account=call.account).exists():
            shown = Shown.read(call.account, call.request.POST.get("shown", ""), at=at)
        by = call.identify()
        cancellation = declare_cancellation(
            call.account,
            ending,
            by=by,
            at=at,
            user=call.member.user,
            shown=shown,
            via=Cancellation.Via.STAFF,
            caller_identified=call.how,
        )
    except FactsMoved:
        return _show_endings(call, moved=True)
    except (WrongState, NotAllowed):
        return call.refuse()
    messages.success(
        call.request,
        _("Recorded as %(number)s. The customer gets the receipt by mail, with the link to undo it.")
        % {"number": cancellation.receipt_number},
    )
    return redirect(call.url("survey", cancellation))


@for_caller("survey")
def survey(call: Call, cancellation: Cancellation) -> HttpResponse:
    """The questions, if the caller likes; each answer may be left out."""
    known = ExitSurvey.objects.filter(cancellation=cancellation).first()
    form = SurveyForm(call.request.POST or None, instance=known)
    after = _after_survey(call, cancellation)
    if call.request.method == "POST" and form.is_valid():
        save_survey(cancellation, form.answers(), by=By.staff(call.staff), at=clock.now())
        return redirect(after)
    return call.render("staff/survey.html", form=form, cancellation=cancellation, after=after)


def _after_survey(call: Call, cancellation: Cancellation) -> str:
    if is_last_step_open(cancellation, at=clock.now()):
        return call.url("confirm", cancellation)
    return account_url(call.account)


@for_caller("confirm")
def confirm(call: Call, cancellation: Cancellation) -> HttpResponse:
    """The last step of an ending that moves money or data: exactly what is shown is executed."""
    at = clock.now()
    if not is_last_step_open(cancellation, at=at):
        return call.refuse()
    form = ConfirmForm(call.request.POST or None)
    if call.request.method != "POST" or not form.is_valid():
        return _show_confirmation(call, cancellation)
    try:
        by = call.identify()
        confirm_cancellation(
            cancellation,
            quote_id=form.cleaned_data["quote"],
            by=by,
            at=at,
            user=call.member.user,
            waives_retrieval=form.cleaned_data["when"] == "soon",
        )
    except FactsMoved:
        return _show_confirmation(call, _cancellation(call.account, cancellation.public_id), moved=True)
    except (WrongState, NotAllowed):
        return call.refuse()
    return call.finish(_("Confirmed. The customer is told by mail."))


def _show_confirmation(call: Call, cancellation: Cancellation, *, moved: bool = False) -> HttpResponse:
    quote = cancellation.quote
    outcome = outcome_at_confirmation(quote, at=clock.now())
    return call.render(
        "staff/confirm.html",
        cancellation=cancellation,
        quote=quote,
        title=wording.title_of(quote),
        facts=wording.facts_of(outcome, situation_of(quote)),
        lines=wording.explain(quote),
        is_prorated=any(line["code"] == "line_unused" for line in quote.lines),
        why_none=wording.why_none(quote),
        outcome=outcome,
        is_deletion=cancellation.ending == Ending.CLOSE_DELETE,
        moved=moved,
        status=409 if moved else 200,
    )


@for_caller("keep")
def keep(call: Call, cancellation: Cancellation) -> HttpResponse:
    """Take the cancellation back for the caller."""
    if not can_withdraw(cancellation, at=clock.now()):
        return call.refuse()
    if call.request.method != "POST":
        return _ask(
            call,
            _("Keep the subscription"),
            _("Everything goes on as if nothing had been declared: it renews, and no refund is claimed."),
            _("Keep the subscription"),
        )
    try:
        withdraw_cancellation(cancellation, by=call.identify(), at=clock.now())
    except (WrongState, NotAllowed):
        return call.refuse()
    return call.finish(_("Taken back. The customer is told by mail."))


@for_caller("claim")
def claim(call: Call, cancellation: Cancellation) -> HttpResponse:
    """Claim the refund that free days kept."""
    if not can_claim(cancellation, at=clock.now()):
        return call.refuse()
    if call.request.method != "POST":
        return _ask(
            call,
            _("Claim the kept refund"),
            _("The refund goes back to the payment method, to the cent; access ends with it."),
            _("Claim the refund"),
        )
    try:
        claim_reserved_refund(cancellation, by=call.identify(), at=clock.now(), user=call.member.user)
    except (FactsMoved, WrongState, NotAllowed):
        return call.refuse()
    return call.finish(_("The refund is on its way. The customer is told by mail."))


@for_caller("keep_data")
def keep_data(call: Call) -> HttpResponse:
    """Stop a deletion for an owner who calls; nothing is billed again by it."""
    closure = (
        Closure.objects.open()
        .select_related("account__terms", "cancellation__quote__terms")
        .filter(account=call.account)
        .first()
    )
    at = clock.now()
    if closure is None or not can_stop_deletion(closure, at=at):
        return call.refuse()
    if call.request.method != "POST":
        return _ask(
            call,
            _("Keep the data"),
            _("The deletion is stopped. Nothing is billed again by it. Only an owner can ask for this."),
            _("Stop the deletion"),
        )
    try:
        stop_deletion(closure, by=call.identify(), at=at, user=call.member.user)
    except (WrongState, NotAllowed):
        return call.refuse()
    return call.finish(_("The data is kept."))


def _ask(call: Call, title: str, text: str, button: str) -> HttpResponse:
    return call.render("staff/ask.html", title=title, text=text, button=button)
