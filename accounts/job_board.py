"""How the jobs are doing: what the operators' page and `manage.py jobs` show."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.history import name_of
from accounts.jobs import ALL_GRAVE, Job, as_outcome, jobs
from accounts.models import JobRun, JobSwitch, User

#: Runs shown of each job.
SHOWN = 24
#: Counted no further: a person sees that there are many.
MANY = 1000
#: Slots without a run after which a job counts as late.
PATIENCE = 3


#: Why work was left for later, by the codes that jobs record. Others are invariants of the audit, or errors.
SKIPPED = {
    "breaker": gettext_noop("above what may begin in a day: a person has to agree"),
    "can_be_stopped": gettext_noop("an owner can still stop it"),
    "held": gettext_noop("on hold"),
    "not_closed": gettext_noop("the account is open again"),
    "not_due": gettext_noop("not due yet"),
    "not_open": gettext_noop("called off"),
    "retrieval_window": gettext_noop("the data can still be fetched"),
    "unanswered": gettext_noop("Stripe has not answered yet"),
}


def skip_words(code: str) -> str:
    """Why something had to wait, in the active language; a code of another sort as it is."""
    return _(SKIPPED[code]) if code in SKIPPED else code


@dataclass(frozen=True, kw_only=True)
class Line:
    """One job as it stands."""

    job: Job
    runs: list[JobRun]
    off: JobSwitch | None
    due_now: int | None
    at: dt.datetime

    @property
    def last(self) -> JobRun | None:
        """Its last run, one that a switch kept from running aside."""
        return next((run for run in self.runs if not run.was_off), None)

    @property
    def age(self) -> dt.timedelta | None:
        """How long ago it last ran."""
        return max(dt.timedelta(), self.at - self.last.started_at) if self.last else None

    @property
    def is_fresh(self) -> bool:
        """It ran within the last minute, so that a number of minutes would be none."""
        return self.age is not None and self.age < dt.timedelta(minutes=1)

    @property
    def is_late(self) -> bool:
        """On, and not run for several slots: no worker, or one that is stuck.

        What never ran is late only where something is due: its first slot may be to come.
        """
        if self.off is not None:
            return False
        return bool(self.due_now) if self.age is None else self.age > PATIENCE * self.job.every

    @property
    def state(self) -> str:
        """In one word: "off", "failed", "late", "new", "running" or "ok"."""
        if self.off:
            return "off"
        if self.last and self.last.error:
            return "failed"
        if self.is_late:
            return "late"
        if self.last is None:
            return "new"
        return "running" if self.last.finished_at is None else "ok"

    @property
    def wrong_since(self) -> dt.datetime | None:
        """Since when it is off, fails at every run, or does not run; None where nothing is wrong."""
        if self.off:
            return self.off.at
        if self.state == "failed":
            return [run.started_at for run in takewhile(lambda run: run.error or run.was_off, self.runs)][-1]
        return self.last.started_at if self.is_late and self.last else None

    @property
    def waited(self) -> list[tuple[str, int]]:
        """What its last run left for later, in words."""
        return [
            (skip_words(code), number) for code, number in (self.last.skipped if self.last else {}).items()
        ]

    @property
    def is_many(self) -> bool:
        """More is due than was counted."""
        return (self.due_now or 0) >= MANY


@dataclass(frozen=True)
class Board:
    """Every job, and the switch that stops all grave ones."""

    lines: list[Line]
    all_grave: JobSwitch | None

    @property
    def troubled(self) -> list[Line]:
        """What a person should look at, the worst first."""
        order = ("failed", "late", "off")
        return sorted(
            (line for line in self.lines if line.state in order), key=lambda line: order.index(line.state)
        )


def read_board(*, at: dt.datetime) -> Board:
    """Read it in three queries; a job that cannot ask for what is due as rows adds its own."""
    runs: dict[str, list[JobRun]] = defaultdict(list)
    for run in JobRun.objects.latest_of_each(SHOWN):
        runs[run.name].append(run)
    off = JobSwitch.objects.annotate(who=name_of("actor_ref")).off_now()
    due = count_due(jobs().values(), at=at)
    lines = [
        Line(
            job=job,
            runs=runs[job.name],
            off=next((off[name] for name in job.switches if name in off), None),
            due_now=due.get(job.name),
            at=at,
        )
        for job in sorted(jobs().values(), key=lambda job: (job.every, job.name))
    ]
    return Board(lines, off.get(ALL_GRAVE))


def count_due(declared: Iterable[Job], *, at: dt.datetime) -> dict[str, int]:
    """How much is due for each job, counted up to `MANY`; one that cannot say beforehand is left out."""
    answers = {job.name: job.due(at=at) for job in declared if job.due is not None}
    rows = {name: found for name, found in answers.items() if isinstance(found, QuerySet)}
    others = {name: found for name, found in answers.items() if not isinstance(found, QuerySet)}
    return count_rows(rows, most=MANY) | {
        name: as_outcome(found, is_done=False).due for name, found in others.items()
    }


def count_rows(questions: Mapping[str, QuerySet[Any]], *, most: int) -> dict[str, int]:
    """How many rows each question finds, up to `most`: one statement for all of them."""
    counts: list[str] = []
    values: list[Any] = []
    for place, rows in enumerate(questions.values()):
        try:
            sql, params = rows.order_by().values("pk")[:most].query.sql_with_params()
        except EmptyResultSet:
            sql, params = "SELECT 1 WHERE 1 = 0", ()
        counts.append(f"(SELECT COUNT(*) FROM ({sql}) AS counted_{place})")  # noqa: S608 (Django's own SQL)
        values += params
    if not counts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(counts)}", values)
        return dict(zip(questions, cursor.fetchone() or (), strict=True))


def turns(name: str, number: int = 20) -> list[tuple[JobSwitch, str]]:
    """The last turns of this switch, newest first, each with the name of who turned it."""
    rows = list(JobSwitch.objects.filter(name=name).order_by("-pk")[:number])
    people = User.objects.filter(public_id__in={row.actor_ref for row in rows if row.actor_ref})
    names = {user.public_id: user.get_full_name() or user.email for user in people}
    return [(row, names.get(row.actor_ref, "")) for row in rows]
