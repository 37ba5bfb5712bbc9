"""More time for a trial: taken by oneself within the terms, given by support, earned by adding a card."""

import copy
import datetime as dt
from dataclasses import dataclass

from django.db import transaction

from accounts import holds
from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record, record_many
from accounts.models import Account, ActivityDay, Hold, User
from accounts.notices import owe
from accounts.recipients import payers
from accounts.states import move_account
from billing.models import Subscription, TrialAllowance, TrialExtension, TrialRequest
from billing.periods import add_local_days, local_date
from billing.subscriptions import end_local, steer_subscription, subscriptions_of
from billing.trial_calendar import working_days_after
from billing.trial_steps import access_end_of, calendar_of, grant_end

#: How long after its end a trial that gave way to the free plan can be taken up again.
TAKEN_UP_AGAIN = dt.timedelta(days=60)
#: Working days in which a request is answered; the clock stands still for them.
ANSWER_DAYS = 3


@dataclass(frozen=True)
class MoreTime:
    """What someone can have by themselves: so many days; `is_engaged`: more of them, for really using it."""

    days: int
    until: dt.datetime
    active_days: int
    is_engaged: bool


def trial_of(account: Account, *, at: dt.datetime) -> Subscription | None:
    """The trial that could be longer: one that runs, one that froze, one that just gave way to the free plan.

    None where something is paid, where they are leaving, and where nothing is left to come back to.
    One query.
    """
    if account.state in (Account.State.CLOSED, Account.State.ERASED):
        return None
    rows = subscriptions_of(account)
    live = next((row for row in rows if row.is_live), None)
    if live is not None and not (live.is_local and live.plan.is_free):
        is_trial = live.status == Subscription.Status.TRIALING and live.first_paid_at is None
        return live if is_trial and not is_leaving(live) else None
    last = next((row for row in rows if row.is_local and row.trial_end is not None), None)
    if last is None or any(row.first_paid_at is not None for row in rows):
        return None
    is_recent = last.ended_at is not None and last.ended_at >= at - TAKEN_UP_AGAIN
    return last if (live is None and account.state == Account.State.FROZEN) or (live and is_recent) else None


def is_leaving(subscription: Subscription) -> bool:
    """Whether somebody else than the trial has said when access ends."""
    if not subscription.is_local or (subscription.is_live and subscription.cancel_at is not None):
        return subscription.cancel_at is not None
    return subscription.account.access_ends_at != access_end_of(subscription)


def full_access_with(trial: Subscription, ends_at: dt.datetime, *, at: dt.datetime) -> dt.datetime | None:
    """Until when everything stays on if the trial ends then: the days of grace come after it anew."""
    longer = copy.copy(trial)
    longer.trial_granted_end, longer.trial_granted_at = ends_at, at
    return calendar_of(longer).access_until


def active_days_of(subscription: Subscription) -> int:
    """On how many days of the trial somebody was there."""
    began = local_date(subscription.started_at, subscription.account.time_zone)
    return ActivityDay.objects.active_days(subscription.account, began).count()


def can_extend_yourself(account: Account, *, at: dt.datetime) -> MoreTime | None:
    """What the terms give without asking anybody: so many times, more days to those who really use it."""
    trial, terms = trial_of(account, at=at), account.terms
    taken = TrialExtension.objects.filter(account=account, via=TrialExtension.Via.SELF).count()
    if trial is None or taken >= terms.trial_extensions_max:
        return None
    active_days = active_days_of(trial)
    is_engaged = active_days >= terms.engaged_days
    days = terms.trial_extension_engaged_days if is_engaged else terms.trial_extension_days
    return MoreTime(days, _later(trial, days, at=at), active_days, is_engaged) if days else None


@transaction.atomic
def extend_trial_yourself(account: Account, *, user: User, at: dt.datetime, text: str = "") -> TrialExtension:
    """Take the days that the terms give. What they say they are trying to do is kept for support."""
    account = Account.objects.select_for_update().select_related("terms").get(pk=account.pk)
    more = can_extend_yourself(account, at=at)
    if more is None:
        raise WrongState("The terms give no more days without asking.")
    extension = extend_trial(
        account,
        more.days,
        via=TrialExtension.Via.SELF,
        reason=TrialExtension.Reason.MORE_TIME,
        active_days=more.active_days,
        is_engaged=more.is_engaged,
        by=By.customer(user),
        at=at,
    )
    if text:
        TrialRequest.objects.create(
            account=account,
            subscription=extension.subscription,
            asked_by=user,
            text=text,
            state=TrialRequest.State.GRANTED,
            answer_by=at,
            created_at=at,
            closed_at=at,
        )
    return extension


@transaction.atomic
def extend_trial(
    account: Account,
    days: int,
    *,
    via: str,
    reason: str,
    by: By,
    at: dt.datetime,
    note: str = "",
    active_days: int = 0,
    is_engaged: bool = False,
) -> TrialExtension:
    """So many days more, added to the later of the present end and now (T4); access is on at once.

    Support gives at most what the terms let it move at a time (`charge_move_days`). Where the provider
    knows the trial it is told not to charge before.
    """
    account = Account.objects.select_for_update().select_related("terms").get(pk=account.pk)
    trial = trial_of(account, at=at)
    if trial is None:
        raise WrongState("There is no trial to make longer.")
    if via == TrialExtension.Via.STAFF and not 1 <= days <= account.terms.charge_move_days:
        raise WrongState("The terms let support move the end of a trial by fewer days.")
    return _extend(
        trial,
        _later(trial, days, at=at),
        days=days,
        via=via,
        reason=reason,
        note=note,
        active_days=active_days,
        is_engaged=is_engaged,
        by=by,
        at=at,
    )


def _later(trial: Subscription, days: int, *, at: dt.datetime) -> dt.datetime:
    start = max(trial.trial_end, at) if trial.trial_end else at
    return add_local_days(start, days, trial.account.time_zone)


def _extend(
    trial: Subscription, ends_at: dt.datetime, *, by: By, at: dt.datetime, **columns: object
) -> TrialExtension:
    account = trial.account
    extension = TrialExtension.objects.create(
        account=account,
        subscription=trial,
        ends_before=trial.trial_end or at,
        ends_after=ends_at,
        actor=by.actor,
        actor_ref=by.ref,
        created_at=at,
        **columns,
    )
    record(
        account,
        "trial.extended",
        by=by,
        at=at,
        subject=f"subscription:{trial.public_id}",
        days=extension.days,
        until=ends_at.isoformat(),
        via=extension.via,
        reason=extension.reason,
    )
    if trial.is_local:
        _run_again(trial, by=by, at=at)
        grant_end(trial, ends_at, at=at)
        if account.state != Account.State.TRIALING:
            move_account(
                account,
                Account.State.TRIALING,
                by=by,
                at=at,
                reason="extended",
                access_ends_at=access_end_of(trial),
            )
    else:
        steer_subscription(trial, ends="never", paid_end=ends_at, by=by, at=at)
    subject = f"subscription:{trial.public_id}"
    owe(account, "trial_extended", to=payers(account), period=str(extension.pk), subject=subject, at=at)
    return extension


def extend_by_system(
    trial: Subscription, ends_at: dt.datetime, *, days: int, reason: str, at: dt.datetime
) -> None:
    """The product itself moves the end of a trial with a card, because they were not told in time."""
    columns = {"days": days, "via": TrialExtension.Via.STAFF, "reason": reason}
    _extend(trial, ends_at, by=SYSTEM, at=at, **columns)


def _run_again(trial: Subscription, *, by: By, at: dt.datetime) -> None:
    """A trial that had frozen, or had given way to the free plan, runs again."""
    if trial.is_live:
        return
    for other in Subscription.objects.live().filter(account=trial.account, provider_id=None):
        end_local(other, at=at, reason="trial")
    Subscription.objects.filter(pk=trial.pk, status=Subscription.Status.CANCELED).update(
        status=Subscription.Status.TRIALING, ended_at=None, cancel_at=None
    )
    trial.status, trial.ended_at, trial.cancel_at = Subscription.Status.TRIALING, None, None
    record(trial.account, "subscription.trialing", by=by, at=at, subject=f"subscription:{trial.public_id}")


# --- Asking for more --------------------------------------------------------------------------


def open_request(account: Account) -> TrialRequest | None:
    """The request that waits for an answer."""
    return TrialRequest.objects.open().filter(account=account).first()


def can_ask(account: Account, *, at: dt.datetime) -> bool:
    """Beyond what the terms give by themselves one can ask, once at a time."""
    return trial_of(account, at=at) is not None and open_request(account) is None


@transaction.atomic
def ask_for_time(account: Account, *, user: User, text: str, at: dt.datetime) -> TrialRequest:
    """Ask support for more time. The clock stands still for at most three working days meanwhile."""
    account = Account.objects.select_for_update().select_related("terms").get(pk=account.pk)
    trial = trial_of(account, at=at)
    if trial is None or open_request(account) is not None:
        raise WrongState("There is nothing to ask for, or it was asked already.")
    by = By.customer(user)
    longest = at + dt.timedelta(days=account.terms.hold_max_days)
    answer_by = min(working_days_after(at, ANSWER_DAYS, account.time_zone), longest)
    hold = None
    if holds.can_hold(account, at=at):
        hold = holds.place_hold(
            account, reason=Hold.Reason.REQUEST, until=answer_by, by=by, at=at, placed_by=user
        )
    request = TrialRequest.objects.create(
        account=account,
        subscription=trial,
        asked_by=user,
        text=text,
        hold=hold,
        answer_by=answer_by,
        created_at=at,
    )
    record(
        account,
        "trial.more_time_asked",
        by=by,
        at=at,
        subject=f"request:{request.public_id}",
        until=answer_by.isoformat(),
    )
    return request


@transaction.atomic
def grant_request(
    request: TrialRequest, days: int, *, reason: str, by: By, at: dt.datetime, note: str = ""
) -> TrialExtension:
    """Yes: the clock runs again, and the trial is so many days longer from the later of its end and now."""
    _close(request, TrialRequest.State.GRANTED, "trial.request_granted", by=by, at=at)
    via = TrialExtension.Via.STAFF
    return extend_trial(request.account, days, via=via, reason=reason, note=note, by=by, at=at)


@transaction.atomic
def decline_request(request: TrialRequest, *, answer: str, by: By, at: dt.datetime) -> None:
    """No, with a kind word: the clock runs again from where it stood, and they are told by mail."""
    state = TrialRequest.State.DECLINED
    _close(request, state, "trial.request_declined", by=by, at=at, answer=answer)
    owe(
        request.account,
        "trial_declined",
        to=payers(request.account),
        period=request.public_id,
        subject=f"request:{request.public_id}",
        at=at,
    )


def _close(
    request: TrialRequest, state: str, event: str, *, by: By, at: dt.datetime, answer: str = ""
) -> None:
    Account.objects.select_for_update().get(pk=request.account_id)
    changed = (
        TrialRequest.objects.open().filter(pk=request.pk).update(state=state, closed_at=at, answer=answer)
    )
    if not changed:
        raise WrongState("This request was answered already, or is not needed any more.")
    record(request.account, event, by=by, at=at, subject=f"request:{request.public_id}")
    if request.hold is not None and request.hold.ends_at > at:
        holds.end_hold(request.hold, reason=Hold.Ended.ANSWERED, by=by, at=at)


def lapse_requests(*, at: dt.datetime) -> int:
    """Requests whose days are over: the clock runs again, and nobody waits for an answer any more."""
    due = TrialRequest.objects.open().filter(answer_by__lte=at)
    over = {row.account_id: f"request:{row.public_id}" for row in due}
    if over:
        with transaction.atomic():
            rows = TrialRequest.objects.open().filter(account_id__in=over, answer_by__lte=at)
            rows.update(state=TrialRequest.State.LAPSED, closed_at=at)
            record_many(over, "trial.request_lapsed", by=SYSTEM, at=at, subjects=over)
    return len(over)


# --- One trial each ---------------------------------------------------------------------------


@transaction.atomic
def allow_another_trial(account: Account, *, note: str, by: By, at: dt.datetime, allowed_by: User) -> None:
    """Support lets this account have a trial although its people or its card have had one."""
    if not can_allow_another(account, at=at):
        raise WrongState("Another trial is allowed already.")
    TrialAllowance.objects.create(account=account, note=note, allowed_by=allowed_by, created_at=at)
    record(account, "trial.another_allowed", by=by, at=at)


def can_allow_another(account: Account, *, at: dt.datetime) -> bool:
    """Whether there is anything to allow."""
    is_gone = account.state in (Account.State.CLOSED, Account.State.ERASED)
    return not is_gone and not TrialAllowance.objects.filter(account=account, used_at=None).exists()
