"""Money that reached us, and what was taken back from it."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Payment(models.Model):
    """One successful charge. Refunds that we initiate never exceed it (R1)."""

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="payments")
    invoice = models.ForeignKey("billing.Invoice", models.CASCADE, null=True, related_name="payments")
    provider_id = models.CharField(max_length=60, unique=True)
    charge_id = models.CharField(max_length=60, unique=True)
    balance_transaction = models.CharField(max_length=60, blank=True)
    amount = models.PositiveBigIntegerField(_("amount"))
    currency = models.CharField(_("currency"), max_length=3)
    method_brand = models.CharField(max_length=20, blank=True)
    method_last4 = models.CharField(max_length=4, blank=True)
    method_fingerprint = models.CharField(max_length=40, blank=True)
    paid_at = models.DateTimeField(_("paid on"))
    #: Sum of our own refunds that are under way or done; a guarded update keeps it below the amount.
    refund_reserved = models.PositiveBigIntegerField(default=0)
    #: What the provider reports beyond that: refunds made by hand, and disputes open or lost.
    refunded_elsewhere = models.PositiveBigIntegerField(default=0)
    disputed = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        constraints = [
            models.CheckConstraint(
                name="payment_refunds_fit", condition=Q(refund_reserved__lte=models.F("amount"))
            )
        ]
        indexes = [
            models.Index(
                fields=["method_fingerprint"], name="payment_of_card", condition=~Q(method_fingerprint="")
            )
        ]

    def __str__(self) -> str:
        return self.charge_id

    @property
    def left(self) -> int:
        """What can still be refunded, in minor units."""
        return max(0, self.amount - self.refund_reserved - self.refunded_elsewhere - self.disputed)


class Dispute(models.Model):
    """A chargeback as the provider reports it; recorded even where it breaks R1, never rejected."""

    payment = models.ForeignKey(Payment, models.CASCADE, related_name="disputes")
    provider_id = models.CharField(max_length=60, unique=True)
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=40)
    reason = models.CharField(max_length=60, blank=True)
    opened_at = models.DateTimeField()
    synced_at = models.DateTimeField()

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")

    def __str__(self) -> str:
        return self.provider_id

    @property
    def counts(self) -> bool:
        """Whether its amount is (or may be) gone: everything but won, or an inquiry that closed."""
        return self.status not in ("won", "warning_closed", "prevented")
