"""Subscriptions in the admin site, and their next charge, which staff may move to a later day."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.accounts import AccountAdmin
from accounts.admin.base import Act, ActsAdmin
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account
from accounts.templatetags.terms_format import day
from billing.charges import Why, can_move_charge, move_charge, postponed, preview_postponed
from billing.desk import chased
from billing.models import (
    Subscription,
)
from billing.renewals import can_postpone
from billing.stripe_api import StripeForbidden, StripeRefused, StripeThrottled, StripeUnavailable
from billing.subscriptions import subscriptions_of


def _nothing(account: Account, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    """The page of the subscription asks, shows both dates and does it."""


def _move_charge(row: Subscription, by: By, at: dt.datetime, answers: dict[str, Any]) -> str:
    then = postponed(row, answers["days"])
    move_charge(row, answers["days"], reason=answers["reason"], by=by, at=at)
    return gettext("The next charge is now on %(day)s. Stripe is being told.") % {"day": day(then)}


class DaysLaterForm(forms.Form):
    """By how many days; the page then shows both dates, the amount and what Stripe says before it is done."""

    days = forms.IntegerField(label=_("Days later"), min_value=1)
    reason = forms.ChoiceField(label=_("Why?"), choices=Why.choices)


def _charged(account: Account) -> Subscription | None:
    """The subscription whose next charge could be moved; no query beside those of the account's page."""
    row = next((row for row in subscriptions_of(account) if row.is_live and not row.is_local), None)
    if row is not None:
        row.account = account
    return row


def _has_charge(account: Account, at: dt.datetime) -> bool:
    row = _charged(account)
    has_days = bool(account.terms.charge_move_days)
    return row is not None and has_days and can_postpone(row, at=at) and chased(account) is None


def _page_of_charge(account: Account) -> str:
    row = _charged(account)
    if row is None:
        return reverse("admin:accounts_account_change", args=[account.pk])
    return reverse("admin:billing_subscription_act", args=[row.pk, "postpone"])


AccountAdmin.add_act(
    Act(
        code="move_charge",
        title=_("Move the next charge"),
        text=_("The days between are free. What it means is shown before anything is done."),
        button=_("Show what it means"),
        permission="billing.change_subscription",
        can=_has_charge,
        do=_nothing,
        done="",
        page=_page_of_charge,
    )
)


@admin.register(Subscription)
class SubscriptionAdmin(ActsAdmin[Subscription]):
    """What accounts are subscribed to: our own facts."""

    acts: ClassVar[tuple[Act[Subscription], ...]] = (
        Act(
            code="postpone",
            title=_("Move the next charge"),
            text=_("The days between are free. What it means is shown before anything is done."),
            button=_("Show what it means"),
            permission="billing.change_subscription",
            can=lambda row, at: can_move_charge(row, at=at),
            do=_move_charge,
            done=_("The next charge is moved. Stripe is being told."),
            undo=_("A charge that was moved is not moved back to an earlier day."),
            form=DaysLaterForm,
        ),
    )

    def _ask_and_do(self, request: HttpRequest, act: Act[Subscription], row: Subscription) -> HttpResponse:
        """Between the question and the act: both dates, the amount and what the provider says."""
        form = act.form(request.POST or None)
        if request.method != "POST" or "confirmed" in request.POST or not form.is_valid():
            return super()._ask_and_do(request, act, row)
        back = reverse("admin:billing_subscription_change", args=[row.pk])
        try:
            moved = preview_postponed(row, form.cleaned_data["days"])
        except WrongState:
            most = row.account.terms.charge_move_days
            form.add_error(
                "days", gettext("From 1 to %(days)d, say the terms of this account.") % {"days": most}
            )
            context = {"act": act, "row": self.name_of(row), "form": form, "back": back}
            return self.page(request, "admin/desk/ask.html", act.title, **context)
        except (StripeUnavailable, StripeThrottled, StripeForbidden, StripeRefused):
            messages.error(request, _("Stripe does not answer. Nothing was done."))
            return redirect(back)
        timezone.activate(row.account.zone)
        context = {"act": act, "row": self.name_of(row), "form": form, "back": back, "moved": moved}
        return self.page(request, "admin/desk/postpone.html", act.title, **context)

    def name_of(self, row: Subscription) -> str:
        """Not the provider's number, which tells a reader nothing."""
        return f"{row.account} · {row.plan.name}"

    list_display = ("__str__", "account", "plan", "status", "period_end", "cancel_at")
    list_filter = ("status", "plan")
    list_select_related = ("account__terms", "plan")
    search_fields = ("provider_id__exact", "public_id__exact", "account__public_id__exact")
