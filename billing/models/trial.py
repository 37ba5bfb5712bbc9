"""The days of a trial as rows, what made it longer, and who asked for more time."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id
from accounts.models import Event
from billing.trial_calendar import StepKind


class TrialStepQuerySet(models.QuerySet["TrialStep"]):
    """Questions about steps."""

    def pending(self) -> "TrialStepQuerySet":
        """Still to come."""
        return self.filter(done_at=None)

    def due(self, at: dt.datetime) -> "TrialStepQuerySet":
        """Their moment has come and nobody has taken them."""
        return self.pending().filter(due_at__lte=at)

    def is_any_due(self, at: dt.datetime) -> bool:
        """Whether one is due, by the first entry of its index: quick, also before a vacuum came."""
        first = self.pending().order_by("due_at").values_list("due_at", flat=True).first()
        return first is not None and first <= at


class TrialStep(models.Model):
    """One dated step of one trial, from `billing.trial_calendar`; those to come are planned again when a
    date moves, those that were taken stay.
    """

    class Kind(models.TextChoices):
        REMIND_FIRST = StepKind.REMIND_FIRST, _("reminder before the end")
        REMIND_AGAIN = StepKind.REMIND_AGAIN, _("second reminder before the end")
        END = StepKind.END, _("the trial ends")
        AFTER_0 = StepKind.AFTER_0, _("reminder after the end")
        AFTER_3 = StepKind.AFTER_3, _("second reminder after the end")
        AFTER_8 = StepKind.AFTER_8, _("last reminder after the end")
        FREEZE = StepKind.FREEZE, _("full access ends")
        FAREWELL = StepKind.FAREWELL, _("thank-you")

    subscription = models.ForeignKey(
        "billing.Subscription", models.CASCADE, related_name="trial_steps", db_index=False
    )
    kind = models.CharField(_("kind"), max_length=12, choices=Kind)
    due_at = models.DateTimeField(_("on"))
    window_to = models.DateTimeField(_("not after"))
    rule_ids = models.JSONField(default=list, blank=True)
    done_at = models.DateTimeField(_("done"), null=True, blank=True)

    objects = TrialStepQuerySet.as_manager()

    class Meta:
        verbose_name = _("step of a trial")
        verbose_name_plural = _("steps of trials")
        ordering = ["due_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                name="trial_step_pending_once", fields=["subscription", "kind"], condition=Q(done_at=None)
            ),
            models.CheckConstraint(name="trial_step_window", condition=Q(window_to__gte=F("due_at"))),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="trial_step_due", condition=Q(done_at=None)),
            # A sweep asks for what is due of one trial, and reads none of what is to come.
            models.Index(fields=["subscription", "due_at"], name="trial_step_calendar"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.due_at:%Y-%m-%d}"


class TrialExtension(models.Model):
    """More days of trial: who gave them, why, and which end became which (T4)."""

    class Via(models.TextChoices):
        SELF = "self", _("by the customer")
        STAFF = "staff", _("by support")
        CARD = "card", _("for adding a card")

    class Reason(models.TextChoices):
        MORE_TIME = "more_time", _("needs more time to try it")
        NO_TIME = "no_time", _("had no time to try it")
        WAITING = "waiting", _("waits for somebody else")
        PROBLEM = "problem", _("something did not work")
        CARD = "card", _("added a card")
        OTHER = "other", _("something else")

    account = models.ForeignKey(
        "accounts.Account", models.CASCADE, related_name="trial_extensions", db_index=False
    )
    subscription = models.ForeignKey("billing.Subscription", models.CASCADE, related_name="extensions")
    days = models.PositiveSmallIntegerField(_("days"))
    ends_before = models.DateTimeField(_("end before"))
    ends_after = models.DateTimeField(_("end after"))
    via = models.CharField(_("how"), max_length=5, choices=Via)
    reason = models.CharField(_("reason"), max_length=10, choices=Reason)
    note = models.CharField(_("note"), max_length=500, blank=True)
    #: Days with activity on this trial when it was extended, and whether that counted as really using it.
    active_days = models.PositiveSmallIntegerField(_("days with activity"), default=0)
    is_engaged = models.BooleanField(_("really uses it"), default=False)
    actor = models.CharField(_("by"), max_length=10, choices=Event.Actor)
    actor_ref = models.CharField(max_length=26, blank=True)
    created_at = models.DateTimeField(_("on"))

    class Meta:
        verbose_name = _("extension of a trial")
        verbose_name_plural = _("extensions of trials")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="trial_extension_adds", condition=Q(days__gte=1, ends_after__gt=F("ends_before"))
            ),
            models.CheckConstraint(
                name="trial_extension_has_actor_and_reason", condition=~Q(actor="") & ~Q(reason="")
            ),
        ]
        indexes = [models.Index(fields=["account", "-created_at"], name="trial_extension_account")]

    def __str__(self) -> str:
        return f"+{self.days} {self.ends_after:%Y-%m-%d}"


class TrialRequestQuerySet(models.QuerySet["TrialRequest"]):
    """Questions about requests."""

    def open(self) -> "TrialRequestQuerySet":
        """Waiting for somebody's answer."""
        return self.filter(state=TrialRequest.State.OPEN)


class TrialRequest(models.Model):
    """Someone asks for more time than the terms give by themselves; the clock stands still meanwhile."""

    class State(models.TextChoices):
        OPEN = "open", _("waits for an answer")
        GRANTED = "granted", _("granted")
        DECLINED = "declined", _("declined")
        LAPSED = "lapsed", _("not needed any more")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="trial_requests")
    subscription = models.ForeignKey("billing.Subscription", models.CASCADE, related_name="trial_requests")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("asked by")
    )
    text = models.TextField(_("what they are trying to do"), max_length=2000, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.OPEN)
    hold = models.ForeignKey(
        "accounts.Hold", models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("hold")
    )
    #: Until when the clock stands still for it; an answer is promised by then.
    answer_by = models.DateTimeField(_("answer by"))
    answer = models.TextField(_("answer"), max_length=2000, blank=True)
    created_at = models.DateTimeField(_("asked"))
    closed_at = models.DateTimeField(_("answered"), null=True, blank=True)

    objects = TrialRequestQuerySet.as_manager()

    class Meta:
        verbose_name = _("request for more time")
        verbose_name_plural = _("requests for more time")
        ordering = ["created_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                name="trial_request_one_open", fields=["account"], condition=Q(state="open")
            ),
            models.CheckConstraint(
                name="trial_request_closed_has_date", condition=Q(state="open") | Q(closed_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return str(self.account)


class TrialAllowance(models.Model):
    """Support allows one more trial to an account whose people or card have had theirs."""

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="trial_allowances")
    note = models.CharField(_("why"), max_length=200)
    allowed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by")
    )
    created_at = models.DateTimeField(_("on"))
    used_at = models.DateTimeField(_("used"), null=True, blank=True)

    class Meta:
        verbose_name = _("allowance of another trial")
        verbose_name_plural = _("allowances of other trials")
        constraints = [
            models.UniqueConstraint(
                name="trial_allowance_one_open", fields=["account"], condition=Q(used_at=None)
            )
        ]

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d}"
