"""Who is told when access changes, and what is still to be told (an outbox)."""

import datetime as dt

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id


class WebhookEndpointQuerySet(models.QuerySet["WebhookEndpoint"]):
    """Questions about who listens."""

    def listening(self) -> "WebhookEndpointQuerySet":
        """Those that are told."""
        return self.filter(is_active=True)


class WebhookEndpoint(models.Model):
    """An address of the operator's own product, told of every change of access.

    The secret is kept as it is, because signing needs it; it is shown once. After a change the former one
    signs along until `former_until`, so that the receiver can change over without losing a message.
    """

    url = models.URLField(_("address"), max_length=500)
    description = models.CharField(_("what it is for"), max_length=120, blank=True)
    secret = models.CharField(max_length=80)
    former_secret = models.CharField(max_length=80, blank=True)
    former_until = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(_("is told"), default=True)
    created_at = models.DateTimeField(_("created"))

    objects = WebhookEndpointQuerySet.as_manager()

    class Meta:
        verbose_name = _("webhook endpoint")
        verbose_name_plural = _("webhook endpoints")

    def __str__(self) -> str:
        return self.url

    def clean(self) -> None:
        """Messages say who may get in: they travel encrypted."""
        if not self.url.startswith("https://") and not settings.WEBHOOKS_MAY_STAY_HERE:
            raise ValidationError({"url": _("The address must begin with https://.")})


def new_message_id() -> str:
    """The id that a receiver knows a message by, however often it comes."""
    return f"msg_{new_id()}"


class WebhookDeliveryQuerySet(models.QuerySet["WebhookDelivery"]):
    """Questions about what has to go out."""

    def due(self, at: dt.datetime) -> "WebhookDeliveryQuerySet":
        """To be sent now: nobody holds it, and its next attempt has come; of endpoints that are told."""
        return self.filter(
            Q(lease_until=None) | Q(lease_until__lte=at),
            status=WebhookDelivery.Status.PENDING,
            next_attempt_at__lte=at,
            endpoint__is_active=True,
        )


class WebhookDelivery(models.Model):
    """One message to one endpoint: the very bytes that are signed, sent until they are taken or given up."""

    class Status(models.TextChoices):
        PENDING = "pending", _("waiting")
        DONE = "done", _("done")
        DEAD = "dead", _("needs a person")

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    message_id = models.CharField(max_length=30, unique=True, default=new_message_id, editable=False)
    account_ref = models.CharField(_("account"), max_length=26)
    kind = models.CharField(_("kind"), max_length=40)
    body = models.TextField()
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"))
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    error = models.CharField(_("last error"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"))
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    objects = WebhookDeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("message to a webhook")
        verbose_name_plural = _("messages to webhooks")
        constraints = [
            models.CheckConstraint(
                name="delivery_done_has_date", condition=~Q(status="done") | Q(done_at__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="delivery_due", condition=Q(status="pending")),
            models.Index(fields=["account_ref"], name="delivery_account"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"
