"""Going on in many cases at once: what is left of their plans, and the ordinary end of access.

What is left of a plan is worked out once for all cases that share it, by the pure rule, and written by the
database. On PostgreSQL an ordinary end of access (the first mail is old enough, the account is open) is one
statement; what is not ordinary is left as it was found, for `billing.dunning_sweep` to take step by step.
"""

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Exists, QuerySet

from accounts import sets
from accounts.doorbell import ring
from accounts.events import NUMBERED, SYSTEM
from accounts.models import Account, Event
from accounts.notices import due_at_once, insert_for_readers
from accounts.signals import access_changed
from billing.dunning_rules import Step, after_step, dunning_day
from billing.models import DunningCase

#: A time zone, and a plan as it is stored.
Plan = tuple[str, list[list[str]]]


class Held(NamedTuple):
    """Accounts that are ours for the rest of the transaction, and the plans of what is due of them."""

    accounts: list[int]
    plans: list[Plan]


def left_after_step(plans: Sequence[Plan], *, at: dt.datetime, **same: Any) -> tuple[str, sets.Sql]:
    """What to set once the step is taken, from a table `rest` by `zone` and by the plan as it was `seen`.

    `same` are columns that have one value in all of them.
    """
    left = [(zone, _left_of(plan, dunning_day(at, zone))) for zone, plan in plans]
    columns: dict[str, list[Any]] = {
        "plan": [[[step.key, step.day.isoformat()] for step in steps] for _zone, steps in left],
        "next_step": [steps[0].kind for _zone, steps in left],
        "next_at": [steps[0].at(zone) for zone, steps in left],
        "last_step_on": [dunning_day(at, zone) for zone, _steps in left],
        **{name: [value] * len(left) for name, value in same.items()},
    }
    assigned = ", ".join(f"{name} = rest.{name}" for name in columns)
    fields = {name: (sets.field_of(DunningCase, name), values) for name, values in columns.items()}
    zone = sets.field_of(Account, "time_zone"), [zone for zone, _plan in plans]
    seen = sets.field_of(DunningCase, "plan"), [plan for _zone, plan in plans]
    return assigned, sets.listed({"zone": zone, "seen": seen, **fields})


def _left_of(plan: list[list[str]], today: dt.date) -> tuple[Step, ...]:
    return after_step([Step(key, dt.date.fromisoformat(day)) for key, day in plan], today=today)


def go_on(taken: Sequence[int], step: str, *, at: dt.datetime, **same: Any) -> int:
    """Write what is left of each plan, unless it changed since it was read."""
    cases = DunningCase.objects.filter(pk__in=sets.keys(taken))
    plans = cases.order_by().values_list("account__time_zone", "plan").distinct()
    assigned, (left, params) = left_after_step(list(plans), at=at, **same)
    chosen, chosen_params = cases.values("pk").query.sql_with_params()
    return sets.run(
        (
            f"UPDATE billing_dunningcase SET {assigned} FROM ({left}) AS rest, "  # noqa: S608
            "accounts_account AS account WHERE account.id = billing_dunningcase.account_id "
            "AND account.time_zone = rest.zone AND billing_dunningcase.plan = rest.seen "
            f"AND billing_dunningcase.id IN ({chosen}) AND billing_dunningcase.status = 'open' "
            "AND billing_dunningcase.next_step = %s",
            [*params, *chosen_params, step],
        )
    )


def hold_blocks(chunk: Iterable[int], *, at: dt.datetime) -> Held:
    """Take these accounts, without those that somebody else holds, and read the plans of what is due.

    One statement of PostgreSQL, which sees the plans as they were before it held anybody: `take_plain_blocks`
    asks again whether they are still so.
    """
    sets.look_up_by_key()
    sql = """
        WITH held AS MATERIALIZED (
            SELECT id, time_zone FROM accounts_account WHERE id IN (SELECT unnest(%s::bigint[]))
            ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
        )
        SELECT held.time_zone, one.plan, array_agg(held.id)
        FROM held JOIN billing_dunningcase AS one ON one.account_id = held.id
        WHERE one.status = 'open' AND one.next_step = 'block' AND one.next_at <= %s
        GROUP BY held.time_zone, one.plan
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, [sets.array(chunk), at])
        rows = cursor.fetchall()
    accounts = [pk for _zone, _plan, pks in rows for pk in pks]
    return Held(accounts, [(zone, json.loads(plan)) for zone, plan, _pks in rows])


def take_plain_blocks(held: Held, told: Exists, *, at: dt.datetime) -> list[int]:
    """Freeze, write history and what is left, and owe the mail, in one statement of PostgreSQL.

    Of what is due of the accounts held, those that were `told`. Returns who was open until now.
    """
    if not held.plans:
        return []
    assigned, (left, left_params) = left_after_step(held.plans, at=at, blocked_at=at)
    due = DunningCase.objects.due(at).filter(next_step="block", account__in=sets.keys(held.accounts))
    chosen, chosen_params = _chosen(due.filter(told))
    facts = {"reason": "unpaid"}
    row = Event(kind="account.frozen", actor=SYSTEM.actor, actor_ref=SYSTEM.ref, facts=facts, at=at)
    event, event_params = sets.insert_select(row, NUMBERED, ("FROM account", []))
    mail, mail_params = insert_for_readers(
        due_at_once("access_blocked", at=at),
        {"account_id": "given.id", "period": "given.invoice", "subject": "'invoice:' || given.invoice"},
        ("SELECT id, invoice FROM account", []),
    )
    sql = f"""
        WITH rest AS MATERIALIZED ({left}),
        chosen AS MATERIALIZED ({chosen}),
        account AS (
            UPDATE accounts_account AS moved SET state = 'frozen', event_count = moved.event_count + 1
            FROM chosen JOIN rest ON rest.seen = chosen.seen
            WHERE moved.id = chosen.account_id AND moved.time_zone = rest.zone AND moved.state = ANY(%s)
            RETURNING moved.id, moved.public_id, moved.event_count, moved.time_zone AS zone,
                chosen.id AS taken, chosen.invoice, chosen.seen
        ),
        events AS ({event}),
        gone_on AS (
            UPDATE billing_dunningcase AS one SET {assigned}
            FROM account JOIN rest ON rest.zone = account.zone AND rest.seen = account.seen
            WHERE one.id = account.taken
        ),
        mails AS ({mail})
        SELECT id FROM account ORDER BY id
    """  # noqa: S608
    states = list(Account.OPEN_STATES)
    frozen = sets.fetch_ids((sql, [*left_params, *chosen_params, states, *event_params, *mail_params]))
    if frozen:
        access_changed.send(Account, account_ids=frozen, at=at)
        ring("accounts.send_notices")
    return frozen


def _chosen(cases: QuerySet[DunningCase]) -> sets.Sql:
    """One case for each account: another one waits for the next run."""
    rows = cases.order_by("account", "pk").distinct("account")
    columns = rows.values_list("pk", "account_id", "invoice__provider_id", "plan")
    sql, params = columns.query.sql_with_params()
    return f"SELECT * FROM ({sql}) AS due(id, account_id, invoice, seen)", list(params)  # noqa: S608
