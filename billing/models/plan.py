"""What can be bought."""

import datetime as dt
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.models.price import PriceChange
from billing.models.subscription import Subscription

if TYPE_CHECKING:
    from accounts.models import Account

#: A card network wants a week's notice before the first charge after a trial (rule visa).
LEAST_DAYS_WITH_CARD = 8


class PlanQuerySet(models.QuerySet["Plan"]):
    """Questions about plans."""

    def open_to(self, account: "Account", at: dt.datetime) -> "PlanQuerySet":
        """What this account can choose now: what is on offer, and the plan that they are on, at its price."""
        own = Subscription.objects.live().filter(account=account).values("plan")
        offered = self.on_offer(account.currency)
        return offered.filter(Q(pk__in=offered.priced_at(at).values("pk")) | Q(pk__in=own))

    def on_offer(self, currency: str) -> "PlanQuerySet":
        """What a new customer in this currency can choose, the free plan included."""
        return self.filter(Q(currency=currency) | Q(amount=0), is_active=True).order_by("amount", "pk")

    def priced_at(self, at: dt.datetime) -> "PlanQuerySet":
        """At the prices of this moment: without those that gave way to another, or do not hold yet."""
        holds = Q(price_change__withdrawn_at=None, price_change__effective_from__lte=at)
        gave_way = PriceChange.objects.standing().filter(from_plan=OuterRef("pk"), effective_from__lte=at)
        return self.filter(Q(price_change=None) | holds, ~Exists(gave_way))


class Plan(models.Model):
    """A plan in one currency and rhythm: its price at the provider. Amount 0 is the free plan."""

    class Interval(models.TextChoices):
        MONTH = "month", _("month")
        YEAR = "year", _("year")

    code = models.SlugField(_("code"), max_length=40, unique=True)
    name_en = models.CharField(_("name (English)"), max_length=80)
    name_es = models.CharField(_("name (Spanish)"), max_length=80)
    summary_en = models.CharField(_("summary (English)"), max_length=200, blank=True)
    summary_es = models.CharField(_("summary (Spanish)"), max_length=200, blank=True)
    amount = models.PositiveBigIntegerField(_("price in minor units"))
    currency = models.CharField(_("currency"), max_length=3)
    interval = models.CharField(_("rhythm"), max_length=5, choices=Interval, default=Interval.MONTH)
    trial_days = models.PositiveSmallIntegerField(_("trial days"), default=0)
    trial_needs_card = models.BooleanField(_("the trial needs a card"), default=False)
    provider_price = models.CharField(_("price at the provider"), max_length=60, blank=True)
    is_active = models.BooleanField(_("on offer"), default=True)

    objects = PlanQuerySet.as_manager()

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        constraints = [
            models.CheckConstraint(name="plan_paid_has_price", condition=Q(amount=0) | ~Q(provider_price="")),
            models.CheckConstraint(name="plan_free_has_no_trial", condition=~Q(amount=0) | Q(trial_days=0)),
            models.CheckConstraint(
                name="plan_trial_with_card_at_least_8_days",
                condition=Q(trial_needs_card=False)
                | Q(trial_days=0)
                | Q(trial_days__gte=LEAST_DAYS_WITH_CARD),
            ),
            models.UniqueConstraint(
                name="plan_price_once", fields=["provider_price"], condition=~Q(provider_price="")
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a trial with a card that no reminder could announce in time, saying why."""
        if self.trial_needs_card and 0 < self.trial_days < LEAST_DAYS_WITH_CARD:
            raise ValidationError(
                {
                    "trial_days": _(
                        "A trial that needs a card lasts at least %(days)d days: the first charge has to be "
                        "announced a week before."
                    )
                    % {"days": LEAST_DAYS_WITH_CARD}
                }
            )

    @property
    def name(self) -> str:
        """The name in the reader's language."""
        return self.name_es if (get_language() or "en").startswith("es") else self.name_en

    @property
    def summary(self) -> str:
        """One line about it in the reader's language."""
        return self.summary_es if (get_language() or "en").startswith("es") else self.summary_en

    @property
    def is_free(self) -> bool:
        """A free plan never bills, never expires and never freezes."""
        return self.amount == 0
