"""The history of an account: append-only, without personal data, outliving the person."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Event(models.Model):
    """One thing that happened. The database refuses to change or delete it (C10).

    `facts` holds ids, codes, amounts and times only (D3); free text and names live in rows that
    can be erased without touching the history.
    """

    class Actor(models.TextChoices):
        CUSTOMER = "customer", _("customer")
        STAFF = "staff", _("staff")
        SYSTEM = "system", _("Good Terms")
        PROVIDER = "provider", _("payment provider")

    account_ref = models.CharField(max_length=26)
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=60)
    subject = models.CharField(max_length=60, blank=True)
    actor = models.CharField(max_length=10, choices=Actor)
    actor_ref = models.CharField(max_length=26, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["account_ref", "seq"]
        constraints = [models.UniqueConstraint(fields=["account_ref", "seq"], name="event_gap_free")]
        indexes = [models.Index(fields=["subject"], name="event_subject")]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"
