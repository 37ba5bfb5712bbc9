"""Why people leave, in their own words, and what was offered to them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _


class ExitReason(models.Model):
    """One reason in the list, editable by staff; `offer` is what could help with it."""

    class Offer(models.TextChoices):
        NONE = "", _("nothing")
        FREE_DAYS = "free_days", _("free days")
        PAUSE = "pause", _("a pause")
        PLAN = "plan", _("another plan")
        CALL = "call", _("a call")

    code = models.SlugField(max_length=30, unique=True)
    label_en = models.CharField(_("English"), max_length=120)
    label_es = models.CharField(_("Spanish"), max_length=120)
    offer = models.CharField(_("offer"), max_length=10, choices=Offer, blank=True)
    position = models.PositiveSmallIntegerField(_("position"), default=0)
    is_active = models.BooleanField(_("shown"), default=True)

    class Meta:
        verbose_name = _("exit reason")
        verbose_name_plural = _("exit reasons")
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The reason in the reader's language."""
        return self.label_es if (get_language() or "en").startswith("es") else self.label_en


class ExitSurvey(models.Model):
    """The answers, each optional; saved after the receipt, never before it (C9)."""

    class Usage(models.TextChoices):
        HIGH = "high", _("High: I used it a lot")
        MEDIUM = "medium", _("Medium: now and then")
        LOW = "low", _("Low: I hardly used it")

    cancellation = models.OneToOneField("offboarding.Cancellation", models.CASCADE, related_name="survey")
    reason = models.ForeignKey(
        ExitReason,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="surveys",
        verbose_name=_("What is the main reason?"),
    )
    problem = models.TextField(_("What problem were you trying to solve?"), blank=True, max_length=2000)
    expectation = models.TextField(
        _("Why do you feel you did not get what you thought you were buying?"), blank=True, max_length=2000
    )
    usage = models.CharField(_("Did you give it a real chance?"), max_length=6, choices=Usage, blank=True)
    change = models.TextField(
        _("What would you change to attract more people like you?"), blank=True, max_length=2000
    )
    wants_call = models.BooleanField(_("I would like a short call"), default=False)
    call_when = models.CharField(_("When suits you?"), max_length=120, blank=True)
    wants_news = models.BooleanField(_("Tell me by e-mail when things change"), default=False)
    answered_at = models.DateTimeField(_("answered"))

    class Meta:
        verbose_name = _("exit survey")
        verbose_name_plural = _("exit surveys")

    def __str__(self) -> str:
        return f"{self.cancellation_id}"


class Offer(models.Model):
    """Something shown beside a live "no, continue"; taking it is recorded, and so is passing by."""

    class Status(models.TextChoices):
        SHOWN = "shown", _("shown")
        TAKEN = "taken", _("taken")

    cancellation = models.ForeignKey(
        "offboarding.Cancellation", models.CASCADE, related_name="offers", db_index=False
    )
    kind = models.CharField(max_length=10, choices=[c for c in ExitReason.Offer.choices if c[0]])
    status = models.CharField(max_length=6, choices=Status, default=Status.SHOWN)
    shown_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("offer")
        verbose_name_plural = _("offers")
        constraints = [
            models.UniqueConstraint(name="offer_once", fields=["cancellation", "kind"]),
            models.CheckConstraint(
                name="offer_taken_has_date", condition=~Q(status="taken") | Q(taken_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.kind
