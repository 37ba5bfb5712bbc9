"""The declaration, what was promised with it, and a refund that free days keep safe."""

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id, new_receipt_number


class Ending(models.TextChoices):
    """The four ways to leave."""

    STOP_RENEWING = "stop_renewing", _("stop renewing")
    STOP_NOW = "stop_now", _("stop now")
    FREE_DAYS = "free_days", _("free days first")
    CLOSE_DELETE = "close_delete", _("close and delete")


class Quote(models.Model):
    """What one ending means, to the cent and to the day, as it was shown; never changed afterwards.

    `facts` are the plain inputs, so that the rule can be computed again at any time and must give
    the same result (R4). `measured_at` is the declaration's moment once there is one (C11).
    """

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="quotes", db_index=False)
    subscription = models.ForeignKey("billing.Subscription", models.CASCADE, null=True, related_name="quotes")
    ending = models.CharField(max_length=15, choices=Ending)
    terms = models.ForeignKey("accounts.Terms", models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    measured_at = models.DateTimeField()
    facts = models.JSONField()
    facts_hash = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    amount = models.PositiveBigIntegerField(default=0)
    tax = models.PositiveBigIntegerField(default=0)
    credit = models.PositiveBigIntegerField(default=0)
    basis = models.CharField(max_length=10)
    rule = models.CharField(max_length=10)
    why_none = models.CharField(max_length=40, blank=True)
    parts = models.JSONField(default=list)
    lines = models.JSONField(default=list)
    access_ends_at = models.DateTimeField()
    keeps_access = models.BooleanField(default=False)
    billing_ends_at = models.DateTimeField()
    undo_until = models.DateTimeField(null=True)
    refund_by = models.DateTimeField(null=True)
    claim_until = models.DateTimeField(null=True)
    data_until = models.DateTimeField()
    purge_on = models.DateTimeField()
    open_invoice = models.CharField(max_length=10, blank=True)
    open_invoice_amount = models.PositiveBigIntegerField(default=0)
    open_invoice_owed = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("quote")
        verbose_name_plural = _("quotes")
        indexes = [models.Index(fields=["account", "-made_at"], name="quote_of_account")]

    def __str__(self) -> str:
        return self.public_id


class CancellationQuerySet(models.QuerySet["Cancellation"]):
    """Questions about cancellations."""

    def open(self) -> "CancellationQuerySet":
        """Declared and neither carried out nor withdrawn."""
        return self.filter(status__in=Cancellation.OPEN)

    def due(self, at: dt.datetime) -> "CancellationQuerySet":
        """Their last moment of access has come (C4)."""
        return self.open().filter(effective_at__lte=at)

    def waiting_for_confirmation(self) -> "CancellationQuerySet":
        """Money or data was chosen and the last step has not been taken."""
        return self.filter(confirmed_at=None).exclude(ending=Ending.STOP_RENEWING)


class Cancellation(models.Model):
    """One declaration to leave and its receipt. While it is open the account is still paying or paid."""

    class Status(models.TextChoices):
        RECEIVED = "received", _("received")
        SCHEDULED = "scheduled", _("scheduled")
        COMPLETED = "completed", _("completed")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Via(models.TextChoices):
        SELF = "self", _("by the customer")
        STAFF = "staff", _("by support for a caller")
        PROVIDER = "provider", _("at the payment provider")
        UNPAID = "unpaid", _("by itself: an invoice was not paid")
        UNTOLD = "untold", _("by itself: no mail about the next charge arrived")

    OPEN: ClassVar[tuple[str, ...]] = ("received", "scheduled")
    MOVES: ClassVar[dict[str, frozenset[str]]] = {
        "received": frozenset({"scheduled", "completed", "withdrawn"}),
        "scheduled": frozenset({"completed", "withdrawn"}),
        "completed": frozenset(),
        "withdrawn": frozenset(),
    }

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    receipt_number = models.CharField(
        _("receipt number"), max_length=14, unique=True, default=new_receipt_number
    )
    #: Hashes of the secrets in the receipt's and the undo link's address (see `offboarding.receipts`).
    receipt_hash = models.CharField(max_length=64, unique=True)
    undo_hash = models.CharField(max_length=64, unique=True)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="cancellations")
    subscription = models.ForeignKey(
        "billing.Subscription", models.CASCADE, null=True, related_name="cancellations"
    )
    ending = models.CharField(_("ending"), max_length=15, choices=Ending)
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.RECEIVED)
    quote = models.ForeignKey(Quote, models.PROTECT, related_name="+")
    via = models.CharField(_("declared"), max_length=10, choices=Via, default=Via.SELF)
    declared_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    caller_identified = models.CharField(_("how the caller was identified"), max_length=40, blank=True)
    declared_at = models.DateTimeField(_("declared at"))
    declared_zone = models.CharField(max_length=64)
    effective_at = models.DateTimeField(_("last moment of access"))
    billing_ends_at = models.DateTimeField(_("nothing is billed after"))
    claim_until = models.DateTimeField(_("refund can be claimed until"), null=True, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True, blank=True)
    waived_retrieval = models.BooleanField(default=False)
    scheduled_at = models.DateTimeField(_("scheduled at the provider"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True, blank=True)

    objects = CancellationQuerySet.as_manager()

    class Meta:
        verbose_name = _("cancellation")
        verbose_name_plural = _("cancellations")
        ordering = ["-declared_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="cancellation_one_open_per_account",
                fields=["account"],
                condition=Q(status__in=["received", "scheduled"]),
            ),
            models.UniqueConstraint(
                name="cancellation_one_open_per_subscription",
                fields=["subscription"],
                condition=Q(status__in=["received", "scheduled"]),
            ),
            models.CheckConstraint(
                name="cancellation_scheduled_has_date",
                condition=~Q(status="scheduled") | Q(scheduled_at__isnull=False),
            ),
            models.CheckConstraint(
                name="cancellation_completed_has_date",
                condition=~Q(status="completed") | Q(completed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="cancellation_withdrawn_has_date",
                condition=~Q(status="withdrawn") | Q(withdrawn_at__isnull=False),
            ),
            models.CheckConstraint(
                name="cancellation_caller_identified", condition=~Q(via="staff") | ~Q(caller_identified="")
            ),
        ]
        indexes = [
            models.Index(
                fields=["effective_at"],
                name="cancellation_due",
                condition=Q(status__in=("received", "scheduled")),
            ),
        ]

    def __str__(self) -> str:
        return self.receipt_number

    @property
    def ref(self) -> str:
        """How other rows name this one."""
        return f"cancellation:{self.public_id}"

    @property
    def is_open(self) -> bool:
        """Neither carried out nor withdrawn."""
        return self.status in self.OPEN

    @property
    def moves_money_or_data(self) -> bool:
        """Whether a last step with re-authentication belongs to it."""
        return self.ending != Ending.STOP_RENEWING


class ReservationQuerySet(models.QuerySet["Reservation"]):
    """Questions about kept refunds."""

    def due_to_lapse(self, at: dt.datetime) -> "ReservationQuerySet":
        """Nobody claimed them by the end of their last day."""
        return self.filter(status=Reservation.Status.RESERVED, deadline_at__lt=at)


class Reservation(models.Model):
    """Today's refund, kept safe while free days run (R9)."""

    class Status(models.TextChoices):
        RESERVED = "reserved", _("reserved")
        CLAIMED = "claimed", _("claimed")
        LAPSED = "lapsed", _("lapsed")
        RELEASED = "released", _("released")

    cancellation = models.OneToOneField(Cancellation, models.CASCADE, related_name="reservation")
    quote = models.ForeignKey(Quote, models.PROTECT, related_name="+")
    amount = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    free_until = models.DateTimeField()
    deadline_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.RESERVED)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = ReservationQuerySet.as_manager()

    class Meta:
        verbose_name = _("reserved refund")
        verbose_name_plural = _("reserved refunds")
        constraints = [
            models.CheckConstraint(
                name="reservation_at_least_14_days",
                condition=Q(deadline_at__gte=models.F("free_until") + dt.timedelta(days=14)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"
