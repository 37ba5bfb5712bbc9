"""A plan's price that changes, and what each subscription will be charged from which renewal on."""

import datetime as dt
from typing import Any

from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import new_id
from accounts.models import Event


class PriceChangeQuerySet(models.QuerySet["PriceChange"]):
    """Questions about price changes."""

    def standing(self) -> "PriceChangeQuerySet":
        """Not withdrawn: they hold for every subscription of their plan that is still at the old price."""
        return self.filter(withdrawn_at=None)

    def to_spread(self) -> "PriceChangeQuerySet":
        """Not every subscription of the plan has been looked at yet."""
        return self.standing().filter(spread_at=None)

    def to_take_back(self) -> "PriceChangeQuerySet":
        """Withdrawn, and some subscription has not heard of it yet."""
        rows = PlannedPrice.objects.open().filter(change=OuterRef("pk"))
        return self.filter(Exists(rows), withdrawn_at__isnull=False)


class PriceChange(models.Model):
    """From a day on one plan costs something else: a price of the provider's never changes, so another
    plan row takes the place of the old one.

    New customers pay the new price from that day. Who is subscribed pays it from the first renewal after
    it that could be announced in time (`PlannedPrice`). Nothing of it changes afterwards; it is withdrawn.
    """

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    from_plan = models.ForeignKey(
        "billing.Plan", models.PROTECT, related_name="price_changes", verbose_name=_("plan")
    )
    to_plan = models.OneToOneField(
        "billing.Plan", models.PROTECT, related_name="price_change", verbose_name=_("plan at the new price")
    )
    effective_from = models.DateTimeField(_("for renewals from"))
    reason = models.CharField(_("why"), max_length=200)
    actor = models.CharField(_("by"), max_length=10, choices=Event.Actor)
    actor_ref = models.CharField(max_length=26, blank=True)
    created_at = models.DateTimeField(_("planned on"))
    withdrawn_at = models.DateTimeField(_("withdrawn on"), null=True, blank=True)
    withdrawn_by = models.CharField(max_length=26, blank=True)
    withdrawn_reason = models.CharField(_("why withdrawn"), max_length=200, blank=True)
    #: How far the first round over the plan's subscriptions has come (their key), and when it was done.
    spread_to = models.BigIntegerField(default=0)
    spread_at = models.DateTimeField(null=True, blank=True)

    objects = PriceChangeQuerySet.as_manager()

    class Meta:
        verbose_name = _("price change")
        verbose_name_plural = _("price changes")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="price_change_one_standing", fields=["from_plan"], condition=Q(withdrawn_at=None)
            ),
            models.CheckConstraint(
                name="price_change_has_actor_and_reason", condition=~Q(actor="") & ~Q(reason="")
            ),
            models.CheckConstraint(
                name="price_change_withdrawn_has_reason",
                condition=Q(withdrawn_at=None) | (~Q(withdrawn_by="") & ~Q(withdrawn_reason="")),
            ),
            models.CheckConstraint(name="price_change_of_two_plans", condition=~Q(from_plan=F("to_plan"))),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                name="price_change_to_spread",
                condition=Q(withdrawn_at=None, spread_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.from_plan.code} → {self.to_plan.code}"

    @property
    def is_rise(self) -> bool:
        """Whether it costs more: only that has to be announced as the law says."""
        return self.to_plan.amount > self.from_plan.amount


class PlannedPriceQuerySet(models.QuerySet["PlannedPrice"]):
    """Questions about planned prices."""

    def open(self) -> "PlannedPriceQuerySet":
        """Still to come; at most one for each subscription."""
        return self.filter(state__in=PlannedPrice.OPEN)

    def due(self, at: dt.datetime) -> "PlannedPriceQuerySet":
        """Something has to be looked at: the renewal is near, has been, or something about it moved."""
        return self.open().filter(next_at__lte=at)


class PlannedPrice(models.Model):
    """What one subscription is charged from one renewal on. The renewal and the amounts never change: where
    the renewal moves, or could not be announced in time, the row is closed and another one is made.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        SET = "set", _("told to the provider")
        DONE = "done", _("in force")
        DROPPED = "dropped", _("did not happen")

    class Reason(models.TextChoices):
        UNTOLD = "untold", _("it could not be announced in time")
        LATE = "late", _("the provider could not be told in time")
        MOVED = "moved", _("the renewal moved")
        UNPAID = "unpaid", _("an invoice is unpaid")
        HELD = "held", _("the clock is stopped")
        LEAVING = "leaving", _("they are leaving")
        ENDED = "ended", _("the subscription ended")
        PLAN = "plan_changed", _("they changed the plan")
        WITHDRAWN = "withdrawn", _("the price change was withdrawn")

    OPEN = (State.PLANNED, State.SET)

    public_id = models.CharField(max_length=26, unique=True, default=new_id, editable=False)
    change = models.ForeignKey(
        PriceChange, models.PROTECT, related_name="planned_prices", verbose_name=_("price change")
    )
    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="planned_prices")
    subscription = models.ForeignKey("billing.Subscription", models.CASCADE, related_name="planned_prices")
    amount_before = models.PositiveBigIntegerField(_("price until then"))
    amount_after = models.PositiveBigIntegerField(_("price from then on"))
    currency = models.CharField(_("currency"), max_length=3)
    takes_at = models.DateTimeField(_("from the renewal on"))
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.PLANNED)
    reason = models.CharField(_("why"), max_length=12, choices=Reason, blank=True)
    #: When it has to be looked at again.
    next_at = models.DateTimeField(_("looked at next"), null=True, blank=True)
    #: When the first mail about it left; a rise is never told to the provider without.
    told_at = models.DateTimeField(_("announced on"), null=True, blank=True)
    set_at = models.DateTimeField(_("told to the provider on"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    created_at = models.DateTimeField(_("planned on"))

    objects = PlannedPriceQuerySet.as_manager()

    class Meta:
        verbose_name = _("planned price")
        verbose_name_plural = _("planned prices")
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="planned_price_one_open",
                fields=["subscription"],
                condition=Q(state__in=["planned", "set"]),
            ),
            models.CheckConstraint(
                name="planned_price_open_is_looked_at",
                condition=~Q(state__in=["planned", "set"]) | Q(next_at__isnull=False, closed_at=None),
            ),
            models.CheckConstraint(
                name="planned_price_closed_has_date",
                condition=~Q(state__in=["done", "dropped"]) | Q(closed_at__isnull=False, next_at=None),
            ),
            models.CheckConstraint(
                name="planned_price_dropped_has_reason", condition=~Q(state="dropped") | ~Q(reason="")
            ),
            # Never in force before its notice has left.
            models.CheckConstraint(
                name="planned_price_rise_was_told",
                condition=~Q(state__in=["set", "done"])
                | Q(told_at__isnull=False, told_at__lt=F("takes_at"))
                | Q(amount_after__lt=F("amount_before")),
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"], name="planned_price_due", condition=Q(state__in=("planned", "set"))
            ),
            models.Index(
                fields=["change", "id"],
                name="planned_price_of_change",
                condition=Q(state__in=("planned", "set")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.takes_at:%Y-%m-%d}"

    @property
    def is_rise(self) -> bool:
        """Whether it costs more from then on."""
        return self.amount_after > self.amount_before

    @property
    def facts(self) -> dict[str, Any]:
        """What history says of it: the amounts in the smallest unit, the renewal, and why it was dropped."""
        return {
            "amount": self.amount_after,
            "before": self.amount_before,
            "currency": self.currency,
            "since": self.takes_at.isoformat(),
        } | ({"reason": self.reason} if self.reason else {})

    @property
    def ref(self) -> str:
        """How the history names it."""
        return f"price:{self.public_id}"
