"""The books of refunds in the admin site, and the reports, to look at and to download."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts import clock
from accounts.admin.base import ReadOnlyAdmin
from accounts.places import zone_words
from billing.admin.money import MoneyMixin
from billing.models import (
    RefundMovement,
)
from billing.reports import MAY_READ, company_zone, last_month, reports, totals, write_report

EXCEL = b"\xef\xbb\xbf"


@admin.register(RefundMovement)
class MovementAdmin(MoneyMixin, ReadOnlyAdmin[RefundMovement]):
    """The books of refunds, and the reports that are made from them."""

    amounts = ("amount", "tax")
    list_display = ("moved_at", "kind", "money", "account", "invoice", "balance_transaction")
    list_filter = ("kind", "currency")
    list_select_related = ("refund__account", "refund__payment__invoice")
    ordering = ("-moved_at", "-pk")

    @admin.display(description=_("account"))
    def account(self, row: RefundMovement) -> str:
        return str(row.refund.account)

    @admin.display(description=_("invoice"), empty_value="–")
    def invoice(self, row: RefundMovement) -> str:
        """The invoice of the payment that it is taken from, as a link."""
        invoice = row.refund.payment.invoice
        if invoice is None:
            return ""
        return format_html(
            '<a class="text-link" href="{}">{}</a>',
            reverse("admin:billing_invoice_change", args=[invoice.pk]),
            invoice,
        )

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
            "zone": zone_words(company_zone()),
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
