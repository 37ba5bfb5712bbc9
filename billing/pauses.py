"""A pause: no charge and no access for whole months, ending by itself on a stated date."""

import datetime as dt
from contextlib import suppress

from django.db import transaction

from accounts import notices
from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record
from accounts.models import Account
from accounts.recipients import payers
from billing import periods
from billing.models import Pause, Subscription
from billing.prices import price_until_renewal
from billing.subscriptions import steer_subscription


def pause_choices(subscription: Subscription, *, at: dt.datetime) -> list[tuple[int, dt.datetime]]:
    """Each length in months that the terms allow, with the date on which charging resumes; empty: none."""
    terms = subscription.account.terms
    if why_no_pause(subscription, at=at) or subscription.period_end is None:
        return []
    end = subscription.period_end.astimezone(subscription.account.zone)
    return [(n, periods.period_end(end, n, "month")) for n in range(1, terms.pause_max_months + 1)]


def why_no_pause(subscription: Subscription, *, at: dt.datetime) -> str:
    """Why this subscription cannot be paused: a code, or "" where it can."""
    if subscription.is_local or subscription.status != Subscription.Status.ACTIVE:
        return "not_paying"
    months = subscription.account.terms.pause_per_months
    last = Pause.objects.filter(subscription__account=subscription.account).exclude(
        status=Pause.Status.CANCELLED
    )
    newest = last.order_by("-starts_at").first()
    if newest is None:
        return ""
    zone = subscription.account.time_zone
    again = periods.add_months(periods.local_date(newest.starts_at, zone), months)
    return "had_pause" if periods.local_date(at, zone) < again else ""


@transaction.atomic
def start_pause(subscription: Subscription, months: int, *, by: By, at: dt.datetime) -> Pause:
    """Pause from the end of what is paid, for whole months; access ends with it and comes back with it.

    The provider is told to charge nothing before the date; a notice goes out before it.
    """
    account = Account.objects.select_for_update().select_related("terms").get(pk=subscription.account_id)
    choices = dict(pause_choices(subscription, at=at))
    if months not in choices or subscription.period_end is None:
        raise WrongState(why_no_pause(subscription, at=at) or "too_long")
    pause = Pause.objects.create(
        subscription=subscription,
        starts_at=subscription.period_end,
        resumes_at=choices[months],
        created_at=at,
    )
    record(
        account,
        "pause.agreed",
        by=by,
        at=at,
        subject=f"subscription:{subscription.public_id}",
        since=pause.starts_at.isoformat(),
        until=pause.resumes_at.isoformat(),
    )
    steer_subscription(subscription, ends="never", paid_end=pause.resumes_at, by=by, at=at)
    Account.objects.filter(pk=account.pk).update(access_ends_at=pause.starts_at)
    ahead = pause.resumes_at - dt.timedelta(days=account.terms.pause_notice_days)
    notices.owe(
        account,
        "pause_ends",
        to=payers(account),
        at=at,
        window_from=max(at, ahead),
        window_to=pause.resumes_at,
        period=f"pause:{pause.pk}",
        subject=f"subscription:{subscription.public_id}",
    )
    return pause


@transaction.atomic
def end_pause(pause: Pause, *, by: By, at: dt.datetime) -> None:
    """End it today: before it began it is simply given up, afterwards charging resumes now."""
    subscription = pause.subscription
    began = pause.starts_at <= at
    _close(pause, Pause.Status.ENDED if began else Pause.Status.CANCELLED, by=by, at=at)
    steer_subscription(
        subscription,
        ends="never",
        paid_end="now" if began else pause.starts_at,
        # What is charged today comes before the day that was announced for another price.
        price=price_until_renewal(subscription),
        by=by,
        at=at,
    )


@transaction.atomic
def leave_during_pause(subscription: Subscription, *, at: dt.datetime) -> None:
    """A pause that turns into leaving: it will not resume."""
    pause = Pause.objects.filter(subscription=subscription, status=Pause.Status.PLANNED).first()
    if pause is not None:
        status = Pause.Status.ENDED if pause.starts_at <= at else Pause.Status.CANCELLED
        if Pause.objects.filter(pk=pause.pk, status=Pause.Status.PLANNED).update(status=status, ended_at=at):
            notices.drop_notices(subscription.account, kinds=["pause_ends"], reason="left")


def resume_due_pauses(*, at: dt.datetime) -> int:
    """Pauses whose date has come: access is back; the provider charges by itself."""
    done = 0
    for pause in Pause.objects.due(at).select_related("subscription__account"):
        # Another beat, or the customer, may be faster: then there is nothing left to do here.
        with suppress(WrongState), transaction.atomic():
            _close(pause, Pause.Status.ENDED, by=SYSTEM, at=at)
            done += 1
    return done


def _close(pause: Pause, status: str, *, by: By, at: dt.datetime) -> None:
    account = pause.subscription.account
    changed = Pause.objects.filter(pk=pause.pk, status=Pause.Status.PLANNED).update(
        status=status, ended_at=at
    )
    if not changed:
        raise WrongState("The pause is over already.")
    Account.objects.filter(pk=account.pk).update(access_ends_at=None)
    notices.drop_notices(account, kinds=["pause_ends"], reason="over")
    record(account, "pause.ended", by=by, at=at, subject=f"subscription:{pause.subscription.public_id}")
