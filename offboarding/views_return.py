"""Coming back."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import clock
from accounts.errors import WrongState
from accounts.events import By
from accounts.gate import way_out
from accounts.scope import AccountRequest, account_page
from accounts.views import form_page
from billing.models import Plan, Subscription
from billing.prices import plan_now
from offboarding.models import Closure
from offboarding.winback import come_back_for_free


@form_page
@way_out
@account_page("payer")
def come_back(request: AccountRequest) -> HttpResponse:
    """One click: the plan that was left, with the data if it is still there."""
    if Subscription.objects.live().filter(account=request.account).exists():
        return redirect("account_overview", request.account.public_id)
    last = (
        Subscription.objects.select_related("plan")
        .filter(account=request.account)
        .order_by("-started_at")
        .first()
    )
    at = clock.now()
    plan = (
        plan_now(last.plan, at=at)
        if last
        else Plan.objects.on_offer(request.account.currency).priced_at(at).first()
    )
    if plan is None:
        raise Http404
    if request.method == "POST" and plan.is_free:
        try:
            come_back_for_free(request.account, plan, by=By.customer(request.user), at=at)
        except WrongState:
            messages.error(request, _("That is not possible any more."))
        else:
            messages.success(request, _("Welcome back. Everything is as you left it."))
        return redirect("account_overview", request.account.public_id)
    context = {
        "plan": plan,
        "pay_url": reverse("pay", args=[request.account.public_id, plan.code]),
        "closure": Closure.objects.open().filter(account=request.account).first(),
    }
    return render(request, "leaving/come_back.html", context)
