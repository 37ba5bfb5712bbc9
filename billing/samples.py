"""What each mail about money could be about in an account: for a preview with its real facts."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.kinds import Sample
from accounts.models import Account
from accounts.sharing import shared
from billing.models import (
    Customer,
    DunningCase,
    Payment,
    Plan,
    PlannedPrice,
    Refund,
    Subscription,
    TrialExtension,
    TrialRequest,
)
from billing.subscriptions import subscriptions_of

Finder = Callable[[Account, dt.datetime], Sample | None]


def _newest(rows: QuerySet[Any, Any], name: str) -> Subquery:
    return Subquery(rows.filter(account=OuterRef("pk")).order_by("-pk").values(name)[:1])


#: The newest row of each sort, by the number that a notice's subject or period names it with.
_NUMBERS = {
    "payment": _newest(Payment.objects.all(), "charge_id"),
    "refund": _newest(Refund.objects.all(), "public_id"),
    "card": _newest(Customer.objects.exclude(card_id=""), "card_id"),
    "unpaid": _newest(DunningCase.objects.all(), "invoice__provider_id"),
    "price": _newest(PlannedPrice.objects.all(), "public_id"),
    "extension": _newest(TrialExtension.objects.all(), "pk"),
    "request": _newest(TrialRequest.objects.all(), "public_id"),
}


def _numbers(account: Account) -> dict[str, Any]:
    """All of them in one query, once for a page."""
    rows = Account.objects.filter(pk=account.pk).order_by().values(**_NUMBERS)
    return shared(account, "billing.numbers", lambda: dict(rows.get()))


def newest(sort: str, *, subject: str = "") -> Finder:
    """A sample about the newest row of this sort; `subject` goes before its number."""

    def find(account: Account, at: dt.datetime) -> Sample | None:
        number = _numbers(account)[sort]
        return Sample(subject=f"{subject}{number}" if subject else "", period=str(number)) if number else None

    return find


def newest_trial(period: Callable[[Subscription], str]) -> Finder:
    """A sample about the newest trial, owed for this period."""

    def find(account: Account, at: dt.datetime) -> Sample | None:
        trial = next((row for row in subscriptions_of(account) if row.trial_end), None)
        return Sample(subject=f"subscription:{trial.public_id}", period=period(trial)) if trial else None

    return find


def yearly(period: Callable[[Subscription], str]) -> Finder:
    """A sample about the year that runs and will renew, owed for this period."""

    def find(account: Account, at: dt.datetime) -> Sample | None:
        rows = (row for row in subscriptions_of(account) if row.is_live and not row.is_local)
        row = next((row for row in rows if row.period_end and row.plan.interval == Plan.Interval.YEAR), None)
        return Sample(subject=f"subscription:{row.public_id}", period=period(row)) if row else None

    return find
