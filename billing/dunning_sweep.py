"""Taking the steps that have come, in sets: attempts, the end of access, the end of it all.

What is due is found by one partial index and taken in chunks, each a transaction. A row that someone
else holds, or that was paid or moved meanwhile, is left out by the guard of its update and found again
by the next run, so that two beats do no more than one.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from accounts import sets
from accounts.events import SYSTEM, record_many
from accounts.models import Account, Notice, Terms
from accounts.notices import Owed, owe_each, owe_many
from accounts.states import move_accounts
from billing import dunning_ends
from billing.dunning_attempts import attempt_cases
from billing.dunning_dates import tell_again
from billing.dunning_sets import go_on, hold_blocks, take_plain_blocks
from billing.models import DunningCase

#: An attempt is a call at the provider anyway, and its rows are larger.
ATTEMPTS_AT_ONCE = 500
NOTICE_AGE = dt.timedelta(days=3)
NextStep = DunningCase.NextStep


class Due(NamedTuple):
    """What the sweep needs to know of a case whose step has come."""

    pk: int
    account_id: int
    is_untold: bool


def due_cases(*, at: dt.datetime) -> Any:
    """The cases whose next step has come."""
    return DunningCase.objects.due(at)


def run_dunning(*, at: dt.datetime) -> int:
    """Take one step in every case where one is due; returns how many were taken."""
    if not DunningCase.objects.is_any_due(at):
        return 0
    done = 0
    for step, (size, take) in STEPS.items():
        due = DunningCase.objects.due(at).filter(next_step=step).order_by("account")
        for chunk in sets.in_chunks(due.values_list("account", flat=True).distinct(), size):
            with transaction.atomic():
                sets.compile_nothing()
                done += take(chunk, at=at)
    return done


def _hold(chunk: Sequence[int], step: str, *, at: dt.datetime) -> QuerySet[DunningCase]:
    """What is still due of these accounts, without those that somebody else holds; ours from here on.

    Held before anything is read: who pays takes the account first, too, so that nobody who paid is frozen.
    """
    held = sets.lock_accounts(chunk)
    due = DunningCase.objects.due(at).filter(next_step=step)
    return due.filter(account__in=sets.keys(held)).order_by("pk")


# --- Attempts ------------------------------------------------------------------------------------


def _attempt(chunk: Sequence[int], *, at: dt.datetime) -> int:
    rows = _hold(chunk, NextStep.ATTEMPT, at=at)
    cases = list(rows.select_related("account", "invoice"))
    attempt_cases(cases, by=SYSTEM, at=at)
    go_on([case.pk for case in cases], NextStep.ATTEMPT, at=at)
    return len(cases)


# --- The end of access ---------------------------------------------------------------------------


def _block(chunk: Sequence[int], *, at: dt.datetime) -> int:
    """Access has ended by its date; the state follows, and it is told."""
    plain: list[int] = []
    if connection.vendor == "postgresql":
        plain = take_plain_blocks(hold_blocks(chunk, at=at), _told(at), at=at)
    taken = set(plain)
    rest = [pk for pk in chunk if pk not in taken]
    return len(plain) + (_block_any(rest, at=at) if rest else 0)


def _block_any(chunk: Sequence[int], *, at: dt.datetime) -> int:
    """The same for whatever is due, step by step."""
    held = _hold(chunk, NextStep.BLOCK, at=at)
    taken = [row.pk for row in _freeze(_read(held, at=at), at=at)]
    go_on(taken, NextStep.BLOCK, at=at, blocked_at=at)
    owe_each("access_blocked", _mails_of(taken), at=at)
    return len(taken)


def _mails_of(taken: Sequence[int]) -> QuerySet[Any]:
    """What each of these cases' mails is about."""
    number = F("invoice__provider_id")
    rows = DunningCase.objects.filter(pk__in=sets.keys(taken)).order_by()
    return rows.values("account_id", period=number, subject=Concat(Value("invoice:"), number))


def _read(held: QuerySet[DunningCase], *, at: dt.datetime) -> list[Due]:
    """Those that were told, one for each account: another waits for the next run.

    Where the first mail did not go three days ago or more (T2), they get new dates, and are told.
    """
    rows = held.annotate(is_untold=ExpressionWrapper(_untold(at), BooleanField()))
    found: dict[int, Due] = {}
    for row in rows.values_list("pk", "account_id", "is_untold"):
        found.setdefault(row[1], Due(*row))
    late = [row.pk for row in found.values() if row.is_untold]
    for case in DunningCase.objects.running().filter(pk__in=late).select_related("invoice", "account"):
        tell_again(case, at=at)
    return [row for row in found.values() if not row.is_untold]


def _untold(at: dt.datetime) -> Q:
    """A first mail is owed, and none went in time; one that is dropped has nobody to read it."""
    return Q(~_told(at), Exists(_first_mails()))


def _told(at: dt.datetime) -> Exists:
    """The first mail went three days ago or more, or has nobody to read it."""
    old = Q(status="sent", sent_at__lte=at - NOTICE_AGE) | Q(status__in=("failed", "dropped"))
    return Exists(_first_mails().filter(old))


def _first_mails() -> QuerySet[Notice]:
    return Notice.objects.filter(account=OuterRef("account"), kind="payment_failed")


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
    rows = _freeze(_read(_hold(chunk, NextStep.END, at=at), at=at), at=at)
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


STEPS: dict[str, tuple[int, Callable[..., int]]] = {
    NextStep.ATTEMPT: (ATTEMPTS_AT_ONCE, _attempt),
    NextStep.BLOCK: (sets.PLAIN_CHUNK, _block),
    NextStep.END: (ATTEMPTS_AT_ONCE, _end),
}
