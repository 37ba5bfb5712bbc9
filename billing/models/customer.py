"""The account as the provider knows it."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Customer(models.Model):
    """The provider's customer of an account, with the card's public facts."""

    account = models.OneToOneField("accounts.Account", models.CASCADE, related_name="customer")
    provider_id = models.CharField(max_length=60, unique=True)
    test_clock = models.CharField(max_length=60, blank=True)
    card_id = models.CharField(max_length=60, blank=True)
    card_brand = models.CharField(_("card"), max_length=20, blank=True)
    card_last4 = models.CharField(_("last four digits"), max_length=4, blank=True)
    card_expires = models.CharField(_("expires"), max_length=7, blank=True)
    card_fingerprint = models.CharField(max_length=40, blank=True)
    credit = models.BigIntegerField(_("credit in minor units"), default=0)
    currency = models.CharField(max_length=3, blank=True)
    #: Who is writing this customer's facts right now; a stale answer never overwrites a newer one.
    lock_until = models.DateTimeField(null=True, blank=True)
    lock_token = models.CharField(max_length=32, blank=True)
    reconciled_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        indexes = [
            models.Index(fields=["card_expires"], name="customer_card_expires", condition=~Q(card_expires=""))
        ]

    def __str__(self) -> str:
        return self.provider_id

    @property
    def has_card(self) -> bool:
        """Whether there is a card to charge or to refund to."""
        return bool(self.card_id)

    @property
    def card_valid_until(self) -> str:
        """The card's last month as it is printed on it: "2030-12" is 12/30."""
        year, _sep, month = self.card_expires.partition("-")
        return f"{month}/{year[-2:]}" if month else ""
