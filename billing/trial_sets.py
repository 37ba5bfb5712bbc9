"""The ordinary days of trials in one statement a chunk, on PostgreSQL.

What `billing.trial_sweep` does step by step for any mixture of steps, this does for those that everybody
goes through: a mail before or after the end, the end with its first mail, the freeze. What is not plain
(several steps at once after an outage, the free plan, a thank-you, nobody told) is left as it was found.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from accounts import sets
from accounts.doorbell import ring
from accounts.events import NUMBERED, SYSTEM
from accounts.models import Account, Event, Notice
from accounts.signals import access_changed
from billing.trial_calendar import AFTER_KINDS, TOLD_DAYS, StepKind
from billing.trial_steps import ENDS, MAILS, OVER

#: The mail of the start tells the dates, too.
TELLING: Final = ("subscription_started", *MAILS)
_BEFORE: Final = [str(StepKind.REMIND_FIRST), str(StepKind.REMIND_AGAIN)]
_AFTER: Final = [str(kind) for kind in AFTER_KINDS]


@dataclass(frozen=True, kw_only=True)
class Way:
    """One kind of plain day: which steps are due together, in which states, and where the account goes."""

    kinds: list[str]
    #: The step that has to be among them; "" where there is exactly one.
    led_by: str
    states: list[str]
    state: str = ""
    is_end: bool = False


WAYS: Final = (
    Way(kinds=["end", "after_0"], led_by="end", states=["trialing"], state="grace"),
    Way(
        kinds=["freeze", "after_0"],
        led_by="freeze",
        states=["trialing", "grace"],
        state="frozen",
        is_end=True,
    ),
    Way(kinds=[*_BEFORE, *_AFTER], led_by="", states=["trialing", "grace", "frozen"]),
)
#: The steps that lead a way of their own; all others are looked for together.
LEADING: Final = [way.led_by for way in WAYS if way.led_by]


def take_plain_days(ids: Sequence[int], way: Way, *, at: dt.datetime) -> set[int]:
    """Take those of these accounts whose day is plain in this way; returns which. Inside the caller's
    transaction."""
    sets.look_up_by_key()
    done = sets.fetch_ids(_statement(ids, way, at))
    if done and way.state:
        access_changed.send(Account, account_ids=done, at=at)
    if done:
        ring("accounts.send_notices")
    return set(done)


def _statement(ids: Sequence[int], way: Way, at: dt.datetime) -> sets.Sql:
    """Find, take, move, count, write history and mail, and tick the steps off."""
    parts = [_plain(ids, way, at), _taken(way, at), _account(way)]
    parts += _history(way, at) if way.state else []
    parts += [_ended(at)] if way.is_end else []
    parts += [_ticked(at), _mails(at)]
    sql = ", ".join(f"{name} AS {text}" for name, text, _ in parts)
    params = [value for _, _, values in parts for value in values]
    return f"WITH {sql} SELECT id FROM account ORDER BY id", params  # noqa: S608


Part = tuple[str, str, list[Any]]


#: The steps that are due. (All parts of one statement see the rows as they were before it.)
_DUE: Final = "(SELECT * FROM billing_trialstep WHERE done_at IS NULL AND due_at <= %s)"


def _plain(ids: Sequence[int], way: Way, at: dt.datetime) -> Part:
    """The accounts of which nothing else is due, and no mail too late.

    Each is looked up by its key: as a filter or a join over all of them PostgreSQL reads every step that is
    due, for each chunk again. For the same reason no part joins another one, of which it guesses one row.
    """
    sql = f"""MATERIALIZED (
        SELECT chosen.id AS account_id, due.*
        FROM unnest(%s::bigint[]) AS chosen(id) CROSS JOIN LATERAL (
            SELECT min(trial.id) AS trial, min(trial.public_id) AS public_id,
                min(trial.trial_end) AS trial_end, min(trial.period_end) AS period_end
            FROM billing_subscription AS trial JOIN {_DUE} AS step ON step.subscription_id = trial.id
            WHERE trial.account_id = chosen.id
            HAVING bool_and(step.kind = ANY(%s) AND (step.kind = %s OR step.window_to >= %s))
               AND min(trial.id) = max(trial.id) AND bool_and(trial.provider_id IS NULL)
               AND CASE WHEN %s = '' THEN count(*) = 1 ELSE bool_or(step.kind = %s) END
        ) AS due
    )"""  # noqa: S608
    return "plain", sql, [sets.array(ids), at, way.kinds, way.led_by, at, way.led_by, way.led_by]


def _taken(way: Way, at: dt.datetime) -> Part:
    """Those of them that are still so, and that nobody else holds right now."""
    params: list[Any] = [way.states]
    told = ""
    if way.is_end:
        told = """AND terms.trial_end_plan = 'freeze' AND EXISTS (
            SELECT 1 FROM accounts_notice AS mail
            WHERE mail.account_id = free.id AND mail.kind = ANY(%s) AND mail.window_from <= %s
              AND (mail.sent_at <= %s OR mail.status IN ('dropped', 'failed'))
        )"""
        since = at - dt.timedelta(days=TOLD_DAYS)
        params += [list(TELLING), since, since]
    sql = f"""MATERIALIZED (
        SELECT free.id, plain.trial, plain.public_id AS trial_id, plain.trial_end
        FROM accounts_account AS free JOIN plain ON plain.account_id = free.id
        JOIN accounts_terms AS terms ON terms.id = free.terms_id
        WHERE free.state = ANY(%s)
          AND (free.access_ends_at IS NULL OR free.access_ends_at = plain.period_end) {told}
        ORDER BY free.id FOR NO KEY UPDATE OF free SKIP LOCKED
    )"""  # noqa: S608
    return "taken", sql, params


def _account(way: Way) -> Part:
    if not way.state:
        return "account", "(SELECT * FROM taken)", []
    closed = ", closed_at = NULL" if way.state in Account.OPEN_STATES else ""
    sql = f"""(
        UPDATE accounts_account AS moved SET state = %s, event_count = moved.event_count + %s{closed}
        FROM taken WHERE moved.id = taken.id AND moved.state = ANY(%s)
        RETURNING moved.id, moved.public_id, moved.event_count, taken.trial, taken.trial_id, taken.trial_end
    )"""  # noqa: S608
    return "account", sql, [way.state, 2 if way.is_end else 1, way.states]


def _history(way: Way, at: dt.datetime) -> list[Part]:
    """That the account moved, and of a freeze also that the trial ended."""
    facts = {"reason": "trial_over"}
    same: dict[str, Any] = {"actor": SYSTEM.actor, "actor_ref": SYSTEM.ref, "facts": facts, "at": at}
    moved = Event(kind=f"account.{way.state}", **same)
    numbered = NUMBERED | ({"seq": "account.event_count - 1"} if way.is_end else {})
    found = [_insert("moved", moved, numbered, ("FROM account", []))]
    if way.is_end:
        taken = NUMBERED | {"subject": "'subscription:' || account.trial_id"}
        found.append(
            _insert("over", Event(kind="subscription.canceled", **same), taken, ("FROM account", []))
        )
    return found


def _ended(at: dt.datetime) -> Part:
    sql = """(
        UPDATE billing_subscription AS trial SET status = 'canceled', ended_at = %s, cancel_at = %s
        FROM account WHERE trial.id = account.trial AND trial.status = 'trialing'
    )"""
    return "ended", sql, [at, at]


def _ticked(at: dt.datetime) -> Part:
    sql = """(
        UPDATE billing_trialstep AS step SET done_at = %s
        FROM account WHERE step.subscription_id = account.trial AND step.done_at IS NULL AND step.due_at <= %s
    )"""
    return "ticked", sql, [at, at]


def _mails(at: dt.datetime) -> Part:
    """The mail of the step, owed to whoever pays."""
    taken = {
        "account_id": "account.id",
        "user_id": "reader.user_id",
        "recipient": "person.public_id",
        "kind": f"CASE WHEN step.kind LIKE 'remind%%' THEN '{ENDS}' ELSE '{OVER}' END",
        "period": "account.trial_id || ':' || step.kind || ':' || "
        "to_char(account.trial_end AT TIME ZONE 'UTC', 'YYYYMMDDHH24MI')",
        "subject": "'subscription:' || account.trial_id",
        "window_to": "step.window_to",
        "rule_ids": "step.rule_ids",
    }
    source = f"""FROM account JOIN {_DUE} AS step ON step.subscription_id = account.trial
        JOIN accounts_member AS reader ON reader.account_id = account.id
        JOIN accounts_user AS person ON person.id = reader.user_id
        WHERE step.kind NOT IN ('end', 'freeze')
          AND reader.left_at IS NULL AND reader.role IN ('owner', 'billing')"""
    row = Notice(window_from=at, next_attempt_at=at, created_at=at)
    return _insert("mails", row, taken, (source, [at]), conflict="ON CONFLICT DO NOTHING")


def _insert(name: str, row: Any, taken: dict[str, str], source: sets.Sql, *, conflict: str = "") -> Part:
    sql, params = sets.insert_select(row, taken, source, conflict=conflict)
    return name, f"({sql})", list(params)
