"""A stop of the clock that staff puts on an account, always with an end."""

import datetime as dt

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id


class HoldQuerySet(models.QuerySet["Hold"]):
    """Questions about holds."""

    def open_at(self, at: dt.datetime) -> "HoldQuerySet":
        """The clock stands still at this moment."""
        return self.filter(starts_at__lte=at, ends_at__gt=at)


class Hold(models.Model):
    """While it is open no reminder leaves and no harsher step is taken; later dates move by its length.

    One kind for all cases; `reason` says which. Ending it early sets `ends_at` to that moment, so
    that the interval is always what really stood still.
    """

    class Reason(models.TextChoices):
        CONVERSATION = "conversation", _("we are talking with them")
        PROMISE = "promise", _("they promised to pay")
        DISPUTE = "dispute", _("they dispute a charge")
        REQUEST = "request", _("they asked for more time")

    class Ended(models.TextChoices):
        """Why one is ended before its time; told in the history."""

        SETTLED = "settled", _("the matter is settled")
        ASKED = "asked", _("it was asked for")
        MISTAKE = "mistake", _("it was placed by mistake")
        ANSWERED = "answered", _("the request for more time was answered")
        OTHER = "other", _("something else")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="holds", db_index=False)
    reason = models.CharField(_("reason"), max_length=12, choices=Reason)
    note = models.CharField(_("note"), max_length=500, blank=True)
    starts_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by")
    )
    created_at = models.DateTimeField()

    objects = HoldQuerySet.as_manager()

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.CheckConstraint(name="hold_has_an_end", condition=Q(ends_at__gte=F("starts_at"))),
        ]
        indexes = [models.Index(fields=["account", "ends_at"], name="hold_of_account")]

    def __str__(self) -> str:
        return f"{self.get_reason_display()}, {self.ends_at:%Y-%m-%d}"
