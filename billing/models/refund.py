"""Refunds: each from a quote, to the original payment method, once."""

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id


class RefundQuerySet(models.QuerySet["Refund"]):
    """Questions about refunds."""

    def alive(self) -> "RefundQuerySet":
        """Everything that may still move or has moved money: failed and abandoned ones aside."""
        return self.exclude(state__in=("failed", "abandoned"))


class Refund(models.Model):
    """One refund on one payment. Written before the provider is called; `state` moves as MOVES says."""

    class State(models.TextChoices):
        INTENT = "intent", _("decided")
        SENDING = "sending", _("being sent")
        PENDING = "pending", _("on its way")
        SUCCEEDED = "succeeded", _("refunded")
        UNKNOWN = "unknown", _("being checked")
        FAILED = "failed", _("failed")
        ABANDONED = "abandoned", _("abandoned")

    class Basis(models.TextChoices):
        TERMS = "terms", _("our terms")
        STATUTORY = "statutory", _("the law")
        GOODWILL = "goodwill", _("goodwill")
        EXTERNAL = "external", _("made at the provider")
        CORRECTION = "correction", _("charged by mistake")

    MOVES: ClassVar[dict[str, frozenset[str]]] = {
        "intent": frozenset({"sending", "abandoned"}),
        "sending": frozenset({"succeeded", "pending", "failed", "unknown"}),
        "unknown": frozenset({"sending", "succeeded", "pending", "failed"}),
        "pending": frozenset({"succeeded", "failed"}),
        "succeeded": frozenset({"failed"}),
        "failed": frozenset(),
        "abandoned": frozenset(),
    }

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="refunds")
    payment = models.ForeignKey("billing.Payment", models.CASCADE, related_name="refunds")
    #: What it is for, such as `cancellation:ID`; empty for one made at the provider.
    reason_ref = models.CharField(max_length=60, blank=True)
    quote_ref = models.CharField(max_length=60, blank=True)
    terms = models.ForeignKey("accounts.Terms", models.PROTECT, null=True, related_name="+")
    basis = models.CharField(_("basis"), max_length=10, choices=Basis)
    amount = models.PositiveBigIntegerField(_("amount"))
    tax = models.PositiveBigIntegerField(_("tax in it"), default=0)
    currency = models.CharField(_("currency"), max_length=3)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.INTENT)
    provider_id = models.CharField(max_length=60, unique=True, null=True, blank=True)
    failure = models.CharField(_("failure"), max_length=60, blank=True)
    is_voluntary = models.BooleanField(default=True)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(_("decided"))
    sent_at = models.DateTimeField(null=True, blank=True)
    moved_at = models.DateTimeField(_("moved by the provider"), null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    arrives_by = models.DateTimeField(_("arrives by"), null=True, blank=True)

    objects = RefundQuerySet.as_manager()

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="refund_one_alive_per_reason",
                fields=["reason_ref", "payment"],
                condition=~Q(state__in=["failed", "abandoned"]) & ~Q(reason_ref=""),
            ),
            models.CheckConstraint(name="refund_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="refund_tax_in_amount", condition=Q(tax__lte=models.F("amount"))),
            models.CheckConstraint(
                name="refund_moved_has_provider",
                condition=~Q(state__in=["succeeded", "pending"])
                | Q(provider_id__isnull=False, moved_at__isnull=False),
            ),
            models.CheckConstraint(
                name="refund_failed_has_date", condition=~Q(state="failed") | Q(failed_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    def is_late(self, at: dt.datetime) -> bool:
        """On its way for longer than the terms said."""
        return self.state != self.State.SUCCEEDED and self.arrives_by is not None and self.arrives_by < at


class RefundMovement(models.Model):
    """Money that moved, or came back, on one day: what the books are written from; never changed.

    A refund made in October that fails in November is a reversal in November; October stands.
    """

    class Kind(models.TextChoices):
        REFUND = "refund", _("refund")
        REVERSAL = "reversal", _("reversal")

    refund = models.ForeignKey(Refund, models.CASCADE, related_name="movements", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind)
    amount = models.PositiveBigIntegerField()
    tax = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    moved_at = models.DateTimeField()
    balance_transaction = models.CharField(max_length=60, blank=True)

    class Meta:
        verbose_name = _("refund movement")
        verbose_name_plural = _("refund movements")
        constraints = [models.UniqueConstraint(name="movement_once", fields=["refund", "kind"])]
        indexes = [models.Index(fields=["moved_at"], name="movement_moved")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} {self.currency}"
