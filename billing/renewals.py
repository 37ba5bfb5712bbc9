"""Renewals of a year: announced as the law wants, moved later for who needs it or was not told."""

import datetime as dt
import logging
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, QuerySet

from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record
from accounts.law import EventKind, notice_windows, reminder_days
from accounts.models import Account, Event, Notice
from accounts.notices import owe
from accounts.recipients import payers
from billing.models import Instruction, Payment, Plan, PlannedPrice, Subscription, TrialExtension
from billing.periods import add_local_days, local_date
from billing.price_rules import RISE
from billing.subscriptions import earliest_first_charge, steer_subscription
from billing.trials import extend_by_system

logger = logging.getLogger(__name__)

RENEWS = "renewal_ahead"
#: A charge that nobody was told of in time comes so much later: the law wants 15 days for a year.
LATER_DAYS = 17
#: Why a notice is not owed any more: the charge comes on another day.
MOVED = "moved"
#: So often a charge is moved because nobody could be told of it; the next time it is given up.
MOVED_AT_MOST = 2


def renewal_period(subscription: Subscription, days: int) -> str:
    """The renewal of one date is announced once at each distance."""
    assert subscription.period_end is not None
    return f"{subscription.public_id}:{subscription.period_end:%Y%m%d}:{days}"


def owe_renewal_notices(subscription: Subscription, *, at: dt.datetime) -> None:
    """45 and 25 days before a year renews; known late, what is still in its window is owed at once."""
    renews_at, account = subscription.renews_at, subscription.account
    if subscription.plan.interval != Plan.Interval.YEAR or renews_at is None or renews_at <= at:
        return
    if subscription.status == Subscription.Status.TRIALING and subscription.first_paid_at is None:
        return  # the end of a trial has notices of its own
    _forget_other_dates(subscription, at=at)
    reminders = reminder_days(
        EventKind.ANNUAL_RENEWAL, account.country, account.kind, renews_at, account.zone, starts_at=None
    )
    for reminder in reminders:
        if reminder.window_to >= at:
            owe(
                account,
                RENEWS,
                to=payers(account),
                period=renewal_period(subscription, reminder.days),
                subject=f"subscription:{subscription.public_id}",
                at=at,
                window_from=max(at, reminder.window_from),
                window_to=reminder.window_to,
                rule_ids=reminder.rule_ids,
            )


def _forget_other_dates(subscription: Subscription, *, at: dt.datetime) -> None:
    """Nothing is owed for a date that moved away; for one that holds again, it is owed again."""
    about = Notice.objects.filter(account=subscription.account, kind=RENEWS, sent_at=None)
    about = about.filter(subject=f"subscription:{subscription.public_id}")
    this = Q(period__startswith=renewal_period(subscription, 0).removesuffix("0"))
    about.filter(~this, status=Notice.Status.OWED).update(status=Notice.Status.DROPPED, reason=MOVED)
    about.filter(this, status=Notice.Status.DROPPED, reason=MOVED, window_to__gt=at).update(
        status=Notice.Status.OWED, reason=""
    )


def can_postpone(subscription: Subscription, *, at: dt.datetime) -> bool:
    """Whether a charge is planned that has no invoice yet."""
    renews_at = subscription.renews_at
    is_paid = subscription.status in (Subscription.Status.ACTIVE, Subscription.Status.TRIALING)
    return is_paid and renews_at is not None and renews_at > at


@transaction.atomic
def postpone_charge(
    subscription: Subscription, until: dt.datetime, *, by: By, at: dt.datetime, reason: str
) -> None:
    """Move the next charge, and with it every later one, to a later moment; the days between are free.

    Nothing is prorated, and no invoice exists yet for what would have been charged. Support moves it by
    at most the days of the terms (`charge_move_days`); the product itself only because a notice that the
    law wants was missed.
    """
    account = Account.objects.select_for_update().select_related("terms").get(pk=subscription.account_id)
    subscription = Subscription.objects.select_related("plan", "account__terms").get(pk=subscription.pk)
    before = subscription.renews_at
    if before is None or not can_postpone(subscription, at=at):
        raise WrongState("No charge is planned that could be moved.")
    latest = add_local_days(before, account.terms.charge_move_days, account.time_zone)
    if until <= before or (by != SYSTEM and until > latest):
        raise WrongState("A charge is moved to a later day, within the days that the terms allow.")
    push_charge(subscription, until, "charge.postponed", by=by, at=at, reason=reason)


def push_charge(
    subscription: Subscription, until: dt.datetime, kind: str, *, by: By, at: dt.datetime, **facts: Any
) -> None:
    """Write down, as this kind of event, that the next charge comes later, and tell the provider.

    Whoever calls it holds the account and has asked whether it may be.
    """
    assert subscription.renews_at is not None
    record(
        subscription.account,
        kind,
        by=by,
        at=at,
        subject=f"subscription:{subscription.public_id}",
        before=subscription.renews_at.isoformat(),
        until=until.isoformat(),
        **facts,
    )
    steer_subscription(subscription, ends="never", paid_end=until, only_later=True, by=by, at=at)


def postpone_untold_renewal(notice: Notice, at: dt.datetime) -> None:
    """A notice of a renewal was missed: where a window of the law closed with it the charge comes later."""
    public_id = notice.period.partition(":")[0]
    rows = Subscription.objects.select_related("plan", "account__terms")
    subscription = rows.filter(account=notice.account, public_id=public_id).first()
    if subscription is None or not can_postpone(subscription, at=at):
        return
    renews_at, zone = subscription.renews_at, subscription.account.time_zone
    assert renews_at is not None
    if not closed_unsaid(subscription, at=at):
        return
    if times_moved(subscription) >= MOVED_AT_MOST:
        give_up_charge(subscription, at=at)
        return
    until = max(renews_at, add_local_days(at, LATER_DAYS, zone))
    if until > renews_at:
        postpone_charge(subscription, until, by=SYSTEM, at=at, reason="notice_missed")


def closed_unsaid(subscription: Subscription, *, at: dt.datetime) -> list[str]:
    """The rules whose window has closed without a mail about this very renewal having left inside it."""
    account, renews_at = subscription.account, subscription.renews_at
    assert renews_at is not None
    about = f"{subscription.public_id}:{renews_at:%Y%m%d}:"
    rows = Notice.objects.filter(account=account, kind=RENEWS, period__startswith=about, status="sent")
    sent = [moment for moment in rows.values_list("sent_at", flat=True) if moment is not None]
    sent += said_with_price(subscription, renews_at)
    windows = notice_windows(EventKind.ANNUAL_RENEWAL, account.country, account.kind, renews_at, account.zone)
    return [
        rule
        for window in windows
        if window.window_to < at
        and not any((window.window_from or moment) <= moment <= window.window_to for moment in sent)
        for rule in window.rule_ids
    ]


def said_with_price(subscription: Subscription, renews_at: dt.datetime) -> list[dt.datetime]:
    """When mails left about another price from this renewal on: they say all that a notice of it does."""
    planned = PlannedPrice.objects.filter(subscription=subscription, takes_at=renews_at)
    refs = list(planned.values_list("public_id", flat=True))
    mails = Notice.objects.filter(account=subscription.account_id, kind=RISE, status="sent") if refs else None
    rows = mails.values_list("period", "sent_at") if mails is not None else ()
    return [moment for period, moment in rows if moment and period.partition(":")[0] in refs]


def postpone_untold_trial(notice: Notice, at: dt.datetime) -> None:
    """A notice before the first charge after a trial was missed: where the law is broken by it, the trial is
    longer, and they are told so now."""
    public_id = notice.period.partition(":")[0]
    rows = Subscription.objects.select_related("plan", "account__terms")
    trial = rows.filter(account=notice.account, public_id=public_id).first()
    if trial is not None:
        postpone_first_charge(trial, at=at)


def postpone_first_charge(trial: Subscription, *, at: dt.datetime) -> None:
    """Move the first charge to the first day on which it could be announced now, where it comes before."""
    if trial.is_local or trial.trial_end is None or not can_postpone(trial, at=at):
        return
    account = trial.account
    later = earliest_first_charge(account, at=at)
    if trial.first_paid_at is not None or later <= trial.trial_end:
        return
    # Two notices may be missed at once, before the provider has heard of the first one.
    moved = TrialExtension.objects.filter(subscription=trial, ends_before=trial.trial_end)
    if moved.filter(ends_after__gte=later - dt.timedelta(days=1)).exists():
        return
    if times_moved(trial) >= MOVED_AT_MOST:
        give_up_charge(trial, at=at)
        return
    days = (local_date(later, account.time_zone) - local_date(trial.trial_end, account.time_zone)).days
    extend_by_system(trial, later, days=max(1, days), reason=TrialExtension.Reason.PROBLEM, at=at)


# --- Nobody can be told -----------------------------------------------------------------------


def times_moved(subscription: Subscription) -> int:
    """How often the charge that comes was moved because nobody could be told of it."""
    return (
        _said_of(subscription, "charge.postponed", "trial.extended").filter(actor=Event.Actor.SYSTEM).count()
    )


def is_given_up(subscription: Subscription) -> bool:
    """Whether it ends because nobody could be told of the charge that was to come."""
    return _said_of(subscription, "charge.given_up").exists()


def _said_of(subscription: Subscription, *kinds: str) -> QuerySet[Event]:
    """Lines of history about this subscription since it was last paid."""
    account = subscription.account
    paid_at = Payment.objects.filter(account=account).aggregate(last=Max("paid_at"))["last"]
    rows = Event.objects.filter(account_ref=account.public_id, kind__in=kinds)
    rows = rows.filter(subject=f"subscription:{subscription.public_id}")
    return rows.filter(at__gt=paid_at) if paid_at else rows


@transaction.atomic
def give_up_charge(subscription: Subscription, *, at: dt.datetime) -> None:
    """Nobody can be told of this charge, so it is never made: it ends with the days that are paid or free.

    They see the end on every page and can keep the subscription there until it comes. Operators are
    alarmed; the mails that did not arrive are in the queue of staff, who know other ways to reach people.
    """
    told = Instruction.objects.open().filter(subject=f"subscription:{subscription.provider_id}")
    if told.filter(desired__ends="period_end").exists() or subscription.renews_at is None:
        return
    record(
        subscription.account,
        "charge.given_up",
        by=SYSTEM,
        at=at,
        subject=f"subscription:{subscription.public_id}",
        until=subscription.renews_at.isoformat(),
    )
    steer_subscription(subscription, ends="period_end", by=SYSTEM, at=at)
    logger.critical("a charge was given up: nobody can be told", extra={"subscription": subscription.pk})
