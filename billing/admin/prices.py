"""Plans and their prices in the admin site: plan another price, see how far it has come, withdraw it."""

import datetime as dt
from decimal import Decimal
from typing import Any, ClassVar, cast
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import clock
from accounts.admin.base import Act, ActsAdmin, DeskAdmin, ReadOnlyAdmin, require_fresh
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import User
from accounts.templatetags.terms_format import exponent, format_money
from billing.models import Plan, PlannedPrice, PriceChange
from billing.price_preview import preview_change, read_price
from billing.prices import can_change_price, can_withdraw_change, plan_price_change, withdraw_change
from billing.stripe_api import StripeForbidden, StripeRefused, StripeThrottled, StripeUnavailable

#: Who may plan another price, and who may withdraw it: superusers, unless somebody is given it.
MAY_PLAN = "billing.add_pricechange"


class PriceForm(forms.Form):
    """The new price, its number at Stripe, the first day of it, and why."""

    price = forms.DecimalField(label=gettext_lazy("New price"), min_value=0, decimal_places=3)
    provider_price = forms.CharField(
        label=gettext_lazy("Number of this price at Stripe (price_…)"), max_length=60
    )
    day = forms.DateField(
        label=gettext_lazy("From which day?"), widget=forms.DateInput(attrs={"type": "date"})
    )
    reason = forms.CharField(label=gettext_lazy("Why? For colleagues."), max_length=200)

    def __init__(self, plan: Plan, *args: Any, **kwargs: Any) -> None:
        kwargs["label_suffix"] = ""
        super().__init__(*args, **kwargs)
        self.plan = plan

    @property
    def amount(self) -> int:
        """In minor units."""
        return int(Decimal(self.cleaned_data["price"]).scaleb(exponent(self.plan.currency)))

    @property
    def effective_from(self) -> dt.datetime:
        """The beginning of the first day, in the company's zone."""
        zone = ZoneInfo(settings.COMPANY_TIME_ZONE)
        return dt.datetime.combine(self.cleaned_data["day"], dt.time(), zone).astimezone(dt.UTC)

    def clean(self) -> dict[str, Any]:
        """Refuse what could not be planned, saying why; Stripe is asked about its price."""
        found = super().clean() or {}
        if not {"price", "provider_price", "day"} <= found.keys():
            return found
        price = Decimal(found["price"]).scaleb(exponent(self.plan.currency))
        if price != int(price) or self.amount in (0, self.plan.amount):
            self.add_error("price", _("Another amount than now, above zero, in whole cents."))
        elif self.effective_from < clock.now():
            self.add_error("day", _("A day to come: new customers pay the new price from its first minute."))
        elif Plan.objects.filter(provider_price=found["provider_price"]).exists():
            self.add_error("provider_price", _("A plan has this price already."))
        else:
            self._ask_stripe(found["provider_price"])
        return found

    def _ask_stripe(self, number: str) -> None:
        try:
            price = read_price(number)
        except StripeRefused:
            self.add_error("provider_price", _("Stripe knows no such price."))
            return
        except (StripeUnavailable, StripeThrottled, StripeForbidden):
            self.add_error(None, _("Stripe does not answer. Nothing was done."))
            return
        if not price.fits(self.plan, self.amount):
            self.add_error(
                "provider_price",
                _("At Stripe this price has another amount, currency or rhythm, or is not active."),
            )


@admin.register(Plan)
class PlanAdmin(DeskAdmin[Plan]):
    """For superusers: what can be bought. The price itself is the provider's and stays with its plan.

    Another price is planned: a button, a question, what it means, then the verb.
    """

    change_form_outer_before_template = "admin/desk/acts.html"
    list_display = ("code", "name_en", "price", "interval", "trial_days", "is_active")
    list_filter = ("is_active", "currency", "interval")
    ordering = ("currency", "amount")

    @admin.display(description=gettext_lazy("price"))
    def price(self, row: Plan) -> str:
        return format_money(row.amount, row.currency)

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        """What people have subscribed to keeps its price: another price is another plan."""
        return ("code", "amount", "currency", "interval", "provider_price") if obj else ()

    def save_model(self, request: HttpRequest, obj: Plan, form: ModelForm[Plan], change: bool) -> None:
        obj.currency = obj.currency.upper()
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.price_view)
        return [path("<int:object_id>/price/", view, name="billing_plan_price"), *super().get_urls()]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        acts = []
        if row is not None and request.user.has_perm(MAY_PLAN) and can_change_price(row):
            url = reverse("admin:billing_plan_price", args=[row.pk])
            acts = [{"title": _("Plan another price"), "url": url}]
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "acts": acts})

    def price_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask, show what it means with the mail in each language, and plan it when that is confirmed."""
        plan = Plan.objects.filter(pk=object_id).first()
        if not request.user.has_perm(MAY_PLAN):
            raise PermissionDenied
        if plan is None or not can_change_price(plan):
            raise Http404
        require_fresh(request)
        form = PriceForm(plan, request.POST if request.method == "POST" else None)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, "admin/desk/price.html", plan, form)
        if "confirmed" in request.POST:
            return self._plan(request, plan, form)
        preview = preview_change(plan, amount=form.amount, effective_from=form.effective_from, at=clock.now())
        return self._page(request, "admin/desk/price_preview.html", plan, form, preview=preview)

    def _plan(self, request: HttpRequest, plan: Plan, form: PriceForm) -> HttpResponse:
        answers = form.cleaned_data
        try:
            change = plan_price_change(
                plan,
                amount=form.amount,
                provider_price=answers["provider_price"],
                effective_from=form.effective_from,
                reason=answers["reason"],
                by=By.staff(cast(User, request.user)),
                at=clock.now(),
            )
        except WrongState:
            messages.error(request, _("That is not possible any more. Nothing was done."))
            return redirect("admin:billing_plan_change", plan.pk)
        messages.success(request, _("The new price is planned. The mails follow by themselves."))
        return redirect("admin:billing_pricechange_change", change.pk)

    def _page(
        self, request: HttpRequest, template: str, plan: Plan, form: PriceForm, **context: Any
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        back = reverse("admin:billing_plan_change", args=[plan.pk])
        common = {"title": _("Another price"), "opts": self.opts, "plan": plan, "form": form, "back": back}
        context = self.admin_site.each_context(request) | common | context
        return TemplateResponse(request, template, context)


class WithdrawForm(forms.Form):
    """Why it does not come after all."""

    reason = forms.CharField(label=gettext_lazy("Why?"), max_length=200)


def _withdraw(change: PriceChange, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    withdraw_change(change, reason=answers["reason"], by=by, at=at)


@admin.register(PriceChange)
class PriceChangeAdmin(ActsAdmin[PriceChange]):
    """Each price that is planned or was: from when on, by whom, why, and how far it has come."""

    list_display = ("from_plan", "before", "after", "effective_from", "created_at", "withdrawn_at")
    list_select_related = ("from_plan", "to_plan")
    fields = (
        "from_plan", "to_plan", "before", "after", "effective_from", "reason", "planned_by", "created_at",
        "how_far", "withdrawn_at", "withdrawn_reason",
    )  # fmt: skip
    acts: ClassVar[tuple[Act[PriceChange], ...]] = (
        Act(
            code="withdraw",
            title=gettext_lazy("Withdraw it"),
            text=gettext_lazy(
                "The price stays as it is, for new customers too. Mails about it stop at once, and whoever "
                "was told of it is told by mail that it does not come."
            ),
            button=gettext_lazy("Withdraw it"),
            permission="billing.change_pricechange",
            can=lambda change, at: can_withdraw_change(change),
            do=_withdraw,
            done=gettext_lazy("It is withdrawn. Whoever was told of it is told so by mail."),
            form=WithdrawForm,
            is_grave=True,
        ),
    )

    @admin.display(description=gettext_lazy("price until then"))
    def before(self, row: PriceChange) -> str:
        return format_money(row.from_plan.amount, row.from_plan.currency)

    @admin.display(description=gettext_lazy("price from then on"))
    def after(self, row: PriceChange) -> str:
        return format_money(row.to_plan.amount, row.to_plan.currency)

    @admin.display(description=gettext_lazy("planned by"))
    def planned_by(self, row: PriceChange) -> str:
        user = User.objects.filter(public_id=row.actor_ref).first() if row.actor_ref else None
        return str(user) if user else row.get_actor_display()

    @admin.display(description=gettext_lazy("subscriptions"), empty_value="–")
    def how_far(self, row: PriceChange) -> str:
        """How many are planned, told, charged and dropped."""
        rows = row.planned_prices.order_by().values("state").annotate(number=Count("pk"))
        found = dict(rows.values_list("state", "number"))
        labels = PlannedPrice.State.choices
        return ", ".join(f"{found[state]} {label}" for state, label in labels if state in found)


@admin.register(PlannedPrice)
class PlannedPriceAdmin(ReadOnlyAdmin[PlannedPrice]):
    """What each subscription is charged from which renewal on, and why not where it is not."""

    list_display = ("account", "before", "after", "takes_at", "state", "reason", "told_at", "set_at")
    list_filter = ("state", "reason")
    amounts = ("amount_before", "amount_after")
    list_select_related = ("account",)
    search_fields = ("account__public_id__exact", "public_id__exact")

    @admin.display(description=gettext_lazy("price until then"))
    def before(self, row: PlannedPrice) -> str:
        return format_money(row.amount_before, row.currency)

    @admin.display(description=gettext_lazy("price from then on"))
    def after(self, row: PlannedPrice) -> str:
        return format_money(row.amount_after, row.currency)
