"""Taking the steps that have come, in sets: attempts, the end of access, the end of it all.

What is due is found by one partial index and taken in chunks, each a transaction. A row that someone
else holds, or that was paid or moved meanwhile, is left out by the guard of its update and found again
by the next run, so that two beats do no more than one.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet

from accounts import sets
from accounts.events import SYSTEM, record_many
from accounts.models import Account, Notice, Terms
from accounts.notices import Owed, owe_many
from accounts.states import move_accounts
from billing import dunning_ends
from billing.dunning_attempts import attempt_cases
from billing.dunning_cases import tell_again
from billing.dunning_rules import Step, after_step, dunning_day
from billing.models import DunningCase

#: An attempt is a call at the provider anyway, and its rows are larger.
ATTEMPTS_AT_ONCE = 500
NOTICE_AGE = dt.timedelta(days=3)
NextStep = DunningCase.NextStep


class Due(NamedTuple):
    """What the sweep needs to know of a case whose step has come."""

    pk: int
    account_id: int
    zone: str
    public_id: str
    invoice: str
    plan: list[list[str]]
    is_untold: bool = False


def due_cases(*, at: dt.datetime) -> Any:
    """The cases whose next step has come."""
    return DunningCase.objects.due(at)


def run_dunning(*, at: dt.datetime) -> int:
    """Take one step in every case where one is due; returns how many were taken."""
    done = 0
    for step, (size, take) in STEPS.items():
        due = DunningCase.objects.due(at).filter(next_step=step).order_by("pk")
        for chunk in sets.in_chunks(list(due.values_list("pk", flat=True)), size):
            with transaction.atomic():
                done += take(chunk, at=at)
    return done


def _of(chunk: Sequence[int], step: str, *, at: dt.datetime) -> QuerySet[DunningCase]:
    """What is due of this chunk of keys, which are in order: a range says it in two values."""
    rows = DunningCase.objects.due(at).filter(next_step=step, pk__gte=chunk[0], pk__lte=chunk[-1])
    return rows.order_by("pk")


# --- Attempts ------------------------------------------------------------------------------------


def _attempt(chunk: Sequence[int], *, at: dt.datetime) -> int:
    rows = _of(chunk, NextStep.ATTEMPT, at=at)
    free = sets.lock_accounts(rows.values_list("account_id", flat=True))
    cases = list(rows.filter(account__in=free).select_related("account", "invoice").order_by("pk"))
    attempt_cases(cases, by=SYSTEM, at=at)
    taken = [
        Due(c.pk, c.account_id, c.account.time_zone, c.public_id, c.invoice.provider_id, c.plan)
        for c in cases
    ]
    _go_on(taken, NextStep.ATTEMPT, at=at)
    return len(taken)


# --- The end of access ---------------------------------------------------------------------------


def _block(chunk: Sequence[int], *, at: dt.datetime) -> int:
    """Access has ended by its date; the state follows, and it is told."""
    rows = _told(_read(chunk, NextStep.BLOCK, at=at), at=at)
    taken = _freeze(rows, at=at)
    _go_on(taken, NextStep.BLOCK, at=at, blocked_at=at)
    owe_many(
        "access_blocked",
        [Owed(row.account_id, row.invoice, subject=f"invoice:{row.invoice}") for row in taken],
        at=at,
    )
    return len(taken)


def _read(chunk: Sequence[int], step: str, *, at: dt.datetime) -> list[Due]:
    """The due cases of this chunk as they are now, one for each account: another waits for the next run."""
    rows = _of(chunk, step, at=at).annotate(is_untold=ExpressionWrapper(_untold(at), BooleanField()))
    found: dict[int, Due] = {}
    columns = (
        "pk",
        "account_id",
        "account__time_zone",
        "public_id",
        "invoice__provider_id",
        "plan",
        "is_untold",
    )
    for row in rows.values_list(*columns):
        found.setdefault(row[1], Due(*row))
    return list(found.values())


def _told(rows: list[Due], *, at: dt.datetime) -> list[Due]:
    """Those whose first mail went three days ago or more (T2); the others get new dates, and are told."""
    late = [row.pk for row in rows if row.is_untold]
    for case in DunningCase.objects.running().filter(pk__in=late).select_related("invoice", "account"):
        tell_again(case, at=at)
    return [row for row in rows if not row.is_untold]


def _untold(at: dt.datetime) -> Q:
    """A first mail is owed, and none went in time; one that is dropped has nobody to read it."""
    mails = Notice.objects.filter(account=OuterRef("account"), kind="payment_failed")
    old = Q(status="sent", sent_at__lte=at - NOTICE_AGE) | Q(status__in=("failed", "dropped"))
    return Q(~Exists(mails.filter(old)), Exists(mails))


def _freeze(rows: Sequence[Due], *, at: dt.datetime) -> list[Due]:
    """Freeze these accounts; returns the cases whose step is taken: those frozen, now or before."""
    accounts = [row.account_id for row in rows]
    done = set(
        move_accounts(accounts, Account.OPEN_STATES, Account.State.FROZEN, by=SYSTEM, at=at, reason="unpaid")
    )
    rest = [pk for pk in accounts if pk not in done]
    if rest:
        shut = Account.objects.filter(pk__in=rest).exclude(state__in=Account.OPEN_STATES)
        done |= set(shut.values_list("pk", flat=True))
    return [row for row in rows if row.account_id in done]


# --- The end -------------------------------------------------------------------------------------


def _end(chunk: Sequence[int], *, at: dt.datetime) -> int:
    """Carry out what the terms say for the end; access is off by then, or goes off now."""
    rows = _freeze(_told(_read(chunk, NextStep.END, at=at), at=at), at=at)
    cases = {
        case.pk: case
        for case in DunningCase.objects.running()
        .filter(pk__in=[row.pk for row in rows])
        .select_related("account__terms", "terms", "invoice__subscription")
    }
    by_action: dict[str, list[DunningCase]] = {}
    for case in cases.values():
        by_action.setdefault(dunning_ends.action_of(case), []).append(case)
    return sum(_end_as(action, ended, at=at) for action, ended in by_action.items())


def _end_as(action: str, cases: Sequence[DunningCase], *, at: dt.datetime) -> int:
    keys = [case.pk for case in cases]
    DunningCase.objects.running().filter(pk__in=keys).update(
        status=DunningCase.Status.ENDED,
        end_action=action,
        closed_at=at,
        plan=[],
        next_step="",
        next_at=None,
    )
    DunningCase.objects.filter(pk__in=keys, blocked_at=None).update(blocked_at=at)
    refs = {case.account_id: case.ref for case in cases}
    record_many(list(refs), "dunning.ended", by=SYSTEM, at=at, subjects=refs, action=action)
    if action != Terms.DunningEnd.CANCEL:  # leaving tells of that, with what becomes of the data
        owe_many(
            "dunning_ended",
            [Owed(c.account_id, c.invoice.provider_id, subject=c.about) for c in cases],
            at=at,
        )
    for case in cases:
        dunning_ends.tell_provider(case, action, at=at)
    return len(keys)


# --- Going on ------------------------------------------------------------------------------------


def _go_on(rows: Iterable[Due], step: str, *, at: dt.datetime, **same: Any) -> int:
    """Write what is left of each plan, unless it changed since it was read."""
    rows = list(rows)
    if not rows:
        return 0
    columns: dict[str, list[Any]] = {
        name: [] for name in ("plan", "next_step", "next_at", "last_step_on", *same)
    }
    today = {zone: dunning_day(at, zone) for zone in {row.zone for row in rows}}
    known: dict[tuple[str, str], tuple[Step, ...]] = {}
    for row in rows:
        plan = (row.zone, str(row.plan))
        if plan not in known:
            steps = [Step(key, dt.date.fromisoformat(day)) for key, day in row.plan]
            known[plan] = after_step(steps, today=today[row.zone])
        left = known[plan]
        columns["plan"].append([[s.key, s.day.isoformat()] for s in left])
        columns["next_step"].append(left[0].kind)
        columns["next_at"].append(left[0].at(row.zone))
        columns["last_step_on"].append(today[row.zone])
        for name, value in same.items():
            columns[name].append(value)
    table, params = sets.given([row.pk for row in rows], DunningCase, columns)
    assigned = ", ".join(f"{name} = given.{name}" for name in columns)
    return sets.run(
        (
            f"UPDATE billing_dunningcase SET {assigned} FROM ({table}) AS given "  # noqa: S608
            "WHERE given.id = billing_dunningcase.id AND status = 'open' "
            "AND billing_dunningcase.next_step = %s",
            [*params, step],
        )
    )


STEPS: dict[str, tuple[int, Callable[..., int]]] = {
    NextStep.ATTEMPT: (ATTEMPTS_AT_ONCE, _attempt),
    NextStep.BLOCK: (sets.CHUNK, _block),
    NextStep.END: (ATTEMPTS_AT_ONCE, _end),
}
