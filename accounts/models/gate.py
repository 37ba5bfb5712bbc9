"""What the gate knows beside the account: keys of machines, and the days on which it let somebody in."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts import copies

if TYPE_CHECKING:
    from accounts.models.account import Account


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    """Questions about keys."""

    def update(self, **columns: Any) -> int:
        """Also ends this process's copies of who may get in, where a key is revoked."""
        if "revoked_at" in columns:
            copies.forget()
        return super().update(**columns)

    def live(self) -> "ApiKeyQuerySet":
        """Those that still open something."""
        return self.filter(revoked_at=None)


class ApiKey(models.Model):
    """A secret with which a machine shows that it acts for an account; only its hash is stored."""

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="api_keys", db_index=False)
    name = models.CharField(_("what it is for"), max_length=80)
    #: The public beginning, by which people tell keys apart.
    prefix = models.CharField(_("begins with"), max_length=16)
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(_("made"))
    last_used_on = models.DateField(_("last used"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = pgettext_lazy("how many there are", "API keys")
        indexes = [models.Index(fields=["account", "-created_at"], name="api_key_account")]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class ActivityDayQuerySet(models.QuerySet["ActivityDay"]):
    """Questions about use."""

    def active_days(self, account: "Account", since: dt.date) -> "ActivityDayQuerySet":
        """The days from `since` on (in the account's own zone) on which the gate let somebody in."""
        return self.filter(account=account, day__gte=since)


class ActivityDay(models.Model):
    """The account was used on this day of its own calendar: one row, however often."""

    account = models.ForeignKey(
        "accounts.Account", models.CASCADE, related_name="activity_days", db_index=False
    )
    day = models.DateField(_("day"))

    objects = ActivityDayQuerySet.as_manager()

    class Meta:
        verbose_name = _("day with activity")
        verbose_name_plural = _("days with activity")
        constraints = [models.UniqueConstraint(fields=["account", "day"], name="activity_day_once")]

    def __str__(self) -> str:
        return f"{self.day}"
