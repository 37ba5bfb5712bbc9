"""What we owe someone to read: each once, inside its window."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class NoticeQuerySet(models.QuerySet["Notice"]):
    """Questions about mail that is owed."""

    def due(self, at: dt.datetime) -> "NoticeQuerySet":
        """Owed now: its window is open, its next attempt has come, and nobody holds it."""
        return self.filter(
            Q(lease_until=None) | Q(lease_until__lte=at),
            status__in=(Notice.Status.OWED, Notice.Status.SENDING),
            window_from__lte=at,
            next_attempt_at__lte=at,
        )

    def needing_a_person(self) -> "NoticeQuerySet":
        """Could not be sent, and nobody has seen to it yet."""
        return self.filter(status=Notice.Status.FAILED, handled_at=None)

    def still_to_come(self) -> "NoticeQuerySet":
        """Everything that will be sent, earliest first."""
        return self.filter(status=Notice.Status.OWED).order_by("window_from", "pk")


class Notice(models.Model):
    """One mail that we owe one recipient for one thing.

    (account, recipient, kind, period) is owed once (M1).
    """

    class Status(models.TextChoices):
        OWED = "owed", _("to be sent")
        SENDING = "sending", _("being sent")
        SENT = "sent", _("sent")
        DROPPED = "dropped", _("no longer needed")
        FAILED = "failed", _("could not be sent")

    class Outcome(models.TextChoices):
        DELIVERED = "delivered", _("delivered")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained about")

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="notices", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="notices"
    )
    address = models.EmailField(_("address"), blank=True)
    #: Who it is owed to, as a key: a member's public id, or the hash of an outsider's address.
    recipient = models.CharField(max_length=64)
    kind = models.CharField(_("kind"), max_length=60)
    period = models.CharField(max_length=80)
    subject = models.CharField(max_length=60, blank=True)
    facts = models.JSONField(default=dict, blank=True)
    window_from = models.DateTimeField(_("not before"))
    window_to = models.DateTimeField(_("not after"))
    rule_ids = models.JSONField(default=list, blank=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.OWED)
    reason = models.CharField(_("reason"), max_length=80, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    #: How often the mail service's answer was lost; a second time ends it (M1: at most one more).
    unanswered = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    message_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    #: What the mail service reported afterwards, through its webhook.
    outcome = models.CharField(_("what became of it"), max_length=10, choices=Outcome, blank=True)
    outcome_at = models.DateTimeField(null=True, blank=True)
    #: The account's local day that a reminder or news took for itself: one a day and recipient.
    gentle_day = models.DateField(null=True, blank=True)
    #: A person has seen to one that could not be sent.
    handled_at = models.DateTimeField(_("seen to"), null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "recipient", "kind", "period"], name="notice_owed_once"
            ),
            models.CheckConstraint(name="notice_window", condition=Q(window_to__gte=models.F("window_from"))),
            models.CheckConstraint(
                name="notice_sent_has_date", condition=~Q(status="sent") | Q(sent_at__isnull=False)
            ),
            models.CheckConstraint(
                name="notice_end_has_reason", condition=~Q(status__in=["dropped", "failed"]) | ~Q(reason="")
            ),
            models.CheckConstraint(
                name="notice_has_recipient",
                condition=Q(user__isnull=False)
                | ~Q(address="")
                | Q(status__in=["sent", "dropped", "failed"]),
            ),
            models.UniqueConstraint(
                fields=["account", "recipient", "gentle_day"],
                name="notice_one_reminder_a_day",
                condition=Q(gentle_day__isnull=False),
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], name="notice_due", condition=Q(status__in=("owed", "sending"))
            ),
            models.Index(fields=["account", "window_from"], name="notice_calendar"),
            models.Index(fields=["message_id"], name="notice_message", condition=~Q(message_id="")),
            models.Index(fields=["sent_at"], name="notice_sent", condition=Q(status="sent")),
            models.Index(
                fields=["kind"], name="notice_failed", condition=Q(status="failed", handled_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.kind.replace("_", " ")


class Suppression(models.Model):
    """An address that must not be written to: it bounced, or its owner complained (M3)."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", _("bounced")
        COMPLAINT = "complaint", _("complained")

    address_hash = models.CharField(max_length=64, unique=True)
    reason = models.CharField(max_length=10, choices=Reason)
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("suppressed address")
        verbose_name_plural = _("suppressed addresses")

    def __str__(self) -> str:
        return f"{self.reason} {self.at:%Y-%m-%d}"
