"""The data of who leaves: fetched as an export, kept until a date, then erased with a record of it."""

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.ids import new_id


class ExportQuerySet(models.QuerySet["Export"]):
    """Questions about downloads."""

    def due(self, at: dt.datetime) -> "ExportQuerySet":
        """Asked for, not made, and nobody is at it."""
        return self.filter(Q(lease_until=None) | Q(lease_until__lte=at), status__in=("queued", "running"))

    def over(self, at: dt.datetime) -> "ExportQuerySet":
        """Ready, and the days in which it can be fetched are over."""
        return self.filter(status=Export.Status.READY, expires_at__lte=at)


class Export(models.Model):
    """One download of an account's data (or of one member's own)."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("being made")
        READY = "ready", pgettext_lazy("download", "ready")
        FAILED = "failed", pgettext_lazy("download", "failed")
        EXPIRED = "expired", _("expired")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="exports")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    own_only = models.BooleanField(default=False)
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.QUEUED)
    rows_total = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveIntegerField(default=0)
    file_name = models.CharField(max_length=120, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)
    requested_at = models.DateTimeField(_("asked for"))
    ready_at = models.DateTimeField(pgettext_lazy("time", "ready"), null=True, blank=True)
    expires_at = models.DateTimeField(_("available until"), null=True, blank=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(
                name="export_one_at_a_time",
                fields=["account", "requested_by", "own_only"],
                condition=Q(status__in=["queued", "running"]),
            ),
            models.CheckConstraint(
                name="export_ready_has_file",
                condition=~Q(status="ready") | (~Q(file_name="") & Q(expires_at__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def ref(self) -> str:
        """How other rows name this one."""
        return f"export:{self.public_id}"

    @property
    def is_under_way(self) -> bool:
        """Asked for and neither ready nor failed."""
        return self.status in (self.Status.QUEUED, self.Status.RUNNING)

    def is_fetchable(self, at: dt.datetime) -> bool:
        """Ready and not expired, whether or not the job that removes old files has come by."""
        return self.status == self.Status.READY and self.expires_at is not None and at < self.expires_at


class ClosureQuerySet(models.QuerySet["Closure"]):
    """Questions about accounts whose data will go."""

    def open(self) -> "ClosureQuerySet":
        """Neither purged nor called off."""
        return self.filter(status__in=Closure.OPEN)

    def due(self, at: dt.datetime) -> "ClosureQuerySet":
        """Their purge date has come; one that was begun goes on."""
        return self.open().filter(purge_on__lte=at)


class Closure(models.Model):
    """The promise that an account's data goes on a date (D1, D2)."""

    class Status(models.TextChoices):
        SCHEDULED = "scheduled", pgettext_lazy("deletion", "scheduled")
        PURGING = "purging", _("being deleted")
        DONE = "done", _("deleted")
        CANCELLED = "cancelled", _("called off")

    OPEN: ClassVar[tuple[str, ...]] = ("scheduled", "purging")

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="closures")
    cancellation = models.ForeignKey(
        "offboarding.Cancellation", models.SET_NULL, null=True, related_name="closures"
    )
    status = models.CharField(_("status"), max_length=10, choices=Status, default=Status.SCHEDULED)
    data_until = models.DateTimeField(_("can be fetched until"))
    purge_on = models.DateTimeField(_("deleted on"))
    waived_retrieval = models.BooleanField(default=False)
    stop_until = models.DateTimeField(_("can be stopped until"), null=True, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = ClosureQuerySet.as_manager()

    class Meta:
        verbose_name = _("closure")
        verbose_name_plural = _("closures")
        constraints = [
            models.UniqueConstraint(
                name="closure_one_open", fields=["account"], condition=Q(status__in=["scheduled", "purging"])
            ),
            models.CheckConstraint(
                name="closure_after_retrieval",
                condition=Q(waived_retrieval=True) | Q(purge_on__gte=models.F("data_until")),
            ),
        ]
        indexes = [
            models.Index(
                fields=["purge_on"], name="closure_due", condition=Q(status__in=("scheduled", "purging"))
            )
        ]

    def __str__(self) -> str:
        return f"{self.purge_on:%Y-%m-%d}"


class ErasureQuerySet(models.QuerySet["Erasure"]):
    """Questions about purges."""

    def free(self, at: dt.datetime) -> "ErasureQuerySet":
        """Nobody is at it, or whoever was has been gone for too long."""
        return self.filter(Q(lease_until=None) | Q(lease_until__lte=at))

    def with_books_over(self, at: dt.datetime) -> "ErasureQuerySet":
        """What was kept because of a rule need not be kept any more."""
        return self.filter(retained_until__lte=at, retained_gone_at=None).exclude(finished_at=None)


class Erasure(models.Model):
    """The record of a purge, written before its first destructive step; without personal data (D4)."""

    account_ref = models.CharField(max_length=26, unique=True)
    terms_version = models.PositiveIntegerField()
    due_on = models.DateTimeField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    #: The step that is being carried out and, after a bar, the last row of it that is done.
    step = models.CharField(max_length=120, blank=True)
    #: Keys of the people who go with the account; emptied at the end.
    scope = models.JSONField(default=list)
    #: Rows deleted and anonymised, by model.
    counts = models.JSONField(default=dict)
    #: Rows kept because of a rule, by model, and the day from which none of them is kept.
    retained = models.JSONField(default=dict)
    retained_until = models.DateTimeField(null=True, blank=True)
    retained_gone_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    lease_token = models.CharField(max_length=32, blank=True)

    objects = ErasureQuerySet.as_manager()

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")

    def __str__(self) -> str:
        return self.account_ref


class Brake(models.Model):
    """How much may be destroyed on one day: a person's word for a large one."""

    SINGLE = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=SINGLE)
    #: A person allowed this many purges on this day (UTC), above the share that needs nobody.
    allowed_on = models.DateField(null=True, blank=True)
    allowed = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("brake")
        verbose_name_plural = _("brakes")
        constraints = [models.CheckConstraint(name="brake_single", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"{self.allowed} {self.allowed_on or ''}"
