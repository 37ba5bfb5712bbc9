"""An unpaid invoice that is being chased, and each of our own attempts to charge it."""

import datetime as dt

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id
from accounts.models import Terms


class DunningCaseQuerySet(models.QuerySet["DunningCase"]):
    """Questions about cases."""

    def running(self) -> "DunningCaseQuerySet":
        """Still on their way: something is to come by itself."""
        return self.filter(status=DunningCase.Status.OPEN)

    def unpaid(self) -> "DunningCaseQuerySet":
        """Running, or ended without being paid: whoever pays now gets everything back."""
        return self.filter(status__in=(DunningCase.Status.OPEN, DunningCase.Status.ENDED))

    def due(self, at: dt.datetime) -> "DunningCaseQuerySet":
        """Their next step has come."""
        return self.running().filter(next_at__lte=at)

    def is_any_due(self, at: dt.datetime) -> bool:
        """Whether one is due, by the first entry of its index: quick, also before a vacuum came."""
        first = self.running().order_by("next_at").values_list("next_at", flat=True).first()
        return first is not None and first <= at


class DunningCase(models.Model):
    """What follows from one failed payment; one for each unpaid invoice.

    `plan` holds the steps that are left as [key, day], the next one first; `next_step` and `next_at`
    repeat that one for the sweep. `block_at` and `end_at` are what the customer was told; they change
    only when a chosen day or a hold moves them.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("running")
        PAID = "paid", _("paid")
        ENDED = "ended", _("ended without payment")
        LEFT = "left", _("stopped: they are leaving")
        WRITTEN_OFF = "written_off", _("written off")
        VOID = "void", _("nothing is owed any more")

    class NextStep(models.TextChoices):
        ATTEMPT = "attempt", _("an attempt")
        BLOCK = "block", _("access ends")
        END = "end", _("the end")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey(
        "accounts.Account", models.CASCADE, related_name="dunning_cases", db_index=False
    )
    invoice = models.OneToOneField("billing.Invoice", models.CASCADE, related_name="dunning_case")
    #: The rules under which it was opened hold to its end.
    terms = models.ForeignKey("accounts.Terms", models.PROTECT, related_name="+")
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.OPEN)
    opened_at = models.DateTimeField(_("first failure"))
    #: When the first mail was owed: the same moment, unless news of the failure came late.
    told_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(_("failures"), default=1)
    #: The bank's code for the last failure, and the card that it was about.
    decline = models.CharField(_("last refusal"), max_length=60, blank=True)
    card_id = models.CharField(max_length=60, blank=True)
    plan = models.JSONField(default=list)
    next_step = models.CharField(_("next"), max_length=8, choices=NextStep, blank=True)
    next_at = models.DateTimeField(_("when"), null=True, blank=True)
    last_step_on = models.DateField(null=True, blank=True)
    block_at = models.DateTimeField(_("access ends"))
    end_at = models.DateTimeField(_("all of it ends"))
    blocked_at = models.DateTimeField(_("blocked"), null=True, blank=True)
    chosen_on = models.DateField(_("chosen day"), null=True, blank=True)
    chosen_made_at = models.DateTimeField(null=True, blank=True)
    end_action = models.CharField(_("what the end was"), max_length=10, choices=Terms.DunningEnd, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_reason = models.CharField(_("why"), max_length=200, blank=True)

    objects = DunningCaseQuerySet.as_manager()

    class Meta:
        verbose_name = _("unpaid invoice")
        verbose_name_plural = _("unpaid invoices")
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="dunning_open_has_next", condition=~Q(status="open") | Q(next_at__isnull=False)
            ),
            models.CheckConstraint(
                name="dunning_closed_has_date", condition=Q(status="open") | Q(closed_at__isnull=False)
            ),
            models.CheckConstraint(
                name="dunning_ended_has_action", condition=~Q(status="ended") | ~Q(end_action="")
            ),
            models.CheckConstraint(name="dunning_block_then_end", condition=Q(end_at__gte=F("block_at"))),
            models.CheckConstraint(
                name="dunning_chosen_once_with_its_moment",
                condition=Q(chosen_on=None, chosen_made_at=None)
                | Q(chosen_on__isnull=False, chosen_made_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="dunning_due", condition=Q(status="open")),
            models.Index(fields=["account", "status"], name="dunning_of_account"),
        ]

    def __str__(self) -> str:
        return str(self.invoice)

    @property
    def ref(self) -> str:
        """How the history names it."""
        return f"dunning:{self.public_id}"

    @property
    def about(self) -> str:
        """What its mails are about: the invoice, so that the newest word about it counts."""
        return f"invoice:{self.invoice.provider_id}"

    @property
    def is_running(self) -> bool:
        """Whether something is to come by itself."""
        return self.status == self.Status.OPEN


class DunningAttempt(models.Model):
    """One attempt of ours. The provider counts none of them, so these rows are the count."""

    class Outcome(models.TextChoices):
        SENT = "sent", _("under way")
        PAID = "paid", _("paid")
        DECLINED = "declined", _("refused")
        SKIPPED = "skipped", _("left out")
        OVERTAKEN = "overtaken", _("not needed any more")

    case = models.ForeignKey(DunningCase, models.CASCADE, related_name="attempts", db_index=False)
    at = models.DateTimeField(_("when"))
    day = models.DateField()
    outcome = models.CharField(_("what came of it"), max_length=10, choices=Outcome, default=Outcome.SENT)
    #: The bank's code, or why it was left out.
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    card_id = models.CharField(max_length=60, blank=True)
    instruction = models.OneToOneField(
        "billing.Instruction", models.SET_NULL, null=True, blank=True, related_name="dunning_attempt"
    )

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ["at", "pk"]
        constraints = [
            models.UniqueConstraint(name="dunning_one_attempt_a_day", fields=["case", "day"]),
            models.CheckConstraint(
                name="dunning_skipped_has_reason", condition=~Q(outcome="skipped") | ~Q(reason="")
            ),
        ]
        indexes = [models.Index(fields=["card_id", "at"], name="dunning_card_tries")]

    def __str__(self) -> str:
        return f"{self.day} {self.outcome}"
