"""Whoever pays late: days that were paid without access are given back, by a next charge that comes later."""

import datetime as dt
from typing import Any, Final

from django.db.models import F, Q

from accounts.events import SYSTEM
from accounts.holds import Stretch
from accounts.models import Account, Event, Terms
from billing.dunning_rules import days_given_back
from billing.models import DunningCase, Invoice, Subscription
from billing.periods import add_local_days
from billing.renewals import push_charge
from billing.subscriptions import is_ending

#: The line of history that says so; refunds are worked out with it.
GIVEN_BACK: Final = "charge.days_given_back"
Status = DunningCase.Status


def give_days_back(case: DunningCase, *, at: dt.datetime) -> dict[str, Any]:
    """Access is back: the next charge moves later by the days that are paid and were without it.

    Called once for a case, by what closes it, under the account's lock. Nothing moves while another invoice
    is unpaid, for a subscription that ends, or once the period is over: the provider bills the next one then.
    Returns what the customer is told: the days and the new date, or nothing.
    """
    subscription = case.invoice.subscription
    closed = _closed(case, subscription) if subscription else []
    if subscription is None or not closed or not _goes_on(case, subscription, at=at):
        return {}
    assert subscription.renews_at is not None
    zone, paid = case.account.time_zone, _paid(case, subscription)
    days = days_given_back(closed, paid, at=at, renews_at=subscription.renews_at, zone=zone)
    if not days:
        return {}
    until = add_local_days(subscription.renews_at, days, zone)
    facts = {
        "days": days,
        "since": min(start for start, _end in closed).isoformat(),
        "paid_until": max(end for _start, end in paid).isoformat(),
    }
    # Whoever has paid is not on trial, also where this was the first payment after one.
    Subscription.objects.filter(pk=subscription.pk, first_paid_at=None).update(first_paid_at=at)
    push_charge(subscription, until, GIVEN_BACK, by=SYSTEM, at=at, case=case.public_id, **facts)
    return {"days": days, "renews_at": until.isoformat()}


def _goes_on(case: DunningCase, subscription: Subscription, *, at: dt.datetime) -> bool:
    """Access is on, nothing else is owed, and another charge is to come."""
    if subscription.renews_at is None or subscription.renews_at <= at or is_ending(subscription):
        return False
    if DunningCase.objects.unpaid().filter(invoice__subscription=subscription).exists():
        return False
    has_access = Q(access_ends_at=None) | Q(access_ends_at__gt=at)
    rows = Account.objects.filter(has_access, pk=case.account_id, state__in=Account.OPEN_STATES)
    return rows.exists()


def _closed(case: DunningCase, subscription: Subscription) -> list[Stretch]:
    """When access was off for this invoice, and for others that were unpaid at the same time."""
    ended = (Status.PAID, Status.VOID, Status.WRITTEN_OFF)
    rows = DunningCase.objects.filter(invoice__subscription=subscription, status__in=ended)
    rows = rows.filter(closed_at__gte=case.opened_at, closed_at__gt=F("block_at"))
    return [(start, end) for start, end in rows.values_list("block_at", "closed_at") if end is not None]


def _paid(case: DunningCase, subscription: Subscription) -> list[Stretch]:
    """The periods that are paid; what was just paid may not have been read again yet."""
    is_paid = Q(status=Invoice.Status.PAID)
    if case.status == Status.PAID:
        is_paid |= Q(pk=case.invoice_id)
    rows = Invoice.objects.filter(is_paid, subscription=subscription).exclude(period_end=None)
    periods = rows.values_list("period_start", "period_end")
    return [(start, end) for start, end in periods if start is not None and end is not None]


def days_come_back_until(case: DunningCase, *, at: dt.datetime) -> dt.datetime | None:
    """Before when a payment gives the days without access back, as it stands; None where it gives none.

    That is until the period is over, or until the terms end the subscription.
    """
    subscription = case.invoice.subscription
    if subscription is None or subscription.renews_at is None or not case.is_running:
        return None
    if subscription.renews_at <= at or is_ending(subscription):
        return None
    if DunningCase.objects.unpaid().filter(invoice__subscription=subscription).exclude(pk=case.pk).exists():
        return None
    ends = case.terms.dunning_end in (Terms.DunningEnd.CANCEL, Terms.DunningEnd.FREE_PLAN)
    return min(subscription.renews_at, case.end_at) if ends else subscription.renews_at


def days_just_given_back(subscription: Subscription) -> int:
    """By how many days the charge that comes was moved because access was off, or 0. One query."""
    rows = Event.objects.filter(subject=f"subscription:{subscription.public_id}", kind=GIVEN_BACK)
    last = rows.order_by("-seq").first()
    if last is None or subscription.renews_at is None:
        return 0
    is_it = dt.datetime.fromisoformat(last.facts["until"]) == subscription.renews_at
    return int(last.facts["days"]) if is_it else 0
