"""Plan, card and invoices of one account, for those who pay."""

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import clock
from accounts.errors import WrongState
from accounts.events import By
from accounts.gate import way_out
from accounts.scope import AccountRequest, account_page
from billing.account_panel import plan_facts
from billing.coming import billing_to_come, unpaid_invoice
from billing.invoices import issued, lines_of, list_invoices, refunds_of
from billing.models import Pause, Plan
from billing.pauses import end_pause
from billing.plan_choice import Way, offer_plans, take_plan

RECENT = 3


@require_safe
@way_out
@account_page("payer")
def billing_overview(request: AccountRequest) -> HttpResponse:
    """Plan, next charge, card, the latest invoices."""
    account, member, at = request.account, request.member, clock.now()
    context = {
        "tab": "billing",
        "account": account,
        "member": member,
        "at": at,
        "coming": sorted(billing_to_come(account, member, at), key=lambda entry: entry.at),
        "invoices": list_invoices(account, size=RECENT).rows,
        **(plan_facts(account, member, at) or {}),
    }
    return render(request, "billing/overview.html", context)


@require_safe
@way_out
@account_page("payer")
def plans(request: AccountRequest) -> HttpResponse:
    """Every plan on offer in this currency, each with what choosing it would do."""
    account = request.account
    context = {
        "tab": "billing",
        "account": account,
        "offers": offer_plans(account, at=clock.now()),
        "unpaid": unpaid_invoice(account),
    }
    return render(request, "billing/plans.html", context)


@require_POST
@way_out
@account_page("payer")
def choose_plan(request: AccountRequest) -> HttpResponse:
    """Choose: a free plan or a trial starts at once, another plan waits for the renewal, else one pays."""
    account, by, at = request.account, By.customer(request.user), clock.now()
    plan = get_object_or_404(Plan.objects.open_to(account, at), code=request.POST.get("plan", ""))
    try:
        way = take_plan(account, plan, by=by, at=at)
    except WrongState:
        messages.warning(request, _("That has changed in the meantime. This is how it stands now."))
        return redirect("plans", account.public_id)
    if way is Way.PAY:
        return redirect("pay", account.public_id, plan.code)
    if way is Way.LEAVE:
        return redirect("leave", account.public_id)
    said = {
        Way.FREE: _("You are on %(plan)s."),
        Way.TRIAL: _("Your trial of %(plan)s has started."),
        Way.CHANGE: _("Noted: %(plan)s from the next renewal on."),
    }[way]
    messages.success(request, said % {"plan": plan.name})
    return redirect("billing_overview", account.public_id)


@require_safe
@way_out
@account_page("payer")
def invoices(request: AccountRequest) -> HttpResponse:
    """All invoices, page by page."""
    after = request.GET.get("after", "")
    page = list_invoices(request.account, after=after)
    context = {
        "tab": "billing",
        "account": request.account,
        "invoices": page.rows,
        "older_url": f"?after={page.older}" if page.older else "",
        "newest_url": request.path if after else "",
    }
    return render(request, "billing/invoices.html", context)


@require_safe
@way_out
@account_page("payer")
def invoice(request: AccountRequest, number: str) -> HttpResponse:
    """One invoice, printable: lines, tax, what was paid and what went back."""
    found = get_object_or_404(issued(request.account).select_related("subscription__plan"), number=number)
    context = {
        "tab": "billing",
        "account": request.account,
        "invoice": found,
        "lines": lines_of(found),
        "payments": found.payments.order_by("paid_at", "pk"),
        "refunds": refunds_of(found),
        "seller": settings.COMPANY_NAME,
    }
    return render(request, "billing/invoice.html", context)


@require_POST
@way_out
@account_page("payer")
def pause_end(request: AccountRequest) -> HttpResponse:
    """End the pause today: charging resumes, or the pause is given up before it began."""
    pause = Pause.objects.filter(subscription__account=request.account, status=Pause.Status.PLANNED)
    row = pause.select_related("subscription__account").first()
    if row is None:
        raise Http404
    try:
        end_pause(row, by=By.customer(request.user), at=clock.now())
    except WrongState:
        messages.error(request, _("The pause is over already."))
    else:
        messages.success(request, _("The pause has ended."))
    return redirect("billing_overview", request.account.public_id)
