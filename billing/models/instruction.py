"""Every write to the provider: committed as a row before it is sent (the outbox)."""

import datetime as dt

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id


class InstructionQuerySet(models.QuerySet["Instruction"]):
    """Questions about what has to go out."""

    def due(self, at: dt.datetime) -> "InstructionQuerySet":
        """Send now: waiting, or unanswered with its lease or back-off over; one per subject at a time."""
        busy = Instruction.objects.filter(
            subject=models.OuterRef("subject"), status__in=("sending", "unknown")
        ).exclude(pk=models.OuterRef("pk"))
        return self.filter(
            Q(lease_until=None) | Q(lease_until__lte=at),
            status__in=(Instruction.Status.PENDING, Instruction.Status.SENDING, Instruction.Status.UNKNOWN),
            next_attempt_at__lte=at,
        ).filter(~models.Exists(busy))

    def needing_a_person(self, at: dt.datetime) -> "InstructionQuerySet":
        """The human queue: dead letters, and whatever has been tried in vain for ten minutes (C3)."""
        return self.filter(
            Q(status="dead")
            | Q(
                status__in=("pending", "sending", "unknown"),
                attempts__gt=0,
                created_at__lte=at - dt.timedelta(minutes=10),
            )
        )

    def open(self) -> "InstructionQuerySet":
        """Neither done nor given up."""
        return self.filter(status__in=("pending", "sending", "unknown"))


class Instruction(models.Model):
    """One write that the provider owes us an answer to.

    `desired` states what should be, not what to change; a newer instruction with the same subject
    supersedes one that was not sent. The idempotency key is stored before the first call and is
    never used later than 23 hours after it (R8).
    """

    class Kind(models.TextChoices):
        CUSTOMER = "customer", _("new customer")
        SETUP = "setup", _("form for a card")
        SUBSCRIBE = "subscribe", _("new subscription")
        CARD = "card", _("card to charge")
        PAY = "pay", _("payment by the customer")
        RETRY = "retry", _("attempt to charge an unpaid invoice")
        WRITE_OFF = "write_off", _("an unpaid invoice written off")
        SUBSCRIPTION = "subscription", _("state of a subscription")
        REFUND = "refund", _("refund")
        CREDIT = "credit", _("credit")
        OPEN_INVOICE = "open_invoice", _("an unpaid invoice")
        DELETE_CUSTOMER = "delete_customer", _("deletion of the customer")

    class Status(models.TextChoices):
        PENDING = "pending", _("waiting")
        SENDING = "sending", _("being sent")
        UNKNOWN = "unknown", _("answer unknown")
        DONE = "done", _("done")
        SUPERSEDED = "superseded", _("superseded")
        DEAD = "dead", _("needs a person")
        ABANDONED = "abandoned", _("abandoned")

    #: In the place of how a subscription ends: it is left as the provider has it.
    AS_IS = "as_is"

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="instructions")
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    subject = models.CharField(_("about"), max_length=80)
    version = models.PositiveIntegerField(default=1)
    desired = models.JSONField(default=dict)
    #: Ids and codes of the provider's answer; never a secret of it.
    answer = models.JSONField(default=dict, blank=True)
    idempotency_key = models.CharField(max_length=80, unique=True)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.PENDING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"))
    first_sent_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    error = models.CharField(_("last error"), max_length=200, blank=True)
    closed_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(_("created"))
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    objects = InstructionQuerySet.as_manager()

    class Meta:
        verbose_name = _("instruction to the provider")
        verbose_name_plural = _("instructions to the provider")
        constraints = [
            models.UniqueConstraint(name="instruction_version_once", fields=["subject", "version"]),
            models.UniqueConstraint(
                name="instruction_one_in_flight",
                fields=["subject"],
                condition=Q(status__in=["sending", "unknown"]),
            ),
            models.CheckConstraint(
                name="instruction_done_has_date", condition=~Q(status="done") | Q(done_at__isnull=False)
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="instruction_due",
                condition=Q(status__in=("pending", "sending", "unknown")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject} v{self.version}"
