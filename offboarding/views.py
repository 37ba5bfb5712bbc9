"""The wizard: four endings, two clicks, then everything else in one's own time."""

import datetime as dt
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import clock
from accounts.errors import NotAllowed, WrongState
from accounts.events import By
from accounts.gate import way_out
from accounts.scope import AccountRequest, account_page, reauthenticated
from accounts.views import form_page
from billing.pauses import pause_choices
from billing.plan_choice import price_words
from offboarding import receipts, wording
from offboarding.confirmations import confirm_cancellation, outcome_at_confirmation
from offboarding.dates import billing_words, data_and_the_step, dates_of, renews_otherwise
from offboarding.declarations import declare_cancellation
from offboarding.endings import show_endings
from offboarding.facts import read_situation
from offboarding.forms import ConfirmForm, SurveyForm
from offboarding.free_days import claim_reserved_refund
from offboarding.models import Cancellation, Closure, Ending, ExitSurvey
from offboarding.offers import cheaper_plans, matching_offer, show_offer, take_offer
from offboarding.quotes import FactsMoved, Shown, current_facts, situation_of
from offboarding.situation import Start
from offboarding.standing import Standing, is_last_step_open, read_standing
from offboarding.surveys import save_survey
from offboarding.withdrawals import stop_deletion, withdraw_cancellation


def _mine(request: AccountRequest, cancellation_id: str) -> Cancellation:
    rows: QuerySet[Cancellation] = Cancellation.objects.select_related(
        "account__terms", "quote__terms", "subscription__plan", "subscription__account__terms"
    )
    return get_object_or_404(rows, account=request.account, public_id=cancellation_id)


def _page(request: AccountRequest, cancellation: Cancellation) -> HttpResponse:
    return redirect("leaving", request.account.public_id, cancellation.public_id)


@require_safe
@way_out
@account_page("payer")
def leave(request: AccountRequest) -> HttpResponse:
    """The four endings side by side; one that is under way is shown instead."""
    open_ = Cancellation.objects.open().filter(account=request.account).first()
    if open_ is not None and "choose" not in request.GET:
        return _page(request, open_)
    if open_ is not None and open_.confirmed_at:
        return _page(request, open_)
    return _show_endings(request, open_)


def _show_endings(
    request: AccountRequest, open_: Cancellation | None = None, *, moved: bool = False
) -> HttpResponse:
    at = open_.quote.measured_at if open_ else clock.now()
    facts = current_facts(open_) if open_ else read_situation(request.account, at=at)
    chosen = {"chosen": open_.ending, "tag": _("Your choice so far")} if open_ else {}
    context = show_endings(request.account, request.member, facts, at=at, **chosen) | {
        "tab": "leave",
        "open": open_,
        "moved": moved,
        "closure": Closure.objects.open().filter(account=request.account).first(),
    }
    return render(request, "leaving/leave.html", context, status=409 if moved else 200)


@require_POST
@way_out
@account_page("payer")
def choose_ending(request: AccountRequest) -> HttpResponse:
    """The second click: the declaration is on record when the answer comes."""
    at = clock.now()
    ending = request.POST.get("ending", "")
    if ending not in Ending.values:
        return _show_endings(request)
    try:
        shown = None
        if not Cancellation.objects.open().filter(account=request.account).exists():
            shown = Shown.read(request.account, request.POST.get("shown", ""), at=at)
        cancellation = declare_cancellation(
            request.account, ending, by=By.customer(request.user), at=at, user=request.user, shown=shown
        )
    except FactsMoved:
        return _show_endings(request, moved=True)
    except (WrongState, NotAllowed):
        messages.error(request, _("That is not possible from here any more. This is what is."))
        return redirect("leave", request.account.public_id)
    return _page(request, cancellation)


@require_safe
@way_out
@account_page("payer")
def leaving(request: AccountRequest, cancellation_id: str) -> HttpResponse:
    """Where it stands: what is on record, the one step left, what comes next, how to undo it."""
    cancellation = _mine(request, cancellation_id)
    at = clock.now()
    standing = read_standing(cancellation, at=at)
    context = about_cancellation(cancellation, standing=standing) | {"tab": "leave", "at": at}
    return render(request, "leaving/leaving.html", context)


def about_cancellation(
    cancellation: Cancellation, *, standing: Standing | None = None, **more: Any
) -> dict[str, Any]:
    """What every page about one leaving shows; with its `standing` also the dates that follow from it."""
    quote = cancellation.quote
    if standing is not None:
        more |= {"standing": standing, "dates": dates_of(standing)}
    return {
        "cancellation": cancellation,
        "billing": billing_words(cancellation),
        "renews": renews_otherwise(quote),
        "is_data_only": quote.facts["start"] == Start.ENDED,
        "quote": quote,
        "title": wording.title_of(quote),
        "of_itself": wording.of_itself(cancellation.via),
        "keeping": wording.keeping(cancellation),
        "lines": wording.explain(quote),
        "why_none": wording.why_none(quote),
        "is_prorated": any(line["code"] == "line_unused" for line in quote.lines),
        "receipt": receipts.receipt_path(cancellation),
        "data_and_step": data_and_the_step(cancellation),
    } | more


@form_page
@way_out
@account_page("payer")
def survey(request: AccountRequest, cancellation_id: str) -> HttpResponse:
    """One page, one save; leads on to an offer that fits, or to the last step, or back."""
    cancellation = _mine(request, cancellation_id)
    known = ExitSurvey.objects.filter(cancellation=cancellation).first()
    form = SurveyForm(request.POST if request.method == "POST" else None, instance=known)
    if form.is_valid():
        at = clock.now()
        save_survey(cancellation, form.answers(), by=By.customer(request.user), at=at)
        kind = matching_offer(cancellation, at=at)
        if kind:
            show_offer(cancellation, kind, at=at)
            return redirect("leaving_offer", request.account.public_id, cancellation.public_id)
        return _go_on(request, cancellation, at=at)
    context = about_cancellation(cancellation) | {
        "tab": "leave",
        "form": form,
        "steps": _steps(cancellation),
        "step": 2,
        "last_step": is_last_step_open(cancellation, at=clock.now()),
    }
    return render(request, "leaving/survey.html", context)


def _go_on(request: AccountRequest, cancellation: Cancellation, *, at: dt.datetime) -> HttpResponse:
    if is_last_step_open(cancellation, at=at):
        return redirect("leaving_confirm", request.account.public_id, cancellation.public_id)
    messages.success(request, _("Thank you. Your answers help whoever comes after you."))
    return _page(request, cancellation)


def _steps(cancellation: Cancellation) -> list[str]:
    steps = [_("Recorded"), _("A few questions")]
    return [*steps, _("Confirm")] if cancellation.moves_money_or_data else steps


@form_page
@way_out
@account_page("payer")
def offer(request: AccountRequest, cancellation_id: str) -> HttpResponse:
    """What could help, beside a live "no, continue"."""
    cancellation = _mine(request, cancellation_id)
    at = clock.now()
    kind = matching_offer(cancellation, at=at)
    if not kind:
        return _go_on(request, cancellation, at=at)
    if request.method == "POST":
        return _take_offer(request, cancellation, kind, at=at)
    subscription = cancellation.subscription
    context = about_cancellation(cancellation) | {
        "tab": "leave",
        "kind": kind,
        "pauses": pause_choices(subscription, at=at) if subscription else [],
        "plans": [(plan, price_words(plan)) for plan in cheaper_plans(cancellation, at=at)],
        "last_step": is_last_step_open(cancellation, at=at),
    }
    return render(request, "leaving/offer.html", context)


def _take_offer(
    request: AccountRequest, cancellation: Cancellation, kind: str, *, at: dt.datetime
) -> HttpResponse:
    months = request.POST.get("months", "")
    try:
        take_offer(
            cancellation,
            kind,
            by=By.customer(request.user),
            at=at,
            user=request.user,
            months=int(months) if months.isdigit() else 0,
            plan=request.POST.get("plan", ""),
            call_when=request.POST.get("call_when", ""),
        )
    except WrongState:
        messages.error(request, _("That is not possible any more. Nothing was changed."))
        return _page(request, cancellation)
    cancellation.refresh_from_db()
    if kind == "free_days":
        return redirect("leaving_confirm", request.account.public_id, cancellation.public_id)
    if kind == "call":
        messages.success(request, _("We will call you. Your cancellation stands as it is."))
        return _go_on(request, cancellation, at=at)
    return redirect("account_overview", request.account.public_id)


@form_page
@way_out
@account_page("payer")
@reauthenticated
def confirm(request: AccountRequest, cancellation_id: str) -> HttpResponse:
    """The last step, with the sign-in fresh: exactly what is shown here is executed."""
    cancellation = _mine(request, cancellation_id)
    at = clock.now()
    if not is_last_step_open(cancellation, at=at):
        return _page(request, cancellation)
    form = ConfirmForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            confirm_cancellation(
                cancellation,
                quote_id=form.cleaned_data["quote"],
                by=By.customer(request.user),
                at=at,
                user=request.user,
                waives_retrieval=form.cleaned_data["when"] == "soon",
            )
            return _page(request, cancellation)
        except FactsMoved:
            cancellation = _mine(request, cancellation_id)
            return _show_confirmation(request, cancellation, at=at, moved=True)
        except (WrongState, NotAllowed):
            messages.error(request, _("That is not possible any more. This is how it stands."))
            return _page(request, cancellation)
    return _show_confirmation(request, cancellation, at=at)


def _show_confirmation(
    request: AccountRequest, cancellation: Cancellation, *, at: dt.datetime, moved: bool = False
) -> HttpResponse:
    facts = situation_of(cancellation.quote)
    outcome = outcome_at_confirmation(cancellation.quote, at=at)
    context = about_cancellation(cancellation) | {
        "tab": "leave",
        "moved": moved,
        "facts": wording.facts_of(outcome, facts),
        "outcome": outcome,
        "steps": _steps(cancellation),
        "step": 3,
        "is_deletion": cancellation.ending == Ending.CLOSE_DELETE,
    }
    return render(request, "leaving/confirm.html", context, status=409 if moved else 200)


@require_POST
@way_out
@account_page("payer")
def keep(request: AccountRequest, cancellation_id: str) -> HttpResponse:
    """Keep my subscription."""
    cancellation = _mine(request, cancellation_id)
    try:
        withdraw_cancellation(cancellation, by=By.customer(request.user), at=clock.now())
    except WrongState:
        messages.error(request, _("It has taken effect already. You can come back with one click."))
        return _page(request, cancellation)
    if cancellation.quote.facts["start"] == Start.ENDED:
        messages.success(request, _("It is taken back: nothing is deleted because of it."))
    else:
        messages.success(request, _("You stay. Everything goes on as if nothing had happened."))
    return redirect("account_overview", request.account.public_id)


@form_page
@way_out
@account_page("payer")
@reauthenticated
def claim(request: AccountRequest, cancellation_id: str) -> HttpResponse:
    """Claim the refund that free days kept, go on, or do nothing: each with its date."""
    cancellation = _mine(request, cancellation_id)
    at = clock.now()
    standing = read_standing(cancellation, at=at)
    if not standing.can_claim:
        return _page(request, cancellation)
    if request.method == "POST":
        try:
            claim_reserved_refund(cancellation, by=By.customer(request.user), at=at, user=request.user)
        except (FactsMoved, WrongState):
            messages.error(request, _("The payment has changed since. Nothing was done; please write to us."))
        return _page(request, cancellation)
    return render(
        request,
        "leaving/claim.html",
        about_cancellation(cancellation, standing=standing) | {"tab": "leave", "at": at},
    )


@require_POST
@way_out
@account_page("owner")
def keep_data(request: AccountRequest) -> HttpResponse:
    """An owner stops a deletion; billing is not restarted by it."""
    closure = (
        Closure.objects.open()
        .select_related("account", "cancellation__quote__terms")
        .filter(account=request.account)
        .first()
    )
    if closure is None:
        raise Http404
    try:
        stop_deletion(closure, by=By.customer(request.user), at=clock.now(), user=request.user)
    except WrongState:
        messages.error(request, _("The deletion has begun and cannot be stopped."))
    else:
        messages.success(request, _("The data is kept. Nothing will be billed."))
    return redirect("account_overview", request.account.public_id)
