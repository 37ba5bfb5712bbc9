"""What is due today of all trials: reminders, the end, the freeze, the thank-you; in sets, in chunks."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from accounts.events import SYSTEM, record_many
from accounts.jobs import Outcome
from accounts.models import Account, Member, Notice, Terms
from accounts.notices import Owed, owe_many
from accounts.sets import PLAIN_CHUNK, compile_nothing, in_chunks, lock_accounts
from accounts.states import move_accounts
from billing.models import Plan, Subscription, TrialStep
from billing.signals import trials_closed
from billing.trial_calendar import TOLD_DAYS, StepKind, next_working_moment
from billing.trial_notices import period_of
from billing.trial_sets import LEADING, TELLING, WAYS, Way, take_plain_days
from billing.trial_steps import MAIL_OF, OVER, free_plan_of, grant_end
from billing.trials import lapse_requests

#: What has to be known of a step that is due, in one row.
COLUMNS = (
    "kind",
    "due_at",
    "window_to",
    "rule_ids",
    "subscription_id",
    "subscription__public_id",
    "subscription__trial_end",
    "subscription__period_end",
    "subscription__provider_id",
    "subscription__status",
    "subscription__cancel_at",
    "subscription__account_id",
    "subscription__account__state",
    "subscription__account__access_ends_at",
    "subscription__account__currency",
    "subscription__account__terms__trial_end_plan",
)


class Due(NamedTuple):
    """One step that is due, with its trial and account."""

    kind: str
    due_at: dt.datetime
    window_to: dt.datetime
    rule_ids: list[str]
    trial: int
    trial_id: str
    trial_end: dt.datetime
    period_end: dt.datetime
    provider_id: str | None
    status: str
    cancel_at: dt.datetime | None
    account: int
    state: str
    access_ends_at: dt.datetime | None
    currency: str
    end_plan: str

    @property
    def is_ours(self) -> bool:
        """Whether the trial still decides: nobody has paid, and nobody has said that they leave."""
        if self.provider_id is not None:
            return self.status == "trialing" and self.cancel_at is None
        return self.state in ("trialing", "grace", "frozen", "active") and (
            self.access_ends_at is None or self.access_ends_at == self.period_end
        )

    def owed(self, since: dt.datetime | None = None) -> Owed:
        """The mail of this step, due now or `since` then."""
        period = f"{self.trial_id}:{self.kind}:{self.trial_end:%Y%m%d%H%M}"
        return Owed(self.account, period, since, self.window_to, f"subscription:{self.trial_id}")


@dataclass
class Chunk:
    """What a chunk of accounts comes to: who moves where, and which mail each is owed."""

    end: list[Due] = field(default_factory=list)
    freeze: list[Due] = field(default_factory=list)
    mails: dict[int, Due] = field(default_factory=dict)
    #: What the law wanted said and is too late now: owed all the same, so that it fails where staff see it.
    missed: list[Due] = field(default_factory=list)
    #: Accounts whose last step this is.
    over: set[int] = field(default_factory=set)


def run_trials(*, at: dt.datetime) -> Outcome:
    """Take every step that is due, each once, however late: only what is still true is said.

    Two runs at a time are harmless: whoever holds an account does it, the other one leaves it out.
    """
    done = plan_forgotten_trials(at=at) + lapse_requests(at=at)
    held: set[int] = set()
    for way in WAYS if TrialStep.objects.is_any_due(at) else ():
        for ids in in_chunks(due_accounts(way, at=at), PLAIN_CHUNK):
            with transaction.atomic():
                compile_nothing()
                taken = _take(ids, way, at=at)
            held = held.union(ids) - taken
            done += len(taken)
    return Outcome(due=done + len(held), done=done, skipped={"held": len(held)} if held else {})


def due_accounts(way: Way, *, at: dt.datetime) -> Iterable[int]:
    """The accounts of which a step is due that may be taken this way, by key; each is due in some way."""
    due = TrialStep.objects.due(at)
    steps = due.filter(kind=way.led_by) if way.led_by else due.exclude(kind__in=LEADING)
    return steps.order_by("subscription__account").values_list("subscription__account", flat=True).distinct()


def plan_forgotten_trials(*, at: dt.datetime) -> int:
    """Trials from before there was a calendar get theirs; a look at an index where there are none.

    (One look for one row: for all of them PostgreSQL guesses thousands, and starts workers to read none.)
    """
    rows = Subscription.objects.filter(
        status=Subscription.Status.TRIALING,
        trial_granted_end=None,
        trial_end__isnull=False,
        first_paid_at=None,
    )
    done = 0
    for row in rows.select_related("account__terms", "plan") if rows.exists() else []:
        with transaction.atomic():
            Account.objects.select_for_update().get(pk=row.account_id)
            if row.trial_end is not None:
                grant_end(row, row.trial_end, at=min(at, row.started_at))
                done += 1
    return done


def _take(ids: Sequence[int], way: Way, *, at: dt.datetime) -> set[int]:
    """All that is due of these accounts; returns whose, without those that somebody else holds."""
    plain = take_plain_days(ids, way, at=at) if connection.vendor == "postgresql" else set()
    rest = [pk for pk in ids if pk not in plain]
    return plain | _take_any(rest, at=at) if rest else plain


def _take_any(ids: Sequence[int], *, at: dt.datetime) -> set[int]:
    """The same for whatever mixture of steps is due, however late."""
    held = lock_accounts(ids)
    steps = TrialStep.objects.due(at).filter(subscription__account__in=held).order_by("due_at", "pk")
    rows = [Due(*row) for row in steps.values_list(*COLUMNS)]
    TrialStep.objects.due(at).filter(subscription__account__in=held).update(done_at=at)
    chunk = _sort((row for row in rows if row.is_ours), at=at)
    _end_trials(chunk.end, at=at)
    for account in _end_access(chunk.freeze, at=at):
        chunk.mails.pop(account, None)
        chunk.over.discard(account)
    _owe_mails(chunk.mails.values(), at=at)
    _owe_mails(chunk.missed, at=at, is_late=True)
    _close(chunk.over, at=at)
    return {row.account for row in rows}


def _sort(rows: Iterable[Due], *, at: dt.datetime) -> Chunk:
    """Every change of state is made; of several mails the last one is said, for the rules of all.

    What is too late is not said any more. Where a law wanted it said, it is noted as missed.
    """
    chunk = Chunk()
    for row in rows:
        if row.kind == StepKind.FAREWELL:
            chunk.over.add(row.account)
        if row.kind == StepKind.END:
            chunk.end.append(row)
        elif row.kind == StepKind.FREEZE:
            chunk.freeze.append(row)
        elif row.window_to < at:
            chunk.missed += [row] if row.rule_ids else []
        else:
            earlier = chunk.mails.get(row.account)
            chunk.mails[row.account] = _instead_of(earlier, row) if earlier else row
    return chunk


def _instead_of(earlier: Due, row: Due) -> Due:
    """One mail for both: it keeps the rules of the earlier one, inside the narrower window."""
    if not earlier.rule_ids:
        return row
    rules = list(dict.fromkeys([*earlier.rule_ids, *row.rule_ids]))
    return row._replace(rule_ids=rules, window_to=min(earlier.window_to, row.window_to))


def _end_trials(rows: list[Due], *, at: dt.datetime) -> None:
    """The trial is over, everything stays on."""
    ids = [row.account for row in rows if row.state == Account.State.TRIALING]
    move_accounts(ids, [Account.State.TRIALING], Account.State.GRACE, by=SYSTEM, at=at, reason="trial_over")


def _end_access(rows: list[Due], *, at: dt.datetime) -> set[int]:
    """Full access ends: frozen, or down to the free plan. Nobody is frozen who was not told (T2).

    Returns those for whom it was put off.
    """
    free = [row for row in rows if row.end_plan == Terms.TrialEnd.FREE_PLAN]
    plans = {currency: _free_plan(currency) for currency in {row.currency for row in free}}
    down = [row for row in free if plans[row.currency] is not None]
    kept = {row.account for row in down}
    frozen = [row for row in rows if row.account not in kept]
    untold = _untold([row.account for row in frozen], at=at)
    _put_off([row for row in frozen if row.account in untold], at=at)
    _freeze([row for row in frozen if row.account not in untold], at=at)
    for currency, plan in plans.items():
        if plan is not None:
            _move_down([row for row in down if row.currency == currency], plan, at=at)
    return untold


def _free_plan(currency: str) -> Plan | None:
    return free_plan_of(Account(currency=currency))


def _untold(ids: list[int], *, at: dt.datetime) -> set[int]:
    """Those who have somebody to tell, and whom no mail of at least three days ago has told."""
    if not ids:
        return set()
    since = at - dt.timedelta(days=TOLD_DAYS)
    mails = Notice.objects.filter(account=OuterRef("pk"), kind__in=TELLING, window_from__lte=since)
    told = mails.filter(Q(sent_at__lte=since) | Q(status__in=("dropped", "failed")))
    readers = Member.objects.payers().filter(account=OuterRef("pk"))
    rows = Account.objects.filter(~Exists(told), Exists(readers), pk__in=ids)
    return set(rows.values_list("pk", flat=True))


def _put_off(rows: list[Due], *, at: dt.datetime) -> None:
    """Access goes on until they have known for three days. An exception: mail did not leave for days."""
    for row in rows:
        trial = Subscription.objects.select_related("account__terms", "plan").get(pk=row.trial)
        told_at = next_working_moment(at, trial.account.time_zone)
        grant_end(trial, row.trial_end, at=at, told_at=told_at)
        period = f"{period_of(trial, StepKind.AFTER_8)}:{at:%Y%m%d}"
        owed = Owed(row.account, period, None, trial.period_end, f"subscription:{row.trial_id}")
        owe_many(OVER, [owed], at=at)


def _freeze(rows: list[Due], *, at: dt.datetime) -> None:
    seen = [Account.State.TRIALING, Account.State.GRACE]
    moved = move_accounts(
        [row.account for row in rows], seen, Account.State.FROZEN, by=SYSTEM, at=at, reason="trial_over"
    )
    _end_subscriptions([row for row in rows if row.account in set(moved)], at=at, reason="trial_over")


def _move_down(rows: list[Due], plan: Plan, *, at: dt.datetime) -> None:
    """Onto the free plan: never billed, never expiring, never frozen."""
    ended = _end_subscriptions(rows, at=at, reason="free_plan")
    new = [
        Subscription(account_id=pk, plan=plan, status=Subscription.Status.ACTIVE, started_at=at)
        for pk in ended
    ]
    Subscription.objects.bulk_create(new)
    names = {row.account_id: f"subscription:{row.public_id}" for row in new}
    record_many(ended, "subscription.active", by=SYSTEM, at=at, subjects=names, is_free=True)
    seen = [Account.State.TRIALING, Account.State.GRACE]
    move_accounts(
        ended, seen, Account.State.ACTIVE, by=SYSTEM, at=at, reason="free_plan", access_ends_at=None
    )


def _end_subscriptions(rows: Iterable[Due], *, at: dt.datetime, reason: str) -> list[int]:
    """End these trials; returns the accounts, in order."""
    names = {row.account: f"subscription:{row.trial_id}" for row in rows}
    ended: dict[str, Any] = {"status": Subscription.Status.CANCELED, "ended_at": at, "cancel_at": at}
    trials = [row.trial for row in rows]
    Subscription.objects.filter(pk__in=trials, status=Subscription.Status.TRIALING).update(**ended)
    record_many(names, "subscription.canceled", by=SYSTEM, at=at, subjects=names, reason=reason)
    return sorted(names)


def _owe_mails(rows: Iterable[Due], *, at: dt.datetime, is_late: bool = False) -> None:
    """Owe each its mail, in as many statements as there are kinds and sets of rules."""
    by_kind: dict[tuple[str, tuple[str, ...]], list[Owed]] = {}
    for row in rows:
        mail = MAIL_OF[StepKind(row.kind)], tuple(row.rule_ids)
        by_kind.setdefault(mail, []).append(row.owed(row.due_at if is_late else None))
    for (kind, rules), owed in by_kind.items():
        owe_many(kind, owed, at=at, rule_ids=rules)


def _close(ids: Iterable[int], *, at: dt.datetime) -> None:
    """With the thank-you the days of keeping their data begin, for those who are frozen."""
    rows = Account.objects.filter(pk__in=list(ids), state=Account.State.FROZEN).order_by("pk")
    frozen = list(rows.values_list("pk", flat=True)) if ids else []
    if frozen:
        trials_closed.send(Subscription, account_ids=frozen, at=at)
