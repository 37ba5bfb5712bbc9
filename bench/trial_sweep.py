"""The sweep of trials: so many accounts, of which a hundredth or a tenth has a step that is due.

Half of them end (grace, and the first mail after the end), half of them freeze. `bare_sql` writes the same
rows with one UPDATE for each table and COPY for history and mail, all of it worked out beforehand and without
a question asked; `row_loop` takes account by account with the ORM and the product's single verbs.
"""

import datetime as dt
import io
import time
from typing import Any, Final

from django.db import connection, transaction

from accounts.events import SYSTEM, record
from accounts.models import Account, Event, Notice
from accounts.notices import owe
from accounts.recipients import payers
from accounts.states import move_account
from bench import _world
from bench._world import insert_series
from bench.harness import Result, Run, ratio, take_turns, watching, weighing
from billing.models import Plan, Subscription, TrialStep
from billing.trial_calendar import StepKind
from billing.trial_notices import period_of
from billing.trial_steps import MAIL_OF
from billing.trial_sweep import run_trials

SIZE: Final = 1_000_000
ROUNDS: Final = 5
#: Shares of the accounts that have something due.
SHARES: Final = (100, 10)
#: The loop does this many accounts for real; more would only take longer.
LOOPED: Final = 1_000

DAY: Final = dt.timedelta(days=1)
NOW: Final = dt.datetime(2026, 6, 15, 8, 1, tzinfo=dt.UTC)
ENDS: Final = dt.datetime(2026, 6, 15, 8, 0, tzinfo=dt.UTC)
ENDED: Final = ENDS - 12 * DAY
FROZEN: Final = dt.datetime(2026, 6, 14, 21, 59, 59, tzinfo=dt.UTC)


def run(size: int, rounds: int, *, looped: int = LOOPED, shares: tuple[int, ...] = SHARES) -> Result:
    """Make the accounts, then take turns for each share of them."""
    make_accounts(size)
    found: list[dict[str, Any]] = [_measure(max(2, size // share), rounds, looped) for share in shares]
    names = ("bare_sql", "row_loop")
    result = Result("trial_sweep", size, rounds, {n: min(one["ratios"][n] for one in found) for n in names})
    result.base_mb = found[-1]["memory"].base_mb
    result.peak_mb = max(one["memory"].peak_mb for one in found)
    result.longest_tx_ms = max(one["watch"].longest_tx_ms for one in found)
    result.statements = found[-1]["watch"].statements
    result.seconds_per_row = found[-1]["seconds_per_row"]
    result.notes = [_note(one) for one in found]
    return result


def _note(one: dict[str, Any]) -> str:
    shown = "  ".join(f"{name} {value:.2f}" for name, value in one["ratios"].items())
    return (
        f"{one['due']} due: {shown}  {1e6 * one['seconds_per_row']:.0f} us a row, nothing due "
        f"{one['idle_ms']:.1f} ms, {one['watch'].statements} statements, "
        f"longest transaction {one['watch'].longest_tx_ms:.0f} ms"
    )


def _measure(due: int, rounds: int, looped: int) -> dict[str, Any]:
    runs = {
        "ours": Run(lambda: _sweep(), lambda: make_due(due)),
        "bare_sql": Run(lambda: _BARE.write(), lambda: _BARE.prepare(due)),
        "row_loop": Run(lambda: _loop(min(looped, due)) * due / min(looped, due), lambda: make_due(due)),
    }
    runs["ours"].seconds()
    seconds = take_turns(runs, rounds)
    make_due(due)
    with watching() as watch, weighing() as memory:
        _sweep()
    # Without a vacuum in between: the next run comes a minute later.
    idle = min(Run(lambda: _sweep()).seconds() for _ in range(20))
    return {
        "due": due,
        "ratios": {name: ratio(seconds, "ours", name) for name in ("bare_sql", "row_loop")},
        "watch": watch,
        "memory": memory,
        "idle_ms": idle * 1000,
        "seconds_per_row": sorted(seconds["ours"])[rounds // 2] / due,
    }


def _sweep() -> None:
    run_trials(at=NOW)


# --- The world --------------------------------------------------------------------------------


def make_accounts(size: int) -> None:
    """Accounts with one owner and a subscription each."""
    began = ENDS - 400 * DAY
    like = Account(country="ES", time_zone="Europe/Madrid", currency="EUR", state="active", created_at=began)
    _world.make_accounts(like, size)
    names = {"name_en": "Solo", "name_es": "Solo", "provider_price": "price_1"}
    Plan.objects.create(pk=1, code="solo", amount=1200, currency="EUR", **names)
    own = {"id": "i", "public_id": f"'benchtrial00000000' || {_world.DIGITS}", "account_id": "i"}
    insert_series(Subscription(plan_id=1, status="active", started_at=began), own, size)
    _world.analyze()


def make_due(due: int) -> None:
    """The first `due` accounts are on trials of which half end now and half freeze; nothing was done yet."""
    half = due // 2
    for table in ("accounts_event", "accounts_notice", "billing_trialstep"):
        _execute(f"TRUNCATE {table}" if connection.vendor == "postgresql" else f"DELETE FROM {table}", [])
    _execute(
        "UPDATE accounts_account SET state = CASE WHEN id <= %s THEN 'trialing' ELSE 'grace' END, "
        "event_count = 0, access_ends_at = CASE WHEN id <= %s THEN %s ELSE %s END WHERE id <= %s",
        [half, half, _moment(ENDS + 12 * DAY), _moment(FROZEN), due],
    )
    _execute(
        "UPDATE billing_subscription SET status = 'trialing', ended_at = NULL, cancel_at = NULL, "
        "trial_end = CASE WHEN id <= %s THEN %s ELSE %s END, period_end = CASE WHEN id <= %s THEN %s ELSE %s "
        "END, trial_granted_end = %s, trial_granted_at = %s WHERE id <= %s",
        [
            *(half, _moment(ENDS), _moment(ENDED), half, _moment(ENDS + 12 * DAY), _moment(FROZEN)),
            *(_moment(ENDS), _moment(ENDED), due),
        ],
    )
    steps = [(StepKind.END, ENDS), (StepKind.AFTER_0, ENDS), (StepKind.AFTER_3, ENDS + 3 * DAY)]
    for kind, moment in [*steps, (StepKind.FREEZE, ENDS + 11 * DAY), (StepKind.FAREWELL, ENDS + 14 * DAY)]:
        _make_steps(kind, moment, 1, half)
    _make_steps(StepKind.FREEZE, FROZEN, half + 1, due)
    _make_steps(StepKind.FAREWELL, ENDS + DAY, half + 1, due)
    told = Notice(
        kind="subscription_started",
        status="sent",
        window_from=ENDED,
        window_to=ENDED,
        next_attempt_at=ENDED,
        created_at=ENDED,
        sent_at=ENDED,
    )
    own = {"account_id": "i", "user_id": "i", "recipient": f"'benchuser000000000' || {_world.DIGITS}"}
    insert_series(told, own | {"period": f"'benchtrial00000000' || {_world.DIGITS}"}, due)
    _vacuum()


def _vacuum() -> None:
    """What autovacuum does between two runs."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        for table in ("billing_trialstep", "accounts_notice", "billing_subscription", "accounts_account"):
            _execute(f"VACUUM (ANALYZE) {table}", [])


def _make_steps(kind: str, moment: dt.datetime, first: int, last: int) -> None:
    _execute(
        "INSERT INTO billing_trialstep (subscription_id, kind, due_at, window_to, rule_ids) "
        "SELECT id, %s, %s, %s, '[]' FROM billing_subscription WHERE id BETWEEN %s AND %s",
        [str(kind), _moment(moment), _moment(moment + 2 * DAY), first, last],
    )


def _moment(moment: dt.datetime) -> Any:
    return Account._meta.get_field("created_at").get_db_prep_save(moment, connection)


def _execute(sql: str, params: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


# --- The references ---------------------------------------------------------------------------


class _Bare:
    """The rows that the sweep leaves, found out by letting it run once, then written blindly."""

    def __init__(self) -> None:
        self.copies: list[tuple[str, str]] = []
        self.due = 0

    def prepare(self, due: int) -> None:
        """Find out what is to be written, and make the world new."""
        if self.due != due:
            make_due(due)
            _sweep()
            self.copies = [
                (_copy_in(model), _rows(model, "" if model is Event else "WHERE status = 'owed'"))
                for model in (Event, Notice)
            ]
            self.due = due
        make_due(due)

    def write(self) -> None:
        """One statement for each table, all in one transaction."""
        half = self.due // 2
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE billing_trialstep SET done_at = %s WHERE done_at IS NULL AND due_at <= %s",
                [NOW, NOW],
            )
            cursor.execute(
                "UPDATE accounts_account SET state = 'grace', event_count = event_count + 1, "
                "closed_at = NULL WHERE id <= %s",
                [half],
            )
            cursor.execute(
                "UPDATE accounts_account SET state = 'frozen', event_count = event_count + 2 "
                "WHERE id BETWEEN %s AND %s",
                [half + 1, self.due],
            )
            cursor.execute(
                "UPDATE billing_subscription SET status = 'canceled', ended_at = %s, cancel_at = %s "
                "WHERE id BETWEEN %s AND %s",
                [NOW, NOW, half + 1, self.due],
            )
            for sql, rows in self.copies:
                with cursor.copy(sql) as copy:
                    copy.write(rows)


_BARE = _Bare()


def _names(model: Any) -> str:
    return ", ".join(str(f.column) for f in model._meta.concrete_fields if not f.primary_key)


def _copy_in(model: Any) -> str:
    return f"COPY {model._meta.db_table} ({_names(model)}) FROM STDIN"


def _rows(model: Any, where: str) -> str:
    found = io.BytesIO()
    sql = f"COPY (SELECT {_names(model)} FROM {model._meta.db_table} {where}) TO STDOUT"
    with connection.cursor() as cursor, cursor.copy(sql) as copy:
        for block in copy:
            found.write(block)
    return found.getvalue().decode()


def _loop(number: int) -> float:
    """Account by account: read, decide, write, tell; returns the seconds that it took."""
    half, started = number // 2, time.perf_counter()
    for pk in TrialStep.objects.due(NOW).filter(kind=StepKind.END).order_by("pk").values_list("pk")[:half]:
        take_step(pk[0])
    for pk in TrialStep.objects.due(NOW).filter(kind=StepKind.FREEZE).order_by("pk").values_list("pk")[:half]:
        take_step(pk[0])
    return time.perf_counter() - started


@transaction.atomic
def take_step(pk: int) -> None:
    """What is due of one account, with the product's single verbs."""
    step = TrialStep.objects.select_related("subscription__plan").get(pk=pk)
    account = Account.objects.select_for_update().select_related("terms").get(pk=step.subscription.account_id)
    trial = step.subscription
    due = list(TrialStep.objects.due(NOW).filter(subscription=trial).order_by("due_at", "pk"))
    for one in due:
        TrialStep.objects.filter(pk=one.pk, done_at=None).update(done_at=NOW)
    if step.kind == StepKind.END:
        move_account(account, Account.State.GRACE, by=SYSTEM, at=NOW, reason="trial_over")
    else:
        told = Notice.objects.filter(account=account, kind="subscription_started", sent_at__lte=NOW - 3 * DAY)
        assert told.exists()
        move_account(account, Account.State.FROZEN, by=SYSTEM, at=NOW, reason="trial_over")
        ended = {"status": Subscription.Status.CANCELED, "ended_at": NOW, "cancel_at": NOW}
        Subscription.objects.filter(pk=trial.pk, status=Subscription.Status.TRIALING).update(**ended)
        subject = f"subscription:{trial.public_id}"
        record(account, "subscription.canceled", by=SYSTEM, at=NOW, subject=subject, reason="trial_over")
    mails = [one for one in due if StepKind(one.kind) in MAIL_OF]
    if mails:
        owe(
            account,
            MAIL_OF[StepKind(mails[-1].kind)],
            to=payers(account),
            period=period_of(trial, mails[-1].kind),
            subject=f"subscription:{trial.public_id}",
            window_to=mails[-1].window_to,
            at=NOW,
        )
