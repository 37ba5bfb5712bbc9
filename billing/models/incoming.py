"""The webhook inbox: each event of the provider once, whatever order it comes in (I2)."""

import datetime as dt

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class IncomingQuerySet(models.QuerySet["Incoming"]):
    """Questions about the inbox."""

    def due(self, at: dt.datetime) -> "IncomingQuerySet":
        """Received and not applied, its next attempt has come and nobody holds it."""
        return self.filter(
            Q(lease_until=None) | Q(lease_until__lte=at), status=Incoming.Status.NEW, next_attempt_at__lte=at
        )

    def to_mirror(self) -> "IncomingQuerySet":
        """Applied to our facts, not yet followed by the mirror, and not given up."""
        return self.filter(status=Incoming.Status.DONE, mirrored_at=None, mirror_attempts__lt=5)


class Incoming(models.Model):
    """One event. Its body is not kept: the worker re-fetches the object, so what came in decides nothing."""

    class Status(models.TextChoices):
        NEW = "new", _("received")
        DONE = "done", _("applied")
        IGNORED = "ignored", _("not ours")
        DEAD = "dead", _("needs a person")

    event_id = models.CharField(max_length=60, unique=True)
    type = models.CharField(_("type"), max_length=80)
    object_id = models.CharField(max_length=80, blank=True)
    customer_id = models.CharField(max_length=60, blank=True)
    #: What it belongs to, by name only: several events about one payment or invoice need one look.
    payment_id = models.CharField(max_length=60, blank=True)
    invoice_id = models.CharField(max_length=60, blank=True)
    created = models.DateTimeField(_("at the provider"))
    received_at = models.DateTimeField(_("received"))
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.NEW)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    error = models.CharField(max_length=200, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    #: The mirror follows by itself; it never holds a fact up.
    mirrored_at = models.DateTimeField(null=True, blank=True)
    mirror_attempts = models.PositiveSmallIntegerField(default=0)

    objects = IncomingQuerySet.as_manager()

    class Meta:
        verbose_name = _("event of the provider")
        verbose_name_plural = _("events of the provider")
        constraints = [
            models.CheckConstraint(
                name="incoming_done_has_date", condition=~Q(status="done") | Q(done_at__isnull=False)
            )
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="incoming_due", condition=Q(status="new")),
            models.Index(
                fields=["id"], name="incoming_to_mirror", condition=Q(status="done", mirrored_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.event_id
