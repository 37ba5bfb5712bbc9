"""The dates of an unpaid invoice: worked out when its case opens, and again after a choice or a hold.

What they are is `billing.dunning_rules`; here they are written, and told where they changed.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from accounts import holds
from accounts.events import SYSTEM, record
from accounts.models import Account, Terms
from billing import periods
from billing.dunning_mails import AHEAD, drop_mails, owe_mail, owe_warnings
from billing.dunning_rules import (
    AGAIN,
    DAY,
    END,
    LEAST_NOTICE_DAYS,
    Choice,
    DunningRules,
    Step,
    access_ends,
    not_before,
    plan_steps,
)
from billing.models import DunningCase


def rules_of(terms: Terms) -> DunningRules:
    """The rules of one version of the terms."""
    return DunningRules(
        attempt_days=tuple(terms.dunning_attempt_days),
        block_day=terms.dunning_block_day,
        end_day=terms.dunning_end_day,
        choose_days=terms.dunning_choose_days,
    )


def dates_told(steps: Iterable[Step], zone: str) -> dict[str, Any]:
    """What the customer is told: the last moment of access, and the day on which all of it ends."""
    steps = list(steps)
    end = next(step for step in steps if step.key == END)
    return {"block_at": access_ends(steps, zone), "end_at": end.at(zone)}


def columns_of(left: Iterable[Step], zone: str) -> dict[str, Any]:
    """The steps that are left, and the first of them where the sweep finds it."""
    left = list(left)
    return {
        "plan": [[step.key, step.day.isoformat()] for step in left],
        "next_step": left[0].kind if left else "",
        "next_at": left[0].at(zone) if left else None,
    }


def first_steps(account: Account, failed_at: dt.datetime, *, at: dt.datetime) -> tuple[Step, ...]:
    """The plan of a case that opens now, for a failure then, by the terms of today."""
    return plan_steps(
        rules_of(account.terms),
        failed_at,
        account.time_zone,
        told_at=at,
        holds=_running_hold(account, at),
    )


def steps_since_failure(case: DunningCase, zone: str) -> tuple[Step, ...]:
    """The whole plan again, from the first failure, with the chosen day and every hold since."""
    return plan_steps(
        rules_of(case.terms),
        case.opened_at,
        zone,
        told_at=case.told_at,
        choice=_choice_of(case),
        holds=_holds_since(case),
    )


def _choice_of(case: DunningCase) -> Choice | None:
    if case.chosen_on and case.chosen_made_at:
        return Choice(case.chosen_made_at, case.chosen_on)
    return None


def steps_left(case: DunningCase) -> tuple[Step, ...]:
    """The case's plan as steps."""
    return tuple(Step(key, dt.date.fromisoformat(day)) for key, day in case.plan)


def _running_hold(account: Account, at: dt.datetime) -> list[holds.Stretch]:
    """The rest of a hold that is open already: the clock of a new case stands still too."""
    hold = holds.open_hold(account, at=at)
    return [(at, hold.ends_at)] if hold else []


def _holds_since(case: DunningCase) -> list[holds.Stretch]:
    """Every hold that stood still for a while of this case."""
    found = holds.stretches(case.account)
    return [(max(start, case.told_at), end) for start, end in found if end > case.told_at]


def follow_hold(account: Account, at: dt.datetime, **_signal: Any) -> None:
    """A hold was placed or ended: each running case gets its dates anew (`hold_changed`)."""
    rows = DunningCase.objects.running().filter(account=account).select_related("terms", "invoice", "account")
    for case in rows:
        replan_case(case, at=at)


@transaction.atomic
def replan_case(case: DunningCase, *, at: dt.datetime) -> None:
    """Work out again what is left, from the first failure, the chosen day and every hold since.

    Dates that come nearer because a hold ended early are told in time all the same.
    """
    account = Account.objects.select_for_update().get(pk=case.account_id)
    case.refresh_from_db()
    zone, left_before = account.time_zone, {step.key for step in steps_left(case)}
    steps, choice = steps_since_failure(case, zone), _choice_of(case)
    today = periods.local_date(at, zone)
    is_new_choice = choice is not None and choice.made_at == at
    left = tuple(
        s
        for s in steps
        if s.key in left_before
        or (is_new_choice and s.key == "chosen")
        or (s.key.startswith(AGAIN) and s.day > today)
    )
    earlier = Step("x", today + LEAST_NOTICE_DAYS * DAY)
    if left and _comes_nearer(case, left, zone):
        left = not_before(left, earlier.day)
    if left and case.last_step_on and left[0].day <= case.last_step_on:
        left = (Step(left[0].key, case.last_step_on + DAY), *left[1:])
    _write_plan(case, account, left, at=at)


def _comes_nearer(case: DunningCase, left: Iterable[Step], zone: str) -> bool:
    harsh = next((step for step in left if step.is_harsh), None)
    told = case.end_at if case.blocked_at else case.block_at
    return harsh is not None and harsh.at(zone) < told


def _write_plan(case: DunningCase, account: Account, left: tuple[Step, ...], *, at: dt.datetime) -> None:
    """Write new dates, move the end of access with them, and tell them where they changed."""
    zone, told = account.time_zone, (case.block_at, case.end_at)
    end = next(step for step in left if step.key == END)
    columns: dict[str, Any] = columns_of(left, zone) | {"end_at": end.at(zone)}
    if case.blocked_at is None:
        columns["block_at"] = access_ends(left, zone)
    DunningCase.objects.running().filter(pk=case.pk).update(**columns)
    case.refresh_from_db()
    if (case.block_at, case.end_at) == told and not case.chosen_on:
        return
    if account.state in Account.OPEN_STATES:
        Account.objects.filter(pk=account.pk, access_ends_at=told[0]).update(access_ends_at=case.block_at)
    drop_mails(case, AHEAD, "moved")
    owe_warnings(case, left, at=at)
    period = f"{case.invoice.provider_id}:{case.block_at.date()}:{case.end_at.date()}"
    owe_mail(case, "dunning_moved", period=period, at=at)


@transaction.atomic
def tell_again(case: DunningCase, *, at: dt.datetime) -> None:
    """The first mail has not left for days: what is harsh waits until it is three days old (T2)."""
    account = Account.objects.select_for_update().get(pk=case.account_id)
    case.refresh_from_db()
    today = periods.local_date(at, account.time_zone)
    left = not_before(steps_left(case), today + LEAST_NOTICE_DAYS * DAY)
    record(account, "dunning.told_late", by=SYSTEM, at=at, subject=case.ref)
    _write_plan(case, account, left, at=at)
