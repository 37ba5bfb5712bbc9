"""Paying: the provider's form (the only script of the product), the card on file, and what came of it."""

import re
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import clock
from accounts.doorbell import ring
from accounts.errors import WrongState
from accounts.events import By
from accounts.gate import way_out
from accounts.scope import AccountRequest, account_page
from billing import checkout
from billing.arrival import Arrival, what_arrived
from billing.cards import start_card
from billing.checkout import Checkout, PayOutcome
from billing.declines import explain_decline
from billing.dunning_choice import days_to_choose
from billing.dunning_coming import waits_for_owner
from billing.invoices import issued
from billing.models import Customer, Invoice, Plan
from billing.periods import period_end
from billing.plan_choice import price_words
from billing.stripe_api import StripeForbidden, StripeRefused, StripeThrottled, StripeUnavailable
from billing.subscriptions import free_days

OUTAGE = (StripeUnavailable, StripeThrottled, StripeForbidden, StripeRefused)
SETUP_INTENT = re.compile(r"seti_[A-Za-z0-9]{1,60}")
#: The page asks again every two seconds, then says that it takes longer and that a mail will come.
SECONDS, PATIENCE = 2, 15


@require_safe
@never_cache
@way_out
@account_page("payer")
def pay(request: AccountRequest, code: str) -> HttpResponse:
    """What will be charged and when, the card form, and the card on file."""
    account, at = request.account, clock.now()
    plan = get_object_or_404(Plan.objects.open_to(account, at).filter(amount__gt=0), code=code)
    free = free_days(account, plan, at=at)
    context = {
        "plan": plan,
        "price": price_words(plan),
        "free_until": free.until if free else None,
        "free": free,
        "next_charge": period_end(at, 1, plan.interval),
        "customer": _customer(request),
        "form": _form(
            request,
            start=reverse("pay_start", args=[account.public_id, code]),
            done=_done(request, what="plan", plan=code),
            mode="setup" if free else "subscription",
            amount=plan.amount,
            currency=plan.currency,
        ),
    }
    return render(request, "billing/pay.html", _page(request) | context)


@require_POST
@way_out
@account_page("payer")
def pay_start(request: AccountRequest, code: str) -> HttpResponse:
    """Prepare the payment for the form: JSON with the intent's kind and client secret."""
    account, at = request.account, clock.now()
    plan = get_object_or_404(Plan.objects.open_to(account, at).filter(amount__gt=0), code=code)
    return started(lambda: checkout.start_checkout(account, plan, by=By.customer(request.user), at=at))


@require_POST
@way_out
@account_page("payer")
def pay_known(request: AccountRequest, code: str) -> HttpResponse:
    """Start the plan with the card on file, without a script."""
    account, by = request.account, By.customer(request.user)
    plan = get_object_or_404(Plan.objects.open_to(account, clock.now()).filter(amount__gt=0), code=code)
    back = reverse("pay", args=[account.public_id, code])
    try:
        outcome = checkout.start_with_card_on_file(account, plan, by=by, at=clock.now())
    except WrongState:
        return _changed(request)
    except OUTAGE:
        return _unreachable(request, back)
    return _answered(request, outcome, back=back, done=_done(request, what="plan", plan=code))


@require_safe
@never_cache
@way_out
@account_page("payer")
def card(request: AccountRequest) -> HttpResponse:
    """Change the card: the form of the provider; nothing is charged."""
    account, customer = request.account, _customer(request)
    form = _form(
        request,
        start=reverse("card_start", args=[account.public_id]),
        done=_done(request, what="card", was=customer.card_id if customer else ""),
        mode="setup",
        currency=account.currency,
    )
    unpaid = Invoice.objects.filter(account=account, dunning_case__status__in=("open", "ended"))
    context = {"customer": customer, "form": form, "unpaid": unpaid.unpaid().first()}
    return render(request, "billing/card.html", _page(request) | context)


@require_POST
@way_out
@account_page("payer")
def card_start(request: AccountRequest) -> HttpResponse:
    """Prepare the form for a new card."""
    by = By.customer(request.user)
    return started(lambda: Checkout("setup", start_card(request.account, by=by, at=clock.now())))


@require_safe
@never_cache
@way_out
@account_page("payer")
def invoice_pay(request: AccountRequest, invoice_id: str) -> HttpResponse:
    """Pay an unpaid invoice: with the card on file, or with another."""
    account = request.account
    found = get_object_or_404(
        issued(account).select_related("subscription__plan", "dunning_case__terms"), provider_id=invoice_id
    )
    if found.status != Invoice.Status.OPEN:
        return redirect("invoice", account.public_id, found.number)
    form = _form(
        request,
        start=reverse("invoice_pay_start", args=[account.public_id, invoice_id]),
        done=_done(request, what="invoice", invoice=invoice_id),
        mode="payment",
        amount=found.amount_remaining,
        currency=found.currency,
    )
    case, customer = getattr(found, "dunning_case", None), _customer(request)
    card_id = customer.card_id if customer else ""
    waits = case is not None and waits_for_owner(case, card_id)
    if case is not None:
        case.account = account
    context = {
        "invoice": found,
        "case": case,
        "wants_customer": waits,
        "decline": explain_decline(case.decline) if case and case.card_id == card_id and not waits else None,
        "can_choose_day": case is not None and bool(days_to_choose(case, at=clock.now())),
        "customer": customer,
        "form": form,
    }
    return render(request, "billing/invoice_pay.html", _page(request) | context)


@require_POST
@way_out
@account_page("payer")
def invoice_pay_start(request: AccountRequest, invoice_id: str) -> HttpResponse:
    """Prepare the form for this invoice."""
    found = get_object_or_404(issued(request.account), provider_id=invoice_id)
    return started(lambda: checkout.invoice_form(found))


@require_POST
@way_out
@account_page("payer")
def invoice_pay_known(request: AccountRequest, invoice_id: str) -> HttpResponse:
    """Pay this invoice with the card on file, without a script."""
    found = get_object_or_404(issued(request.account), provider_id=invoice_id)
    back = reverse("invoice_pay", args=[request.account.public_id, invoice_id])
    try:
        outcome = checkout.pay_invoice(
            found,
            by=By.customer(request.user),
            at=clock.now(),
            return_url=request.build_absolute_uri(_done(request, what="invoice", invoice=invoice_id)),
        )
    except WrongState:
        return _changed(request)
    except OUTAGE:
        return _unreachable(request, back)
    if outcome.code == "action":
        return redirect("invoice_bank", request.account.public_id, invoice_id)
    return _answered(request, outcome, back=back, done=_done(request, what="invoice", invoice=invoice_id))


@require_safe
@never_cache
@way_out
@account_page("payer")
def pay_done(request: AccountRequest) -> HttpResponse:
    """Back from the form: waits until the facts are in, then says what happened. Changes nothing itself."""
    asked = request.GET
    arrived = what_arrived(
        request.account,
        what=asked.get("what", ""),
        plan=asked.get("plan", ""),
        invoice=asked.get("invoice", ""),
        was=asked.get("was", ""),
        has_failed=asked.get("redirect_status") == "failed",
    )
    turn = int(asked["turn"]) if asked.get("turn", "").isdecimal() and len(asked["turn"]) < 4 else 0
    customer = _customer(request)
    if arrived.state == "waiting" and customer is not None and turn % 5 == 0:
        setup = asked.get("setup_intent", "")
        ring("billing.refresh_customer", customer.pk, setup if SETUP_INTENT.fullmatch(setup) else "")
    context = _page(request) | {
        "arrived": arrived,
        "customer": customer,
        "again": _again(request, arrived, turn),
    }
    return render(request, "billing/done.html", context)


def _again(request: AccountRequest, arrived: Arrival, turn: int) -> str:
    """The address to look again at, or "" when there is nothing to wait for (any longer)."""
    if arrived.state != "waiting" or turn >= PATIENCE:
        return ""
    kept = {
        name: request.GET[name]
        for name in ("what", "plan", "invoice", "was", "setup_intent", "redirect_status")
        if name in request.GET
    }
    return f"{request.path}?{urlencode(kept | {'turn': turn + 1})}"


def _page(request: AccountRequest) -> dict[str, Any]:
    return {"tab": "billing", "account": request.account, "seconds": SECONDS}


def _customer(request: AccountRequest) -> Customer | None:
    return Customer.objects.filter(account=request.account, deleted_at=None).first()


def _done(request: AccountRequest, **what: str) -> str:
    return f"{reverse('pay_done', args=[request.account.public_id])}?{urlencode(what)}"


def _form(
    request: AccountRequest, *, start: str, done: str, mode: str, currency: str, amount: int = 0
) -> dict[str, Any]:
    """What the card form's script reads from the page's data attributes; no secret among it."""
    return {
        "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        "script": settings.STRIPE_JS_URL,
        "start": start,
        "done": request.build_absolute_uri(done),
        "mode": mode,
        "amount": amount,
        "currency": currency.lower(),
        "language": get_language() or "en",
    }


def started(start: Any) -> JsonResponse:
    """The answer to the form's script: what to confirm, or in words why not."""
    try:
        made: Checkout = start()
    except WrongState:
        return JsonResponse(
            {"error": _("That has changed in the meantime. Please reload the page.")}, status=409
        )
    except OUTAGE:
        words = _("The payment provider does not answer. Nothing was charged; please try again in a minute.")
        return JsonResponse({"error": words}, status=503)
    return JsonResponse({"kind": made.kind, "client_secret": made.client_secret})


def _answered(request: AccountRequest, outcome: PayOutcome, *, back: str, done: str) -> HttpResponse:
    """Go on where there is something to wait for; a refusal comes back with what helps."""
    if outcome.code == "declined":
        words = explain_decline(outcome.decline)
        messages.error(request, _("Nothing was charged. %(reason)s %(remedy)s") % vars(words))
        return redirect(back)
    if outcome.code == "unpaid":
        messages.error(request, _("The payment was not completed and nothing was charged. Please try again."))
        return redirect(back)
    return redirect(done)


def _changed(request: AccountRequest) -> HttpResponse:
    messages.warning(request, _("That has changed in the meantime. This is how it stands now."))
    return redirect("billing_overview", request.account.public_id)


def _unreachable(request: AccountRequest, back: str) -> HttpResponse:
    messages.error(
        request, _("The payment provider does not answer. Nothing was charged; please try again in a minute.")
    )
    return redirect(back)
