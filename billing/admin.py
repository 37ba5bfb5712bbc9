"""Billing in the admin site: what is under way with the provider, the books, plans, and the mirror."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import clock
from accounts.admin.accounts import AccountAdmin
from accounts.admin.base import Act, ActsAdmin, ReadOnlyAdmin
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account
from accounts.templatetags.terms_format import day, format_money
from billing import dunning_attempts
from billing.admin_prices import PlanPrices
from billing.charges import Why, can_move_charge, move_charge, postponed, preview_postponed
from billing.declines import explain_decline
from billing.desk import chased
from billing.dunning_attempts import can_retry_now, retry_now
from billing.dunning_cases import can_write_off, write_off
from billing.instructions import abandon_instruction, replay_instruction
from billing.models import (
    Customer,
    Dispute,
    DunningCase,
    Incoming,
    Instruction,
    Invoice,
    Payment,
    Plan,
    Refund,
    RefundMovement,
    Subscription,
)
from billing.renewals import can_postpone
from billing.reports import MAY_READ, company_zone, last_month, reports, totals, write_report
from billing.stripe_api import StripeForbidden, StripeRefused, StripeThrottled, StripeUnavailable
from billing.subscriptions import subscriptions_of

EXCEL = b"\xef\xbb\xbf"


class ReasonForm(forms.Form):
    """Why it is given up: a person reads it later, so it is kept with the row, not in the history."""

    reason = forms.CharField(label=_("Why?"), max_length=200)


def _replay(row: Instruction, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    replay_instruction(row, by=by, at=at)


def _abandon(row: Instruction, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    abandon_instruction(row, reason=answers["reason"], by=by, at=at)


def _is_dead(row: Instruction, at: dt.datetime) -> bool:
    return row.status == Instruction.Status.DEAD


@admin.register(Instruction)
class InstructionAdmin(ActsAdmin[Instruction]):
    """What the provider is told. Dead letters wait here for a person."""

    list_display = ("kind", "account", "status", "attempts", "error", "created_at", "done_at")
    list_filter = ("status", "kind")
    list_select_related = ("account",)
    search_fields = ("subject__exact", "public_id__exact", "account__public_id__exact")
    exclude = ("lease_token", "lease_until", "idempotency_key")
    acts: ClassVar[tuple[Act[Instruction], ...]] = (
        Act(
            code="replay",
            title=_("Send again"),
            text=_("Only where the first sending surely did nothing: it goes out under a new key."),
            button=_("Send again"),
            permission="billing.change_instruction",
            can=_is_dead,
            do=_replay,
            done=_("It is sent again."),
            undo=_("What was sent cannot be called back."),
        ),
        Act(
            code="abandon",
            title=_("Give up"),
            text=_(
                "It is never sent. Settle the matter at the provider first; the reason stays with the row."
            ),
            button=_("Give it up"),
            permission="billing.change_instruction",
            can=_is_dead,
            do=_abandon,
            done=_("It was given up."),
            undo=_("There is no way back: it cannot be sent any more."),
            form=ReasonForm,
            is_grave=True,
        ),
    )


@admin.register(Incoming)
class IncomingAdmin(ReadOnlyAdmin[Incoming]):
    """What the provider told us."""

    list_display = ("event_id", "type", "status", "created", "received_at", "done_at", "error")
    list_filter = ("status",)
    search_fields = ("event_id__exact", "object_id__exact", "customer_id__exact")
    exclude = ("lease_token", "lease_until")


class TryForm(forms.Form):
    """Why it is tried out of turn."""

    reason = forms.ChoiceField(label=_("Why?"), choices=dunning_attempts.Why.choices)


def _retry_now(case: DunningCase, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    retry_now(case, reason=answers["reason"], by=by, at=at)


def _write_off(case: DunningCase, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    write_off(case, reason=answers["reason"], by=by, at=at)


@admin.register(DunningCase)
class DunningCaseAdmin(ActsAdmin[DunningCase]):
    """The queue of unpaid invoices: who is chased, what comes next and when."""

    list_display = ("invoice", "account", "owed", "status", "failures", "next_step", "next_at", "block_at")
    list_filter = ("status", "next_step", "end_action")
    list_select_related = ("account__terms", "invoice", "terms")
    search_fields = ("invoice__number__exact", "invoice__provider_id__exact", "account__public_id__exact")
    exclude = ("card_id", "plan", "decline")
    readonly_fields = ("refusal", "steps_left")
    acts: ClassVar[tuple[Act[DunningCase], ...]] = (
        Act(
            code="retry",
            title=_("Try the card now"),
            text=_("The card on file is charged once, beside the plan, which stays as it is. Once a day."),
            button=_("Try it now"),
            permission="billing.change_dunningcase",
            can=lambda case, at: can_retry_now(case, at=at),
            do=_retry_now,
            done=_("It is being tried. What comes of it is on this page in a moment."),
            undo=_("What is charged can only be given back as a refund."),
            form=TryForm,
            is_rehearsed=True,
        ),
        Act(
            code="write_off",
            title=_("Write off"),
            text=_(
                "Nothing more is asked for this invoice: Stripe marks it uncollectible, the mails stop and "
                "access is on again."
            ),
            button=_("Write it off"),
            permission="billing.change_dunningcase",
            can=lambda case, at: can_write_off(case),
            do=_write_off,
            done=_("It is written off: nothing is asked for it any more."),
            undo=_("There is no way back: it is not asked for again."),
            form=ReasonForm,
            is_grave=True,
            is_rehearsed=True,
        ),
    )

    @admin.display(description=_("owed"))
    def owed(self, case: DunningCase) -> str:
        return format_money(case.invoice.amount_remaining, case.invoice.currency)

    @admin.display(description=_("last refusal"), empty_value="–")
    def refusal(self, case: DunningCase) -> str:
        """In the words that the customer reads; the bank's code is for whoever talks with Stripe."""
        if not case.decline:
            return ""
        return format_html(
            '{} <small class="desk-soft"><code>{}</code></small>',
            explain_decline(case.decline).reason,
            case.decline,
        )

    @admin.display(description=_("still to come"), empty_value="–")
    def steps_left(self, case: DunningCase) -> str:
        labels = dict(DunningCase.NextStep.choices)
        found = ((labels.get(key, labels["attempt"]), dt.date.fromisoformat(on)) for key, on in case.plan)
        return ", ".join(f"{label}: {day(on)}" for label, on in found)


class MoneyMixin:
    """Amounts as people read them."""

    @admin.display(description=_("amount"), ordering="amount")
    def money(self, row: Any) -> str:
        return format_money(row.amount, row.currency)


@admin.register(Refund)
class RefundAdmin(MoneyMixin, ReadOnlyAdmin[Refund]):
    """Each refund from the decision until it lands or fails."""

    amounts = ("amount", "tax")
    list_display = ("public_id", "account", "money", "basis", "state", "created_at", "moved_at", "arrives_by")
    list_filter = ("state", "basis", "currency")
    list_select_related = ("account",)
    search_fields = ("public_id__exact", "provider_id__exact", "account__public_id__exact")


@admin.register(RefundMovement)
class MovementAdmin(MoneyMixin, ReadOnlyAdmin[RefundMovement]):
    """The books of refunds, and the reports that are made from them."""

    amounts = ("amount", "tax")
    list_display = ("moved_at", "kind", "money", "refund", "balance_transaction")
    list_filter = ("kind", "currency")
    list_select_related = ("refund",)
    ordering = ("-moved_at", "-pk")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("reports/", wrap(self.reports_view), name="reports"),
            path("reports/<slug:name>.csv", wrap(self.download_view), name="report_download"),
            *super().get_urls(),
        ]

    def reports_view(self, request: HttpRequest) -> HttpResponse:
        """Choose days, see the totals, download."""
        if not request.user.has_perm(MAY_READ):
            raise PermissionDenied
        form = DaysForm(request.GET if "first" in request.GET else DaysForm.suggested())
        chosen = reports().get(request.GET.get("report", ""))
        shown = [chosen] if chosen else list(reports().values())
        found = []
        if form.is_valid():
            first, last = form.cleaned_data["first"], form.cleaned_data["last"]
            found = [{"report": report, "totals": totals(report, first, last)} for report in shown]
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": _("Reports"),
            "form": form,
            "found": found,
            "zone": company_zone(),
        }
        return TemplateResponse(request, "admin/desk/reports.html", context)

    def download_view(self, request: HttpRequest, name: str) -> HttpResponse | StreamingHttpResponse:
        """The CSV, written while it is read. It changes nothing, so it is a GET."""
        if not request.user.has_perm(MAY_READ):
            raise PermissionDenied
        report, form = reports().get(name), DaysForm(request.GET)
        if report is None:
            raise Http404
        if not form.is_valid():
            return self.reports_view(request)
        first, last = form.cleaned_data["first"], form.cleaned_data["last"]
        blocks = write_report(report, first, last, part=form.cleaned_data["part"] or "all")
        response = StreamingHttpResponse(
            _with_mark(blocks) if form.cleaned_data["excel"] else blocks,
            content_type="text/csv; charset=utf-8",
        )
        response["Content-Disposition"] = f'attachment; filename="{name}-{first}-{last}.csv"'
        response["Cache-Control"] = "no-store"
        return response


def _with_mark(blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield EXCEL
    yield from blocks


class DaysForm(forms.Form):
    """From which day to which day, both included, in the company's zone; what to download, and for whom."""

    first = forms.DateField(label=_("From"), widget=forms.DateInput(attrs={"type": "date"}))
    last = forms.DateField(label=_("To"), widget=forms.DateInput(attrs={"type": "date"}))
    part = forms.ChoiceField(
        label=_("What to download"),
        choices=(("all", _("rows and totals")), ("rows", _("rows only")), ("totals", _("totals only"))),
        required=False,
    )
    excel = forms.BooleanField(label=_("for Excel (with a byte order mark)"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["label_suffix"] = ""
        super().__init__(*args, **kwargs)

    @classmethod
    def suggested(cls) -> dict[str, str]:
        """The month before this one: what is closed next."""
        first, last = last_month(clock.now().date())
        return {"first": first.isoformat(), "last": last.isoformat(), "part": "all"}

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("first") and found.get("last") and found["last"] < found["first"]:
            self.add_error("last", _("The last day is before the first."))
        return found


@admin.register(Invoice)
class InvoiceAdmin(ReadOnlyAdmin[Invoice]):
    """Invoices as they are at the provider."""

    amounts = (
        "subtotal",
        "discount",
        "tax",
        "total",
        "amount_due",
        "amount_paid",
        "amount_remaining",
        "credit_applied",
    )
    list_display = ("__str__", "account", "status", "total_money", "created_at", "paid_at")
    list_filter = ("status", "currency")
    list_select_related = ("account",)
    search_fields = ("number__exact", "provider_id__exact", "account__public_id__exact")
    ordering = ("-pk",)

    @admin.display(description=_("total"))
    def total_money(self, row: Invoice) -> str:
        return format_money(row.total, row.currency)


@admin.register(Payment)
class PaymentAdmin(MoneyMixin, ReadOnlyAdmin[Payment]):
    """Money that reached us."""

    amounts = ("amount", "refund_reserved", "refunded_elsewhere", "disputed")
    list_display = ("charge_id", "account", "money", "paid_at", "method_brand", "method_last4")
    list_filter = ("currency",)
    list_select_related = ("account",)
    search_fields = ("charge_id__exact", "provider_id__exact", "account__public_id__exact")
    exclude = ("method_fingerprint",)


@admin.register(Dispute)
class DisputeAdmin(MoneyMixin, ReadOnlyAdmin[Dispute]):
    """Chargebacks as the provider reports them."""

    amounts = ("amount",)
    list_display = ("provider_id", "payment", "money", "status", "reason", "opened_at")
    list_filter = ("status",)
    list_select_related = ("payment",)
    search_fields = ("provider_id__exact",)


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


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin[Customer]):
    """Accounts as the provider knows them."""

    amounts = ("credit",)
    list_display = ("provider_id", "account", "card_brand", "card_last4", "card_expires")
    list_select_related = ("account",)
    search_fields = ("provider_id__exact", "account__public_id__exact")
    exclude = ("lock_token", "lock_until", "card_fingerprint", "test_clock")


@admin.register(Plan)
class PlanAdmin(PlanPrices):
    """For superusers: what can be bought. The price itself is the provider's and stays with its plan."""

    list_display = ("code", "name_en", "price", "interval", "trial_days", "is_active")
    list_filter = ("is_active", "currency", "interval")
    ordering = ("currency", "amount")

    @admin.display(description=_("price"))
    def price(self, row: Plan) -> str:
        return format_money(row.amount, row.currency)

    def get_readonly_fields(self, request: HttpRequest, obj: Plan | None = None) -> tuple[str, ...]:
        """What people have subscribed to keeps its price: another price is another plan."""
        return ("code", "amount", "currency", "interval", "provider_price") if obj else ()

    def save_model(self, request: HttpRequest, obj: Plan, form: ModelForm[Plan], change: bool) -> None:
        obj.currency = obj.currency.upper()
        super().save_model(request, obj, form, change)


# --- The mirror ----------------------------------------------------------------------------------

#: What a list of each shows between the number and the date.
MIRRORED: dict[str, tuple[str, ...]] = {
    "Customer": ("address",),
    "Subscription": ("whose",),
    "Invoice": ("whose",),
    "Charge": ("whose",),
    "Refund": (),
    "Dispute": (),
    "Product": ("called",),
    "Price": (),
}


class MirrorAdmin(ReadOnlyAdmin[Any]):
    """The provider's object as it was last seen. It decides nothing and nobody changes it here."""

    search_fields = ("id__exact",)
    search_help_text = _("Number at Stripe")
    show_facets = admin.ShowFacets.NEVER

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return [*self.list_display, "is_live", "as_sent"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return self.get_fields(request, obj)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Named by its number: what dj-stripe calls an invoice shows cents as whole euros."""
        row = self.get_object(request, object_id)
        number = str(row.id) if row is not None else ""
        names = {"original": number, "subtitle": number}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **names})

    @admin.display(description=_("number at Stripe"), ordering="id")
    def number(self, row: Any) -> str:
        return str(row.id)

    @admin.display(description=_("e-mail address"), empty_value="–")
    def address(self, row: Any) -> str:
        return str(row.email or "")

    @admin.display(description=_("customer"), empty_value="–")
    def whose(self, row: Any) -> str:
        return str(row.customer or "")

    @admin.display(description=_("name"), empty_value="–")
    def called(self, row: Any) -> str:
        return str(row.name or "")

    @admin.display(description=_("made at Stripe"), ordering="created")
    def made_at(self, row: Any) -> str:
        return date_format(timezone.localtime(row.created), "DATETIME_FORMAT")

    @admin.display(description=_("with real money"), boolean=True)
    def is_live(self, row: Any) -> bool:
        return bool(row.livemode)

    @admin.display(description=_("as Stripe sent it"))
    def as_sent(self, row: Any) -> str:
        text = json.dumps(row.stripe_data, indent=2, ensure_ascii=False, default=str)
        return format_html('<pre class="desk-json" tabindex="0">{}</pre>', text)


def look_at_the_mirror() -> None:
    """In place of dj-stripe's own pages, which show keys and call the provider: read-only ones."""
    for model in list(admin.site._registry):
        if model._meta.app_label == "djstripe":
            admin.site.unregister(model)
    for name, columns in MIRRORED.items():
        shown = {
            "list_display": ("number", *columns, "made_at"),
            "list_select_related": ("customer",) if "whose" in columns else False,
        }
        admin.site.register(
            apps.get_model("djstripe", name), type(f"{name}MirrorAdmin", (MirrorAdmin,), shown)
        )


look_at_the_mirror()


# What staff may do about trials puts its buttons onto the account's page.
from billing import admin_trials  # noqa: E402, F401
