"""The rows of a trial's calendar: planned at the start, and again whenever one of its dates moves."""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

from accounts.holds import stretches
from accounts.models import Account, Notice, Terms
from accounts.notices import drop_notices
from billing.models import Plan, Subscription, TrialRequest, TrialStep
from billing.trial_calendar import MESSAGES, Step, StepKind, Trial, TrialCalendar, trial_calendar

#: The mails that the steps of a trial send.
ENDS, OVER, FAREWELL = "trial_ends", "trial_over", "trial_farewell"
MAILS: Final = (ENDS, OVER, FAREWELL)
MAIL_OF: Final = {
    StepKind.REMIND_FIRST: ENDS,
    StepKind.REMIND_AGAIN: ENDS,
    StepKind.AFTER_0: OVER,
    StepKind.AFTER_3: OVER,
    StepKind.AFTER_8: OVER,
    StepKind.FAREWELL: FAREWELL,
}


def free_plan_of(account: Account) -> Plan | None:
    """The free plan of this account's currency, or of any, where there is one on offer."""
    plans = Plan.objects.on_offer(account.currency).filter(amount=0)
    return plans.filter(currency=account.currency).first() or plans.first()


def ends_on_free_plan(account: Account) -> bool:
    """Whether the terms move it to the free plan after a trial, and there is one."""
    return account.terms.trial_end_plan == Terms.TrialEnd.FREE_PLAN and free_plan_of(account) is not None


def calendar_of(subscription: Subscription) -> TrialCalendar:
    """The calendar of this trial under the account's terms, with the holds since its end was granted."""
    account = subscription.account
    ends_at, told_at = subscription.trial_granted_end, subscription.trial_granted_at
    assert ends_at is not None
    assert told_at is not None
    return trial_calendar(
        Trial(
            told_at=told_at,
            ends_at=ends_at,
            zone=account.time_zone,
            length_days=max(1, (ends_at - subscription.started_at).days),
            grace_days=account.terms.trial_grace_days,
            ends_on_free_plan=ends_on_free_plan(account),
            with_card=not subscription.is_local,
            country=account.country,
            customer_kind=account.kind,
            holds=[hold for hold in stretches(account) if hold[0] >= told_at],
        )
    )


def access_end_of(subscription: Subscription) -> dt.datetime | None:
    """The moment at which a trial that only we know of ends access; None: it goes on on the free plan."""
    if subscription.trial_end is None or ends_on_free_plan(subscription.account):
        return None
    return subscription.period_end


def plan_trial(subscription: Subscription, *, at: dt.datetime) -> TrialCalendar:
    """Write the steps that are still to come, in place of what was planned before.

    Of a trial that only we know of the dates are ours: its end, and with it the end of access, unless
    someone else has set that (a leaving, a pause).
    """
    calendar = calendar_of(subscription)
    subscription.trial_steps.pending().delete()
    is_leaving = subscription.is_local and subscription.cancel_at is not None
    wanted = [s for s in calendar.steps if not is_leaving and _is_ahead(s, subscription, at)]
    TrialStep.objects.bulk_create(
        TrialStep(
            subscription=subscription,
            kind=step.kind,
            due_at=step.due_at,
            window_to=step.window_to,
            rule_ids=list(step.rule_ids),
        )
        for step in wanted
    )
    if subscription.is_local:
        before = access_end_of(subscription)
        _write(subscription, trial_end=calendar.ends_at, period_end=calendar.access_until)
        _move_access(subscription, before, access_end_of(subscription))
    return calendar


def grant_end(
    subscription: Subscription, ends_at: dt.datetime, *, at: dt.datetime, told_at: dt.datetime | None = None
) -> TrialCalendar:
    """The trial ends then: they are told now (or at `told_at`), so everything is counted from here."""
    _write(subscription, trial_granted_end=ends_at, trial_granted_at=told_at or at)
    return plan_trial(subscription, at=at)


def drop_trial(account: Account, *, at: dt.datetime, reason: str) -> None:
    """The trial gave way to something else: nothing of its calendar is left to happen."""
    TrialStep.objects.pending().filter(subscription__account=account).delete()
    drop_notices(account, kinds=MAILS, reason=reason)
    TrialRequest.objects.open().filter(account=account).update(state=TrialRequest.State.LAPSED, closed_at=at)


def stop_trial(subscription: Subscription, until: dt.datetime) -> None:
    """They leave: it ends then, and nothing more is said about it."""
    _write(subscription, cancel_at=until)
    subscription.trial_steps.pending().delete()
    drop_notices(subscription.account, kinds=MAILS, reason="left")


def resume_trial(subscription: Subscription, *, at: dt.datetime) -> None:
    """They stay after all: its days go on as if nothing had been said."""
    _write(subscription, cancel_at=None)
    plan_trial(subscription, at=at)


def drop_trials(subscriptions: Iterable[int], *, reason: str) -> None:
    """What `drop_trial` does to steps and mails, for many trials at once."""
    steps = TrialStep.objects.pending().filter(subscription__in=list(subscriptions))
    accounts = list(steps.values_list("subscription__account_id", flat=True).distinct())
    if accounts:
        steps.delete()
        owed = Notice.objects.filter(account__in=accounts, kind__in=MAILS, status=Notice.Status.OWED)
        owed.update(status=Notice.Status.DROPPED, reason=reason)


def replan_when_held(account: Account, at: dt.datetime, **_signal: Any) -> None:
    """A hold began or ended: what is to come moves with it, what waits to be sent is not true any more."""
    running = Subscription.objects.filter(
        account=account, provider_id=None, trial_steps__done_at=None, trial_granted_end__isnull=False
    ).exclude(trial_steps=None)
    for subscription in running.select_related("account__terms").distinct():
        drop_notices(account, kinds=MAILS, reason="held")
        plan_trial(subscription, at=at)


def _is_ahead(step: Step, subscription: Subscription, at: dt.datetime) -> bool:
    """Messages of the past are past; a change of state that was not made is still to be made."""
    if step.kind in MESSAGES:
        return step.due_at >= at
    taken = subscription.trial_steps.filter(kind=step.kind).exclude(done_at=None)
    if step.kind == StepKind.FREEZE:
        return subscription.is_live
    return step.due_at > at or not taken.filter(due_at=step.due_at).exists()


def _write(subscription: Subscription, **columns: Any) -> None:
    Subscription.objects.filter(pk=subscription.pk).update(**columns)
    for name, value in columns.items():
        setattr(subscription, name, value)


def _move_access(subscription: Subscription, before: dt.datetime | None, after: dt.datetime | None) -> None:
    account = subscription.account
    if Account.objects.filter(pk=account.pk, access_ends_at=before).update(access_ends_at=after):
        account.access_ends_at = after
