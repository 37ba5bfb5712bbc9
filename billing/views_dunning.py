"""An unpaid invoice: choosing the day of the next attempt, and paying by a link without signing in."""

import datetime as dt
from typing import Any

from allauth.decorators import rate_limit
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import clock
from accounts.doorbell import ring
from accounts.errors import WrongState
from accounts.events import By
from accounts.gate import way_out
from accounts.links import find_link
from accounts.models import Event, Link
from accounts.scope import AccountRequest, account_page
from accounts.views import form_page
from billing import checkout
from billing.declines import explain_decline
from billing.dunning_cases import case_of
from billing.dunning_choice import choose_day, days_to_choose
from billing.dunning_coming import waits_for_owner
from billing.dunning_notices import about_case
from billing.invoices import issued
from billing.models import Customer, DunningCase, Invoice
from billing.views_paying import OUTAGE, PATIENCE, SECONDS, started

ANYONE = By(Event.Actor.CUSTOMER)


@form_page
@never_cache
@way_out
@account_page("payer")
def choose(request: AccountRequest, invoice_id: str) -> HttpResponse:
    """ "Try my card on the 28th": the days within the terms' limit, and what choosing one means."""
    found = get_object_or_404(issued(request.account), provider_id=invoice_id)
    case, at = case_of(found), clock.now()
    if case is None or not case.is_running:
        return redirect("invoice", request.account.public_id, found.number)
    days, about = days_to_choose(case, at=at), about_case(case, at=at)
    if request.method == "POST" and (chosen := _day(request.POST.get("day", ""), days)):
        try:
            choose_day(case, chosen, by=By.customer(request.user), at=at)
        except WrongState:
            messages.warning(request, _("That has changed in the meantime. This is how it stands now."))
        else:
            if about["is_tried"]:
                messages.success(
                    request, _("Noted. We try your card on that day, and a mail says the new dates.")
                )
            else:
                messages.success(request, _("Noted. A mail says the new dates."))
        return redirect("choose_day", request.account.public_id, invoice_id)
    context = about | {"tab": "billing", "account": request.account, "days": days}
    return render(request, "billing/choose_day.html", context | {"is_missing": request.method == "POST"})


def _day(posted: str, days: list[dt.date]) -> dt.date | None:
    return next((day for day in days if day.isoformat() == posted), None)


@require_safe
@never_cache
@way_out
@account_page("payer")
def bank(request: AccountRequest, invoice_id: str) -> HttpResponse:
    """On to the bank, which wants the payment confirmed: a link, because a form may not lead out of here."""
    found = get_object_or_404(issued(request.account), provider_id=invoice_id)
    return _bank(request, found, back=reverse("invoice_pay", args=[request.account.public_id, invoice_id]))


def _bank(request: HttpRequest, invoice: Invoice, *, back: str) -> HttpResponse:
    try:
        address = checkout.bank_address(invoice)
    except OUTAGE:
        address = ""
    if not address:
        return redirect(back)
    return render(request, "billing/bank.html", {"address": address, "invoice": invoice, "back": back})


# --- Without signing in --------------------------------------------------------------------------

#: Whoever has the address may pay; nobody needs more of them in a minute.
limited = rate_limit(action="pay_link", limit_get=True)


@require_safe
@never_cache
@limited  # type: ignore[untyped-decorator]
def pay_link(request: HttpRequest, token: str) -> HttpResponse:
    """What is owed and for what, nothing else; looking at it changes nothing."""
    invoice = _invoice_of(token)
    case = DunningCase.objects.filter(invoice=invoice).first()
    card_id = _card_on_file(invoice)
    context = {
        "invoice": invoice,
        "token": token,
        "plan": invoice.subscription.plan.name if invoice.subscription else "",
        "form": _form(request, token, invoice),
        "has_card": bool(card_id),
        "wants_customer": case is not None and waits_for_owner(case, card_id),
    }
    return _private(render(request, "billing/pay_link.html", context))


@require_POST
@limited  # type: ignore[untyped-decorator]
def pay_link_start(request: HttpRequest, token: str) -> HttpResponse:
    """Prepare the card form for this invoice."""
    invoice = _invoice_of(token)
    return started(lambda: checkout.invoice_form(invoice))


@require_POST
@limited  # type: ignore[untyped-decorator]
def pay_link_confirm(request: HttpRequest, token: str) -> HttpResponse:
    """Pay with the card on file, confirmed with the bank where it asks; which card it is is not shown."""
    invoice = _invoice_of(token)
    done = request.build_absolute_uri(reverse("pay_link_done", args=[token]))
    try:
        outcome = checkout.pay_invoice(invoice, by=ANYONE, at=clock.now(), return_url=done)
    except WrongState:
        return redirect("pay_link", token)
    except OUTAGE:
        words = _("The payment provider does not answer. Nothing was charged; please try again in a minute.")
        messages.error(request, words)
        return redirect("pay_link", token)
    if outcome.code == "action":
        return redirect("pay_link_bank", token)
    if outcome.code in ("declined", "unpaid"):
        why = vars(explain_decline(outcome.decline))
        messages.error(request, _("Nothing was charged. %(reason)s %(remedy)s") % why)
        return redirect("pay_link", token)
    return redirect("pay_link_done", token)


@require_safe
@never_cache
@limited  # type: ignore[untyped-decorator]
def pay_link_bank(request: HttpRequest, token: str) -> HttpResponse:
    """On to the bank."""
    return _private(_bank(request, _invoice_of(token), back=reverse("pay_link", args=[token])))


@require_safe
@never_cache
@limited  # type: ignore[untyped-decorator]
def pay_link_done(request: HttpRequest, token: str) -> HttpResponse:
    """Back from the form or the bank: waits until the facts are in. Changes nothing itself."""
    invoice = _invoice_of(token)
    asked = request.GET
    turn = int(asked["turn"]) if asked.get("turn", "").isdecimal() and len(asked["turn"]) < 4 else 0
    has_failed = asked.get("redirect_status") == "failed"
    is_waiting = invoice.status == Invoice.Status.OPEN and not has_failed
    customer = Customer.objects.filter(account=invoice.account, deleted_at=None).first()
    if is_waiting and customer is not None and turn % 5 == 0:
        ring("billing.refresh_customer", customer.pk)
    context = {
        "invoice": invoice,
        "token": token,
        "is_waiting": is_waiting,
        "has_failed": has_failed and invoice.status == Invoice.Status.OPEN,
        "seconds": SECONDS,
        "again": f"{request.path}?turn={turn + 1}" if is_waiting and turn < PATIENCE else "",
    }
    return _private(render(request, "billing/pay_link_done.html", context))


def _invoice_of(token: str) -> Invoice:
    link = find_link(Link.Purpose.PAY, token, at=clock.now())
    if link is None:
        raise Http404
    timezone.activate(link.account.zone)
    rows = Invoice.objects.select_related("account", "subscription__plan").filter(account=link.account)
    return get_object_or_404(rows, provider_id=link.subject)


def _card_on_file(invoice: Invoice) -> str:
    """The provider's id of it, or "" where there is none."""
    rows = Customer.objects.filter(account=invoice.account, deleted_at=None)
    return rows.values_list("card_id", flat=True).first() or ""


def _form(request: HttpRequest, token: str, invoice: Invoice) -> dict[str, Any]:
    """What the card form's script reads from the page's data attributes; no secret among it."""
    return {
        "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        "script": settings.STRIPE_JS_URL,
        "start": reverse("pay_link_start", args=[token]),
        "done": request.build_absolute_uri(reverse("pay_link_done", args=[token])),
        "mode": "payment",
        "amount": invoice.amount_remaining,
        "currency": invoice.currency.lower(),
        "language": get_language() or "en",
    }


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    # Nobody else learns the address; with "no-referrer" a browser would not say either that the form is ours.
    response["Referrer-Policy"] = "same-origin"
    response["X-Robots-Tag"] = "noindex"
    return response
