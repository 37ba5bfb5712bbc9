"""What beat's jobs did, and which of them somebody turned off."""

import datetime as dt

from django.db import models
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext_lazy as _

from accounts.models.event import Event

#: How long a run that did nothing is kept, and how long any other is.
IDLE_KEPT = dt.timedelta(days=2)
KEPT = dt.timedelta(days=90)


class JobRunQuerySet(models.QuerySet["JobRun"]):
    """Questions about the runs."""

    def good(self) -> "JobRunQuerySet":
        """Came to their end without an error."""
        return self.filter(error="", was_off=False).exclude(finished_at=None)

    def failed_last(self) -> "JobRunQuerySet":
        """Ended with an error, and the job has not been started again since."""
        again = JobRun.objects.filter(
            name=models.OuterRef("name"), slot__gt=models.OuterRef("slot"), was_off=False
        )
        return self.exclude(error="").exclude(models.Exists(again))

    def latest_of_each(self, number: int) -> "JobRunQuerySet":
        """The last so many runs of every job, newest first; what is filtered besides is filtered before."""
        newest_first = [F("slot").desc(), F("pk").desc()]
        place = Window(RowNumber(), partition_by=[F("name")], order_by=newest_first)
        return self.annotate(place=place).filter(place__lte=number).order_by("name", "place")

    def to_forget(self, at: dt.datetime) -> "JobRunQuerySet":
        """Too old to be kept: idle runs soon, all others later; the last good one of a job never."""
        newer = JobRun.objects.good().filter(name=models.OuterRef("name"), slot__gt=models.OuterRef("slot"))
        idle = Q(started_at__lte=at - IDLE_KEPT, done=0, error="", skipped={})
        return self.filter(idle | Q(started_at__lte=at - KEPT)).filter(models.Exists(newer))


class JobRun(models.Model):
    """One run of one job: a slot of the timetable is run once, whoever rings (two beats are harmless).

    A job that is turned off leaves a row of its own, which does not take the slot.
    """

    name = models.CharField(_("name"), max_length=60)
    slot = models.DateTimeField(_("slot"))
    was_off = models.BooleanField(_("switched off"), default=False)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    #: Of the machine's own time: the product's clock may be turned while a job runs.
    seconds = models.FloatField(_("seconds"), default=0)
    due = models.PositiveIntegerField(_("due"), default=0)
    done = models.PositiveIntegerField(_("done"), default=0)
    #: {reason: how many}: what was due and had to wait, as the last look of this slot saw it.
    skipped = models.JSONField(_("skipped"), default=dict, blank=True)
    error = models.CharField(_("error"), max_length=200, blank=True)

    objects = JobRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("job run")
        verbose_name_plural = _("job runs")
        constraints = [models.UniqueConstraint(fields=["name", "slot", "was_off"], name="job_slot_once")]
        indexes = [models.Index(fields=["-started_at"], name="job_recent")]

    def __str__(self) -> str:
        return f"{self.name} {self.slot:%Y-%m-%d %H:%M}"


class JobSwitchQuerySet(models.QuerySet["JobSwitch"]):
    """Questions about the switches."""

    def off_now(self) -> "dict[str, JobSwitch]":
        """Every switch that is off, by its name: the last turn of each says how it stands."""
        last = {turn.name: turn for turn in self.order_by("pk")}
        return {name: turn for name, turn in last.items() if turn.is_off}


class JobSwitch(models.Model):
    """One turn of a switch: off or on, by whom, why. The database keeps every turn as it was."""

    name = models.CharField(_("name"), max_length=60)
    is_off = models.BooleanField(_("off"))
    actor = models.CharField(_("by"), max_length=10, choices=Event.Actor)
    actor_ref = models.CharField(max_length=26, blank=True)
    reason = models.CharField(_("reason"), max_length=200)
    at = models.DateTimeField(_("at"))

    objects = JobSwitchQuerySet.as_manager()

    class Meta:
        verbose_name = _("switch of a job")
        verbose_name_plural = _("switches of jobs")
        constraints = [models.CheckConstraint(name="job_switch_has_reason", condition=~Q(reason=""))]

    def __str__(self) -> str:
        return f"{self.name} {'off' if self.is_off else 'on'}"
