"""The published terms: one versioned row drives every date and every amount."""

import datetime as dt
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise


def days(
    label: "StrOrPromise", default: int, least: int = 0, most: int = 3650
) -> "models.PositiveSmallIntegerField[int, int]":
    """A whole number of days (or hours, or times) between two bounds."""
    return models.PositiveSmallIntegerField(
        label, default=default, validators=[MinValueValidator(least), MaxValueValidator(most)]
    )


def default_attempt_days() -> list[int]:
    """Days on which a failed payment is tried again, unless the company decides otherwise."""
    return [3, 6, 10]


#: Nobody is blocked without a mail that is at least three days old (T2).
LEAST_BLOCK_DAY = 4


class TermsQuerySet(models.QuerySet["Terms"]):
    """Questions about versions."""

    def published(self) -> "TermsQuerySet":
        """Versions that the public may read, in force or announced."""
        return self.exclude(published_at=None)

    def in_force(self, at: dt.datetime) -> "Terms":
        """The newest version in force at this moment; raises `Terms.DoesNotExist` where there is none."""
        return self.published().filter(in_force_from__lte=at).order_by("-in_force_from", "-version")[:1].get()


class Terms(models.Model):
    """One version of the terms. Once published the database refuses to change or delete it."""

    class After(models.TextChoices):
        PRO_RATA = "pro_rata", _("the unused part")
        NONE = "none", _("nothing")

    class OpenInvoice(models.TextChoices):
        VOID = "void", _("cancelled, nothing is owed")
        USED_PART = "used_part", _("reduced to the part that was used")
        FULL = "full", _("owed in full")

    class TrialEnd(models.TextChoices):
        FREEZE = "freeze", _("access is frozen")
        FREE_PLAN = "free_plan", _("the account moves to the free plan")

    class DunningEnd(models.TextChoices):
        FREEZE = "freeze", _("access is frozen")
        CANCEL = "cancel", _("the subscription ends")
        FREE_PLAN = "free_plan", _("the account moves to the free plan")
        KEEP = "keep", _("nothing happens by itself")

    version = models.PositiveIntegerField(_("version"), unique=True)
    in_force_from = models.DateTimeField(_("in force from"))
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    # Trials
    trial_grace_days = days(_("days of grace after a trial"), 11)
    trial_end_plan = models.CharField(
        _("what happens after a trial without a plan"), max_length=10, choices=TrialEnd, default="freeze"
    )
    trial_extension_days = days(_("days a trial can be extended by oneself"), 7, most=90)
    trial_extension_engaged_days = days(_("days for those who really use it"), 14, most=90)
    engaged_days = days(_("days with activity that count as really using it"), 3, least=1, most=60)
    trial_extensions_max = days(_("how often"), 1, most=12)
    trial_card_days = days(_("more days of trial for adding a card"), 0, most=90)
    # Failed payments
    dunning_attempt_days = models.JSONField(
        _("days on which a failed payment is tried again"), default=default_attempt_days
    )
    dunning_block_after = days(_("failures after which access is blocked"), 2, least=1, most=10)
    dunning_grace_days = days(_("days of access after a failed payment"), 7)
    dunning_choose_days = days(
        _("days within which a customer can choose the day of an attempt"), 14, most=60
    )
    dunning_end = models.CharField(
        _("what happens in the end"), max_length=10, choices=DunningEnd, default="freeze"
    )
    open_invoice = models.CharField(
        _("an unpaid invoice when leaving"), max_length=10, choices=OpenInvoice, default="void"
    )
    # When we help
    charge_move_days = days(_("days by which a charge or the end of a trial can be moved"), 30, most=120)
    hold_max_days = days(_("days for which everything can be held"), 30, least=1, most=120)
    # Refunds
    refund_full_days = days(_("days after a payment with full refund"), 14)
    refund_after = models.CharField(_("refund later"), max_length=10, choices=After, default="pro_rata")
    refund_keeps_access = models.BooleanField(
        _("a full refund leaves access on to the period's end"), default=True
    )
    refund_once_per_months = days(_("months between two voluntary refunds"), 12, most=120)
    refund_arrival_days = days(_("days until a refund arrives"), 10, least=1, most=60)
    # Free days, pauses, offers
    free_days = days(_("free days before deciding"), 14, most=90)
    free_days_claim_days = days(_("days to claim the refund after free days"), 14, least=14, most=180)
    pause_max_months = days(_("longest pause in months"), 3, most=12)
    pause_per_months = days(_("months between two pauses"), 12, most=120)
    pause_notice_days = days(_("days of notice before a pause ends"), 7, least=1, most=60)
    offers_call = models.BooleanField(_("a call is offered"), default=True)
    # Data
    team_hold_hours = days(_("hours in which another owner can stop a deletion"), 72, least=72, most=720)
    deletion_days = days(_("days until data is deleted when asked for"), 3, least=1, most=30)
    retrieval_days = days(_("days in which data can be fetched after the end"), 30, least=30)
    retention_days = days(_("days until data is deleted after the end"), 180, least=30)
    export_days = days(_("days a download stays available"), 7, least=1, most=90)

    objects = TermsQuerySet.as_manager()

    PURGE_NOTICE_DAYS: ClassVar[tuple[int, ...]] = (30, 7, 1)

    class Meta:
        verbose_name = _("terms")
        verbose_name_plural = _("terms")
        ordering = ["-version"]
        constraints = [
            models.CheckConstraint(
                name="terms_retention_covers_retrieval",
                condition=Q(retention_days__gte=models.F("retrieval_days")),
            ),
            models.CheckConstraint(
                name="terms_retrieval_at_least_30_days", condition=Q(retrieval_days__gte=30)
            ),
            models.CheckConstraint(
                name="terms_team_hold_at_least_72_hours", condition=Q(team_hold_hours__gte=72)
            ),
            models.CheckConstraint(
                name="terms_claim_at_least_14_days", condition=Q(free_days_claim_days__gte=14)
            ),
            models.CheckConstraint(
                name="terms_trial_grace", condition=Q(trial_grace_days=0) | Q(trial_grace_days__gte=11)
            ),
        ]

    def __str__(self) -> str:
        return f"v{self.version}"

    def clean(self) -> None:
        """Refuse rules that contradict each other or the law, saying which and why."""
        found: dict[str, StrOrPromise] = {}
        if 0 < self.trial_grace_days < 11:
            found["trial_grace_days"] = _("Either 0 (no grace) or at least 11 days: the reminders need them.")
        if self.retention_days < self.retrieval_days:
            found["retention_days"] = _("Data cannot be deleted before the days to fetch it are over.")
        if self.trial_extension_engaged_days < self.trial_extension_days:
            found["trial_extension_engaged_days"] = _("Not fewer days than everyone else gets.")
        found |= self._dunning_faults()
        if found:
            raise ValidationError(found)

    @property
    def dunning_block_day(self) -> int:
        """Days after the first failure on which access is blocked: the day after the Nth at the earliest.

        The first failure is day 0 and counts as one.
        """
        failures: list[int] = [0, *self.dunning_attempt_days]
        nth = failures[min(self.dunning_block_after, len(failures)) - 1]
        return max(nth + 1, int(self.dunning_grace_days))

    @property
    def dunning_end_day(self) -> int:
        """Days after the first failure on which all of it ends: the day after the last attempt."""
        attempts: list[int] = [0, *self.dunning_attempt_days]
        return max(max(attempts) + 1, self.dunning_block_day)

    def _dunning_faults(self) -> "dict[str, StrOrPromise]":
        """Attempts that do not fit: a harsher step has a retry the day before and 3 days' notice (T2)."""
        tries = self.dunning_attempt_days
        if (
            not isinstance(tries, list)
            or not tries
            or not all(isinstance(d, int) and not isinstance(d, bool) for d in tries)
        ):
            return {"dunning_attempt_days": _("A list of whole days after the due date, such as [3, 6, 10].")}
        if tries != sorted(set(tries)) or any(d < 1 or d > 30 for d in tries):
            return {"dunning_attempt_days": _("Each day once, in order, between 1 and 30.")}
        if len(tries) + 1 < self.dunning_block_after:
            return {
                "dunning_block_after": _(
                    "More failures than there are attempts: access would never be blocked."
                )
            }
        if self.dunning_block_day < LEAST_BLOCK_DAY:
            return {
                "dunning_grace_days": _(
                    "Access would be blocked on day %(day)d: nobody is blocked before day %(least)d, "
                    "so that the first mail is at least 3 days old."
                )
                % {"day": self.dunning_block_day, "least": LEAST_BLOCK_DAY}
            }
        if self.dunning_block_day - 1 not in tries:
            return {
                "dunning_attempt_days": _(
                    "Access would be blocked on day %(day)d: there has to be an attempt the day before."
                )
                % {"day": self.dunning_block_day}
            }
        return {}


class TermsText(models.Model):
    """The words of a version as someone accepted them: what an acceptance's hash stands for.

    The sentences are made by the program, so a later release may word them better; the words that
    were accepted stay.
    """

    text_hash = models.CharField(max_length=64, unique=True)
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="texts")
    language = models.CharField(max_length=5)
    text = models.TextField(_("text"))

    class Meta:
        verbose_name = _("accepted text")
        verbose_name_plural = _("accepted texts")

    def __str__(self) -> str:
        return f"v{self.terms_id} {self.language}"


class Acceptance(models.Model):
    """An account accepted a version: when, in which language, and the hash of the text it saw."""

    account = models.ForeignKey(
        "accounts.Account", models.CASCADE, related_name="acceptances", db_index=False
    )
    terms = models.ForeignKey(Terms, models.PROTECT, related_name="acceptances")
    accepted_at = models.DateTimeField()
    accepted_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    language = models.CharField(max_length=5)
    text_hash = models.CharField(max_length=64)
    immediate_start = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("acceptance")
        verbose_name_plural = _("acceptances")
        constraints = [models.UniqueConstraint(fields=["account", "terms"], name="acceptance_once")]

    def __str__(self) -> str:
        return f"{self.account_id} v{self.terms_id}"
