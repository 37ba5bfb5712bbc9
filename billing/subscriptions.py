"""Starting, changing and steering a subscription."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record, record_many
from accounts.law import EventKind, days_to_tell
from accounts.models import Account
from accounts.notices import owe
from accounts.recipients import payers
from accounts.sharing import shared
from accounts.states import move_account
from billing.instructions import instruct
from billing.models import Customer, Instruction, Plan, Subscription
from billing.periods import add_local_days, local_date
from billing.trial_calendar import TrialCalendar
from billing.trial_rights import had_trial, use_allowance
from billing.trial_steps import access_end_of, drop_trial, drop_trials, free_plan_of, grant_end, plan_trial


def subscriptions_of(account: Account) -> list[Subscription]:
    """What runs and what ran, newest first, with plans and terms; read once for a page. One query."""
    rows = Subscription.objects.filter(account=account).select_related("plan", "account__terms")
    rows = rows.with_planned_price()
    return shared(account, "billing.subscriptions", lambda: list(rows.order_by("-started_at", "-pk")))


@transaction.atomic
def start_free_plan(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Subscription:
    """The free plan: never billed, never expiring, never frozen. Needs nobody at the provider."""
    if not plan.is_free:
        raise ValueError("This plan has a price.")
    if Subscription.objects.live().filter(account=account).exists():
        raise WrongState("There is a subscription already.")
    subscription = Subscription.objects.create(
        account=account, plan=plan, status=Subscription.Status.ACTIVE, started_at=at
    )
    subject = f"subscription:{subscription.public_id}"
    record(account, "subscription.active", by=by, at=at, subject=subject, is_free=True)
    if account.state != Account.State.ACTIVE:
        drop_trial(account, at=at, reason="free_plan")
        move_account(account, Account.State.ACTIVE, by=by, at=at, reason="free_plan", access_ends_at=None)
    return subscription


def put_on_free_plan(account: Account, at: dt.datetime, **_signal: Any) -> None:
    """A new account starts on the free plan of its currency, where there is one (`account_opened`)."""
    plan = free_plan_of(account)
    if plan is not None:
        start_free_plan(account, plan, by=SYSTEM, at=at)


@transaction.atomic
def start_trial(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Subscription:
    """A trial without card: known to us alone, ends by itself, converts never.

    All its days are known from now on; so is the last moment of full access, which is written down.
    """
    if plan.trial_needs_card or not plan.trial_days:
        raise ValueError("This plan has no trial without a card.")
    if had_trial(account):
        raise WrongState("There was a trial already.")
    Subscription.objects.live().filter(account=account, provider_id=None, plan__amount=0).update(
        status=Subscription.Status.CANCELED, ended_at=at
    )
    ends = add_local_days(at, plan.trial_days, account.time_zone)
    subscription = Subscription.objects.create(
        account=account,
        plan=plan,
        status=Subscription.Status.TRIALING,
        started_at=at,
        period_start=at,
        period_end=ends,
        trial_end=ends,
        trial_granted_end=ends,
        trial_granted_at=at,
    )
    use_allowance(account, at=at)
    subject = f"subscription:{subscription.public_id}"
    record(account, "subscription.trialing", by=by, at=at, subject=subject)
    calendar = plan_trial(subscription, at=at)
    if account.state != Account.State.TRIALING:
        move_account(account, Account.State.TRIALING, by=by, at=at, reason="trial")
    Account.objects.filter(pk=account.pk).update(access_ends_at=access_end_of(subscription))
    account.access_ends_at = access_end_of(subscription)
    owe_start_of_trial(subscription, calendar, at=at)
    return subscription


def owe_start_of_trial(subscription: Subscription, calendar: TrialCalendar, *, at: dt.datetime) -> None:
    """The mail that says how long it is and what comes after; in a short trial the law's notice, too."""
    owe(
        subscription.account,
        "subscription_started",
        to=payers(subscription.account),
        period=subscription.public_id,
        subject=f"subscription:{subscription.public_id}",
        at=at,
        window_to=max(at, calendar.told.window_to),
        rule_ids=calendar.told.rule_ids,
    )


@dataclass(frozen=True)
class FreeDays:
    """The first charge is `until`, `told_days` after they are told; `instead_of` an earlier end, for that."""

    until: dt.datetime
    told_days: int
    instead_of: dt.datetime | None = None


def free_days(account: Account, plan: Plan, *, at: dt.datetime) -> FreeDays | None:
    """The free days of this plan for this account, or None where it is paid from the start.

    Free days that run already are kept, with those that the terms give for a card, and with as many more
    as the law wants between the mail about the first charge and that charge; new ones come with a trial
    that needs a card, once.
    """
    told_days = told_days_of(account, at=at)
    running = Subscription.objects.live().filter(account=account, plan=plan, provider_id=None).first()
    if running is not None and running.trial_end is not None and running.trial_end > at:
        kept = add_local_days(running.trial_end, account.terms.trial_card_days, account.time_zone)
        earliest = earliest_first_charge(account, at=at)
        return FreeDays(kept, told_days) if kept >= earliest else FreeDays(earliest, told_days, kept)
    if plan.trial_needs_card and plan.trial_days and not had_trial(account):
        return FreeDays(at + dt.timedelta(days=plan.trial_days), told_days)
    return None


def free_until(account: Account, plan: Plan, *, at: dt.datetime) -> dt.datetime | None:
    """When the free days of this plan end for this account, or None where it is paid from the start."""
    free = free_days(account, plan, at=at)
    return free.until if free else None


def told_days_of(account: Account, *, at: dt.datetime) -> int:
    """How many days before the first charge after a trial this account has to know of it."""
    day = local_date(at, account.time_zone)
    return days_to_tell(EventKind.TRIAL_END_WITH_CARD, account.country, account.kind, day)


def earliest_first_charge(account: Account, *, at: dt.datetime) -> dt.datetime:
    """The first moment at which a card may be charged of which they are told now.

    A day more than the law wants, in which the mail leaves.
    """
    return add_local_days(at, told_days_of(account, at=at) + 1, account.time_zone)


def desired_subscription(
    customer: Customer,
    plan: Plan,
    *,
    default_payment_method: str = "",
    trial_end: dt.datetime | None = None,
) -> dict[str, Any]:
    """What a new subscription should be, as an instruction says it."""
    return {
        "customer": customer.provider_id,
        "price": plan.provider_price,
        "account": customer.account.public_id,
        "default_payment_method": default_payment_method or None,
        "trial_end": int(trial_end.timestamp()) if trial_end else None,
    }


@transaction.atomic
def steer_subscription(
    subscription: Subscription,
    *,
    ends: str,
    at: dt.datetime,
    by: By,
    paid_end: dt.datetime | Literal["now"] | None = None,
    only_later: bool = False,
    open_invoices: dict[str, Any] | None = None,
    price: str = "",
    is_billing: bool | None = None,
) -> Instruction | None:
    """Tell the provider what should be: `ends` is never, period_end or now.

    `paid_end` moves the end of what is paid (no proration, nothing charged before it; "now" charges now),
    with `only_later` unless a renewal was charged meanwhile whose period goes on beyond it;
    `open_invoices` says what becomes of each unpaid invoice; without `is_billing` no period that begins
    is billed, until it is given again. What an earlier instruction wanted and
    could not yet say is carried on. A local subscription needs nothing said: None.
    """
    if subscription.is_local:
        return None
    subject = f"subscription:{subscription.provider_id}"
    unsaid = Instruction.objects.open().filter(subject=subject).order_by("-version").first()
    desired: dict[str, Any] = dict(unsaid.desired) if unsaid else {}
    desired |= {"subscription": subscription.provider_id, "ends": ends}
    if paid_end is not None:
        desired["trial_end"] = paid_end if paid_end == "now" else int(paid_end.timestamp())
        desired.pop("only_later", None)
        desired |= {"only_later": True} if only_later else {}
    if open_invoices:
        desired["open_invoices"] = open_invoices
    if price:
        desired["price"] = price
        desired.pop("price_if", None)
    if is_billing is not None:
        desired["is_billing"] = is_billing
    return instruct(
        subscription.account,
        kind=Instruction.Kind.SUBSCRIPTION,
        subject=subject,
        desired=desired,
        at=at,
        by=by,
    )


def is_ending(subscription: Subscription) -> bool:
    """Whether it has ended, or will, as far as anybody has said."""
    if not subscription.is_live or subscription.cancel_at is not None:
        return True
    told = Instruction.objects.open().filter(subject=f"subscription:{subscription.provider_id}")
    return told.filter(desired__ends__in=("now", "period_end")).exists()


@transaction.atomic
def change_plan(subscription: Subscription, plan: Plan, *, by: By, at: dt.datetime) -> None:
    """Another plan from the next renewal on; the paid period stays as it was paid.

    To the free plan it is a local change once the paid period is over, which leaving decides.
    """
    if (
        not subscription.is_live
        or subscription.is_local
        or plan.is_free
        or plan.currency != subscription.plan.currency
    ):
        raise WrongState("This subscription cannot be moved to that plan.")
    record(
        subscription.account,
        "subscription.plan_changed",
        by=by,
        at=at,
        subject=f"subscription:{subscription.public_id}",
        plan=plan.code,
    )
    steer_subscription(
        subscription,
        ends="period_end" if subscription.cancel_at else "never",
        price=plan.provider_price,
        at=at,
        by=by,
    )


@transaction.atomic
def end_local(subscription: Subscription, *, at: dt.datetime, reason: str) -> None:
    """End a subscription that only we know of; of a trial nothing is left to happen."""
    changed = (
        Subscription.objects.live()
        .filter(pk=subscription.pk, provider_id=None)
        .update(status=Subscription.Status.CANCELED, ended_at=at, cancel_at=at)
    )
    if changed:
        if subscription.trial_end:
            drop_trial(subscription.account, at=at, reason=reason)
        record(
            subscription.account,
            "subscription.canceled",
            by=SYSTEM,
            at=at,
            subject=f"subscription:{subscription.public_id}",
            reason=reason,
        )


@transaction.atomic
def end_local_many(subscriptions: Iterable[int], *, at: dt.datetime, reason: str) -> None:
    """What `end_local` does, for many at once; those that the provider knows are left alone."""
    ids = list(subscriptions)
    drop_trials(ids, reason=reason)
    live = Subscription.objects.live().filter(pk__in=ids, provider_id=None)
    rows = list(live.select_for_update().values_list("pk", "account_id", "public_id"))
    if rows:
        live.update(status=Subscription.Status.CANCELED, ended_at=at, cancel_at=at)
    subjects = {account_id: f"subscription:{public_id}" for _pk, account_id, public_id in rows}
    record_many(subjects, "subscription.canceled", by=SYSTEM, at=at, subjects=subjects, reason=reason)


def move_local_end(subscription: Subscription, ends: dt.datetime, *, at: dt.datetime) -> None:
    """Move the end of a trial that only we know of; access that was to end with it ends then."""
    before = subscription.trial_end
    if subscription.cancel_at is not None:
        Subscription.objects.filter(pk=subscription.pk).update(cancel_at=ends)
    grant_end(subscription, ends, at=at)
    Account.objects.filter(pk=subscription.account_id, access_ends_at=before).update(access_ends_at=ends)
