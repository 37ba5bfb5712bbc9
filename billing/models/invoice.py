"""Invoices and their lines, as far as money and refunds are decided from them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    """Questions about invoices."""

    def unpaid(self) -> "InvoiceQuerySet":
        """Finalised and still owed."""
        return self.filter(status=Invoice.Status.OPEN)


class Invoice(models.Model):
    """One invoice; amounts in minor units of its currency."""

    class Status(models.TextChoices):
        DRAFT = "draft", _("in preparation")
        OPEN = "open", _("unpaid")
        PAID = "paid", _("paid")
        VOID = "void", _("cancelled")
        UNCOLLECTIBLE = "uncollectible", _("written off")

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="invoices", db_index=False)
    subscription = models.ForeignKey(
        "billing.Subscription", models.CASCADE, null=True, related_name="invoices"
    )
    provider_id = models.CharField(max_length=60, unique=True)
    number = models.CharField(_("number"), max_length=60, blank=True)
    status = models.CharField(_("status"), max_length=15, choices=Status)
    billing_reason = models.CharField(max_length=40, blank=True)
    currency = models.CharField(_("currency"), max_length=3)
    subtotal = models.BigIntegerField(default=0)
    discount = models.BigIntegerField(default=0)
    tax = models.BigIntegerField(default=0)
    total = models.BigIntegerField(_("total"), default=0)
    amount_due = models.BigIntegerField(default=0)
    amount_paid = models.BigIntegerField(_("paid"), default=0)
    amount_remaining = models.BigIntegerField(_("owed"), default=0)
    credit_applied = models.BigIntegerField(_("credit used"), default=0)
    created_at = models.DateTimeField(_("date"))
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(_("paid on"), null=True, blank=True)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    period_start = models.DateTimeField(null=True, blank=True)
    period_end = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField()

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        verbose_name = _("invoice")
        verbose_name_plural = _("invoices")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="invoice_paid_has_date", condition=~Q(status="paid") | Q(paid_at__isnull=False)
            )
        ]
        indexes = [models.Index(fields=["account", "-created_at"], name="invoice_of_account")]

    def __str__(self) -> str:
        return self.number or self.provider_id


class InvoiceLine(models.Model):
    """One line: net of discounts and without tax, for one period."""

    invoice = models.ForeignKey(Invoice, models.CASCADE, related_name="lines", db_index=False)
    provider_id = models.CharField(max_length=60)
    description = models.CharField(max_length=250, blank=True)
    net = models.BigIntegerField()
    tax = models.BigIntegerField(default=0)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    is_proration = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("invoice line")
        verbose_name_plural = _("invoice lines")
        constraints = [models.UniqueConstraint(name="invoice_line_once", fields=["invoice", "provider_id"])]

    def __str__(self) -> str:
        return self.provider_id
