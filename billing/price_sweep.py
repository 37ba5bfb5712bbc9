"""Prices that change, by the clock: planned, told to the provider in time, in force, or dropped with why.

What is due is found by one partial index and taken in chunks, each a transaction with a few statements. The
rule is `billing.price_rules.decide_price`; a row that someone else holds is found again by the next run.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts import sets
from accounts.events import SYSTEM, record_many
from accounts.jobs import Outcome
from accounts.models import Hold
from accounts.notices import Owed, owe_many
from billing.models import PlannedPrice, PriceChange, Subscription
from billing.price_planning import about, may_change, plan_prices, reader_of, sent_mails
from billing.price_rules import (
    HOUR,
    WITHDRAWN,
    PriceFacts,
    PriceVerdict,
    decide_price,
    place_of,
    unsaid,
    windows_of,
)
from billing.price_steering import Steered, steer_prices

#: Rows with their account, plan and change are wide.
AT_ONCE: Final = 1_000
State, Reason = PlannedPrice.State, PlannedPrice.Reason
#: Where the subscription goes on, the price is planned again for a later renewal.
_AGAIN: Final = (Reason.UNTOLD, Reason.LATE, Reason.MOVED, Reason.UNPAID, Reason.HELD)


@dataclass(frozen=True)
class Looked:
    """A planned price, when mails about it left, and what becomes of it."""

    row: PlannedPrice
    sent: Sequence[dt.datetime]
    verdict: PriceVerdict


def due_prices(at: dt.datetime) -> int:
    """How much a run would find."""
    spread = sum(_to_look_at(change).count() for change in PriceChange.objects.to_spread())
    withdrawn = PlannedPrice.objects.open().filter(change__in=PriceChange.objects.to_take_back())
    return spread + PlannedPrice.objects.due(at).filter(~Q(pk__in=withdrawn)).count() + withdrawn.count()


def run_prices(*, at: dt.datetime) -> Outcome:
    """Spread new changes, take back withdrawn ones, and look at every planned price that is due."""
    done = sum(spread_change(change, at=at) for change in PriceChange.objects.to_spread())
    for change in PriceChange.objects.to_take_back():
        rows = PlannedPrice.objects.open().filter(change=change)
        done += _in_chunks(rows, at=at)
    done += _in_chunks(PlannedPrice.objects.due(at), at=at)
    return Outcome(due=done, done=done)


def _in_chunks(rows: QuerySet[PlannedPrice], *, at: dt.datetime) -> int:
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    return sum(take_prices(chunk, at=at) for chunk in sets.in_chunks(keys, AT_ONCE))


# --- A new change -------------------------------------------------------------------------------


def spread_change(change: PriceChange, *, at: dt.datetime) -> int:
    """Look once at every subscription of the plan; later ones are planned as news of them comes.

    A cursor keeps the place, so that a run that was killed goes on where it stood.
    """
    done = 0
    while True:
        with transaction.atomic():
            place = PriceChange.objects.to_spread().select_for_update().filter(pk=change.pk).first()
            if place is None:
                return done
            chunk = list(_to_look_at(place)[:AT_ONCE])
            if not chunk:
                PriceChange.objects.filter(pk=change.pk).update(spread_at=at)
                return done
            done += plan_prices(chunk, at=at)
            PriceChange.objects.filter(pk=change.pk).update(spread_to=chunk[-1])


def _to_look_at(change: PriceChange) -> "QuerySet[Subscription, int]":
    rows = may_change().filter(plan=change.from_plan_id, pk__gt=change.spread_to)
    return rows.order_by("pk").values_list("pk", flat=True)


# --- What is due --------------------------------------------------------------------------------


@transaction.atomic
def take_prices(ids: Sequence[int], *, at: dt.datetime) -> int:
    """Do with each of these planned prices what is due; returns how many were looked at."""
    rows = PlannedPrice.objects.open().filter(pk__in=ids)
    held = sets.lock_accounts(rows.values_list("account_id", flat=True))
    related = ("account", "subscription__plan", "change__from_plan", "change__to_plan")
    found = list(rows.filter(account__in=held).select_related(*related).order_by("pk"))
    looked = _look(found, at=at)
    by_verdict: dict[str, list[Looked]] = {}
    for one in looked:
        by_verdict.setdefault(one.verdict.what, []).append(one)
    _wait(by_verdict.get("wait", []))
    _tell(by_verdict.get("tell", []), at=at)
    _close(by_verdict.get("done", []), State.DONE, at=at)
    _drop(by_verdict.get("drop", []), at=at)
    return len(looked)


def _look(rows: Sequence[PlannedPrice], *, at: dt.datetime) -> list[Looked]:
    """Decide about each, by what is so at this moment. Two queries."""
    accounts = [row.account_id for row in rows]
    subjects = {row.pk: about(row.subscription, row.change_id) for row in rows}
    sent = sent_mails(accounts, subjects.values())
    on_hold = set(Hold.objects.open_at(at).filter(account__in=accounts).values_list("account_id", flat=True))
    return [
        Looked(row, mails, decide_price(_facts(row, mails, row.account_id in on_hold), at=at))
        for row in rows
        for mails in [sent[subjects[row.pk]]]
    ]


def _facts(row: PlannedPrice, sent: Sequence[dt.datetime], is_held: bool) -> PriceFacts:
    subscription, change = row.subscription, row.change
    is_paid = subscription.status in (Subscription.Status.ACTIVE, Subscription.Status.TRIALING)
    windows = windows_of(row.takes_at, reader_of(row.account)) if row.is_rise else []
    plans = {change.from_plan_id: "old", change.to_plan_id: "new"}
    return PriceFacts(
        takes_at=row.takes_at,
        is_rise=row.is_rise,
        is_set=row.state == State.SET,
        place=place_of(
            row.takes_at, subscription.period_start, subscription.period_end, subscription.plan.interval
        ),
        on_plan=plans.get(subscription.plan_id, "other"),  # type: ignore[arg-type]
        is_live=subscription.is_live,
        is_leaving=subscription.cancel_at is not None,
        is_withdrawn=change.withdrawn_at is not None,
        waits="" if is_paid and not is_held else "held" if is_paid else "unpaid",
        unsaid=unsaid(windows, sent),
    )


def _wait(looked: Sequence[Looked]) -> None:
    """Look at them again when the rule says."""
    for one in looked:
        one.row.next_at = one.verdict.at
    for one in looked:
        one.row.next_at = one.verdict.at
    PlannedPrice.objects.bulk_update([one.row for one in looked], ["next_at"])


def _tell(looked: Sequence[Looked], *, at: dt.datetime) -> None:
    """Tell the provider: told in time, paid, and the renewal is near. Written down first."""
    for one in looked:
        one.row.state, one.row.set_at = State.SET, at
        one.row.told_at = min(one.sent, default=None)
        one.row.next_at = one.row.takes_at + HOUR
    rows = [one.row for one in looked]
    PlannedPrice.objects.bulk_update(rows, ["state", "set_at", "told_at", "next_at"])
    steer_prices([_steered(row, is_new=True) for row in rows], at=at)
    _record(rows, "price.set", at=at)


def _steered(row: PlannedPrice, *, is_new: bool) -> Steered:
    plans = (row.change.from_plan, row.change.to_plan)
    prices = [plan.provider_price for plan in plans]
    return Steered(row.subscription, prices[is_new], prices)


def _drop(looked: Sequence[Looked], *, at: dt.datetime) -> None:
    """It does not come to it. What the provider was told is taken back, and a later renewal is planned."""
    for one in looked:
        one.row.reason = one.verdict.reason
    _close(looked, State.DROPPED, at=at)
    kept = (Reason.ENDED, Reason.PLAN)
    told = [one.row for one in looked if one.row.set_at and one.row.reason not in kept]
    steer_prices([_steered(row, is_new=False) for row in told], at=at)
    _tell_withdrawn([one.row for one in looked if one.row.reason == Reason.WITHDRAWN and one.sent], at=at)
    again = [one.row.subscription_id for one in looked if one.row.reason in _AGAIN]
    plan_prices(again, at=at)


def _close(looked: Sequence[Looked], state: str, *, at: dt.datetime) -> None:
    rows = [one.row for one in looked]
    for row in rows:
        row.state, row.closed_at, row.next_at = state, at, None
    PlannedPrice.objects.bulk_update(rows, ["state", "reason", "closed_at", "next_at"])
    _record(rows, "price.changed" if state == State.DONE else "price.dropped", at=at)


def _tell_withdrawn(rows: Iterable[PlannedPrice], *, at: dt.datetime) -> None:
    """Whoever was told of a rise is told that it does not come."""
    letters = [
        Owed(row.account_id, row.public_id, subject=about(row.subscription, row.change_id)) for row in rows
    ]
    owe_many(WITHDRAWN, letters, at=at)


def _record(rows: Sequence[PlannedPrice], kind: str, *, at: dt.datetime) -> None:
    """History says it, with the amounts, the renewal and why."""
    record_many(
        [row.account_id for row in rows],
        kind,
        by=SYSTEM,
        at=at,
        subjects={row.account_id: row.ref for row in rows},
        facts_of={row.account_id: row.facts for row in rows},
    )
