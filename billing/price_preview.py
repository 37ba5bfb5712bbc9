"""What another price would mean, before anybody plans it: how many, from when, and how the mail reads."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Min
from django.db.models.functions import TruncDate

from accounts.events import SYSTEM
from accounts.mail import Message
from accounts.models import Notice
from accounts.sending import render_notice
from billing.models import Plan
from billing.price_planning import may_change, plan_prices
from billing.price_rules import FALL, LOOKED_AT, RISE, Reader, first_renewal, renewals_ahead
from billing.prices import next_code, plan_price_change
from billing.stripe_api import calling


@dataclass(frozen=True)
class PriceAtProvider:
    """A price as the provider has it."""

    amount: int | None
    currency: str
    interval: str
    is_active: bool

    def fits(self, plan: Plan, amount: int) -> bool:
        """Whether it is what such a plan would cost: this amount, in the plan's currency and rhythm."""
        same = (self.currency, self.interval) == (plan.currency, plan.interval)
        return self.is_active and same and self.amount == amount


def read_price(provider_price: str) -> PriceAtProvider:
    """Ask the provider. Raises as every call does."""
    with calling() as stripe:
        found = stripe.v1.prices.retrieve(provider_price)
    recurring = found.recurring
    once = recurring is not None and recurring.interval_count == 1
    return PriceAtProvider(
        found.unit_amount,
        str(found.currency).upper(),
        str(recurring.interval) if recurring is not None and once else "",
        bool(found.active),
    )


@dataclass(frozen=True)
class PricePreview:
    """How many subscriptions would pay it, the first and the last day on which one begins to, and a mail."""

    count: int
    first: dt.date | None
    last: dt.date | None
    #: On a free trial: they pay the present price first.
    trials: int
    mails: list[Message] = field(default_factory=list)


def preview_change(plan: Plan, *, amount: int, effective_from: dt.datetime, at: dt.datetime) -> PricePreview:
    """What planning this would mean now. Nothing is kept of it."""
    days = Counter(dict(_first_days(plan, effective_from, is_rise=amount > plan.amount, at=at)))
    on_plan = plan.subscriptions.live().exclude(provider_id=None).filter(cancel_at=None).count()
    count = may_change().filter(plan=plan).count()
    return PricePreview(
        count,
        min(days, default=None),
        max(days, default=None),
        on_plan - count,
        _example(plan, amount=amount, effective_from=effective_from, at=at),
    )


def _first_days(
    plan: Plan, effective_from: dt.datetime, *, is_rise: bool, at: dt.datetime
) -> Iterator[tuple[dt.date, int]]:
    """The day of the first charge at the new price, for all that renew on one day at once."""
    rows = (
        may_change().filter(plan=plan).annotate(day=TruncDate("period_end"), begun=TruncDate("period_start"))
    )
    whose = ("account__country", "account__kind", "account__time_zone")
    groups = (
        rows.order_by()
        .values("begun", "day", *whose)
        .annotate(start=Min("period_start"), end=Min("period_end"), number=Count("pk"))
    )
    for country, kind, zone, start, end, number in groups.values_list(*whose, "start", "end", "number"):
        reader = Reader(country, kind, ZoneInfo(zone))
        ahead = islice(renewals_ahead(start, end, plan.interval), LOOKED_AT)
        found = first_renewal(ahead, reader, since=effective_from, at=at, is_rise=is_rise)
        if found is not None:
            yield found.astimezone(reader.zone).date(), number


def _example(plan: Plan, *, amount: int, effective_from: dt.datetime, at: dt.datetime) -> list[Message]:
    """The mail to one of them in each language: all is really planned, and unmade again."""
    subscription = may_change().filter(plan=plan).order_by("pk").first()
    if subscription is None:
        return []
    with transaction.atomic():
        plan_price_change(
            plan,
            amount=amount,
            provider_price=f"preview_{next_code(plan.code)}",
            effective_from=effective_from,
            reason="preview",
            by=SYSTEM,
            at=at,
        )
        plan_prices([subscription.pk], at=at)
        planned = subscription.planned_price
        owed = Notice.objects.filter(account=subscription.account_id, kind__in=(RISE, FALL))
        owed = owed.filter(period__startswith=planned.public_id if planned else "-")
        notice = owed.select_related("account", "user").order_by("window_from", "pk").first()
        languages = [code for code, _name in settings.LANGUAGES] if notice is not None else []
        found = [render_notice(notice, at=at, language=code) for code in languages if notice is not None]
        transaction.set_rollback(True)
    return found
