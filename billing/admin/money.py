"""Money in the admin site: invoices, payments, chargebacks and refunds, read only."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import ReadOnlyAdmin
from accounts.templatetags.terms_format import format_money
from billing.models import (
    Dispute,
    Invoice,
    Payment,
    Refund,
)


class MoneyMixin:
    """Amounts as people read them."""

    @admin.display(description=_("amount"), ordering="amount")
    def money(self, row: Any) -> str:
        return format_money(row.amount, row.currency)


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


@admin.register(Refund)
class RefundAdmin(MoneyMixin, ReadOnlyAdmin[Refund]):
    """Each refund from the decision until it lands or fails."""

    amounts = ("amount", "tax")
    list_display = ("created_at", "account", "money", "basis", "state", "moved_at", "arrives_by")
    list_filter = ("state", "basis", "currency")
    list_select_related = ("account",)
    search_fields = ("public_id__exact", "provider_id__exact", "account__public_id__exact")
