"""What an account is subscribed to: our narrow facts, written from the provider's re-fetched object."""

import datetime as dt
from typing import ClassVar

from django.db import models
from django.db.models import F, FilteredRelation, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id
from billing.models.price import PlannedPrice


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    """Questions about subscriptions."""

    def live(self) -> "SubscriptionQuerySet":
        """Those that give access now or may bill again; at most one per account."""
        return self.filter(status__in=Subscription.LIVE)

    def with_planned_price(self) -> "SubscriptionQuerySet":
        """Each with what is planned of its price, for `planned_price`; no query more."""
        is_open = Q(planned_prices__state__in=PlannedPrice.OPEN)
        return self.annotate(
            open_price=FilteredRelation("planned_prices", condition=is_open),
            new_price_at=F("open_price__takes_at"),
            price_before=F("open_price__amount_before"),
            price_after=F("open_price__amount_after"),
        )


class Subscription(models.Model):
    """One subscription. Without `provider_id` it is local: the free plan, or a trial without card."""

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete", _("waiting for the first payment")
        TRIALING = "trialing", _("trial")
        ACTIVE = "active", _("active")
        PAST_DUE = "past_due", _("payment overdue")
        UNPAID = "unpaid", _("unpaid")
        PAUSED = "paused", _("paused")
        CANCELED = "canceled", _("ended")
        EXPIRED = "incomplete_expired", _("never started")

    LIVE: ClassVar[tuple[str, ...]] = ("trialing", "active", "past_due", "unpaid", "paused")

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="subscriptions")
    plan = models.ForeignKey("billing.Plan", models.PROTECT, related_name="subscriptions")
    provider_id = models.CharField(max_length=60, unique=True, null=True, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=Status)
    started_at = models.DateTimeField(_("started"))
    period_start = models.DateTimeField(_("period from"), null=True, blank=True)
    period_end = models.DateTimeField(_("period to"), null=True, blank=True)
    trial_end = models.DateTimeField(_("trial ends"), null=True, blank=True)
    #: The end as it was last granted, and when: holds since then have moved `trial_end` from there. Of a
    #: trial that only we know of, `period_end` is the last moment of full access, grace included.
    trial_granted_end = models.DateTimeField(_("trial end as granted"), null=True, blank=True)
    trial_granted_at = models.DateTimeField(_("trial end granted on"), null=True, blank=True)
    first_paid_at = models.DateTimeField(null=True, blank=True)
    cancel_at = models.DateTimeField(_("will end"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    #: What the provider was last told, counted: an answer to an older version decides nothing.
    desired_version = models.PositiveIntegerField(default=0)
    synced_at = models.DateTimeField(null=True, blank=True)

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        constraints = [
            models.UniqueConstraint(
                name="subscription_one_live_per_account",
                fields=["account"],
                condition=Q(status__in=["trialing", "active", "past_due", "unpaid", "paused"]),
            ),
            models.CheckConstraint(
                name="subscription_ended_has_date",
                condition=~Q(status="canceled") | Q(ended_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["period_end"], name="subscription_period_end"),
            # Trials from before there was a calendar: none, once they were planned.
            models.Index(
                fields=["trial_end"],
                name="subscription_trial_unplanned",
                condition=Q(status="trialing", trial_granted_end=None),
            ),
        ]

    def __str__(self) -> str:
        return self.provider_id or self.public_id

    @property
    def is_live(self) -> bool:
        """Whether it gives access or may still bill."""
        return self.status in self.LIVE

    @property
    def is_local(self) -> bool:
        """Whether the provider knows nothing of it: nothing is billed and nothing has to be told."""
        return self.provider_id is None

    @property
    def is_free_time(self) -> bool:
        """Its end was moved: the provider says "trialing" then too, but whoever has paid is not on trial."""
        return self.status == self.Status.TRIALING and self.first_paid_at is not None

    @property
    def renews_at(self) -> dt.datetime | None:
        """When the next charge is due, or None when none will come."""
        if self.is_local or not self.is_live or self.cancel_at:
            return None
        return self.period_end

    @property
    def planned_price(self) -> PlannedPrice | None:
        """The price that is planned for a renewal to come. One query, unless read `with_planned_price`."""
        if "new_price_at" not in vars(self):
            return self.planned_prices.open().first()
        read = vars(self)
        if read["new_price_at"] is None:
            return None
        return PlannedPrice(
            subscription=self,
            takes_at=read["new_price_at"],
            amount_before=read["price_before"],
            amount_after=read["price_after"],
            currency=self.plan.currency,
        )

    @property
    def price_at_renewal(self) -> int:
        """What the next renewal will be charged, before tax, discounts and credit."""
        planned = self.planned_price
        is_next = planned is not None and planned.takes_at == self.period_end
        return planned.amount_after if planned is not None and is_next else self.plan.amount

    @property
    def price_today(self) -> int:
        """What a charge before the next renewal would be: the old price until then."""
        planned = self.planned_price
        return planned.amount_before if planned is not None else self.plan.amount


class PauseQuerySet(models.QuerySet["Pause"]):
    """Questions about pauses."""

    def due(self, at: dt.datetime) -> "PauseQuerySet":
        """Agreed, and the day has come on which charging and access resume."""
        return self.filter(status=Pause.Status.PLANNED, resumes_at__lte=at)


class Pause(models.Model):
    """A stretch without billing, agreed while leaving was considered; it ends by itself on a stated date."""

    class Status(models.TextChoices):
        PLANNED = "planned", _("agreed")
        ENDED = "ended", _("over")
        CANCELLED = "cancelled", _("given up")

    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="pauses")
    status = models.CharField(max_length=10, choices=Status, default=Status.PLANNED)
    starts_at = models.DateTimeField()
    resumes_at = models.DateTimeField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = PauseQuerySet.as_manager()

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        constraints = [
            models.UniqueConstraint(
                name="pause_one_open", fields=["subscription"], condition=Q(status="planned")
            ),
            models.CheckConstraint(
                name="pause_has_length", condition=Q(resumes_at__gt=models.F("starts_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d} – {self.resumes_at:%Y-%m-%d}"
