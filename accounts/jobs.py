"""Beat's jobs: each slot of the timetable is run once, whoever rings, and leaves a record.

Every app declares its jobs in its `tasks.py`; a job finds its own work, all of it that is due and
not done, so that running it twice, late, or after three days off ends in the same state.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from celery import shared_task
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from accounts import clock
from accounts.doorbell import ring
from accounts.models import JobRun, JobSwitch

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

    from accounts.events import By

logger = logging.getLogger(__name__)

MINUTE: Final = dt.timedelta(minutes=1)
HOUR: Final = dt.timedelta(hours=1)
#: The one switch of all jobs that move money or destroy data.
ALL_GRAVE: Final = "all-grave"


@dataclass(frozen=True)
class Outcome:
    """What a run found and did: {reason: how many} had to wait."""

    due: int = 0
    done: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)


class Touches(Enum):
    """What a job may do that cannot be undone."""

    NOTHING = ""
    MONEY = "money"
    DATA = "data"


Work = Callable[..., "int | Outcome"]
Question = Callable[..., "int | Outcome | QuerySet[Any]"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of the timetable.

    `work(at=)` does what is due; `due(at=)` says what would be, and changes nothing. `is_rung`: the
    doorbell may start it at any moment too, so that its slot is no more than where it is recorded.
    """

    name: str
    title: "StrOrPromise"
    every: dt.timedelta
    work: Work
    due: Question | None = None
    touches: Touches = Touches.NOTHING
    is_rung: bool = False

    @property
    def is_grave(self) -> bool:
        """Whether the one switch of all grave jobs stops it."""
        return self.touches is not Touches.NOTHING

    @property
    def switches(self) -> tuple[str, ...]:
        """The switches that stop it."""
        return (self.name, ALL_GRAVE) if self.is_grave else (self.name,)


_JOBS: dict[str, Job] = {}


def jobs() -> dict[str, Job]:
    """Every declared job, by its name."""
    return dict(_JOBS)


def beat_job(
    name: str,
    *,
    title: "StrOrPromise",
    every: dt.timedelta,
    due: Question | None = None,
    touches: Touches = Touches.NOTHING,
    is_rung: bool = False,
) -> Callable[[Work], Any]:
    """Declare `work(at=)` as a job, and make it the Celery task of the same name, which takes nothing."""

    def declare(work: Work) -> Any:
        job = _JOBS[name] = Job(
            name=name, title=title, every=every, work=work, due=due, touches=touches, is_rung=is_rung
        )

        def start() -> int:
            return start_job(job).done

        start.__name__, start.__doc__, start.__module__ = work.__name__, work.__doc__, work.__module__
        return shared_task(name=name)(start)

    return declare


# --- Running ------------------------------------------------------------------------------------


def run_job(name: str, every: dt.timedelta, work: Work) -> int:
    """Run `work(at=now)` for this slot if nobody has; returns how many rows it carried out."""
    return start_job(_JOBS.get(name) or Job(name=name, title=name, every=every, work=work)).done


def start_job(job: Job, *, at: dt.datetime | None = None, is_called: bool = False) -> Outcome:
    """Do what is due and record it; nothing where the job is off or another beat has the slot.

    `is_called`: someone starts it by hand, so it works even where the slot was run. The work itself is
    a set of guarded updates, so a lost record costs nothing but a second run.
    """
    at = at or clock.now()
    if is_off(job):
        _note_off(job, at)
        return Outcome()
    is_first = _claim(job, at)
    if not (is_first or job.is_rung or is_called):
        return Outcome()
    started, mine = time.monotonic(), _record_of(job, at)
    try:
        outcome = as_outcome(job.work(at=at))
    except Exception as error:
        mine.update(error=type(error).__name__, finished_at=clock.now(), seconds=_since(started))
        raise
    if is_first or outcome.due or outcome.done or outcome.skipped:
        mine.update(
            due=F("due") + outcome.due,
            done=F("done") + outcome.done,
            skipped=dict(outcome.skipped),
            seconds=F("seconds") + _since(started),
            finished_at=clock.now(),
        )
    return outcome


def what_is_due(job: Job, *, at: dt.datetime) -> Outcome | None:
    """What a run would find, changing nothing; None where this job cannot say beforehand."""
    if job.due is None:
        return None
    found = job.due(at=at)
    return Outcome(due=found.count()) if isinstance(found, QuerySet) else as_outcome(found, is_done=False)


def as_outcome(found: int | Outcome, *, is_done: bool = True) -> Outcome:
    """A plain number means that all that was due is done, or, before a run, that so much is due."""
    if isinstance(found, Outcome):
        return found
    return Outcome(due=found, done=found if is_done else 0)


def slot_of(job: Job, at: dt.datetime) -> dt.datetime:
    """The slot of the timetable that this moment falls into."""
    seconds = int(job.every.total_seconds())
    return dt.datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, dt.UTC)


def _claim(job: Job, at: dt.datetime) -> bool:
    try:
        with transaction.atomic():
            JobRun.objects.create(name=job.name, slot=slot_of(job, at), started_at=at)
    except IntegrityError:
        return False
    return True


def _note_off(job: Job, at: dt.datetime) -> None:
    """One row for each slot that a switch kept empty; the slot itself stays free."""
    row = JobRun(name=job.name, slot=slot_of(job, at), started_at=at, finished_at=at, was_off=True)
    JobRun.objects.bulk_create([row], ignore_conflicts=True)


def _record_of(job: Job, at: dt.datetime) -> QuerySet[JobRun]:
    return JobRun.objects.filter(name=job.name, slot=slot_of(job, at), was_off=False)


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)


def forget_old_runs(*, at: dt.datetime) -> int:
    """Delete the records that nobody needs any more; the last good one of each job stays."""
    return JobRun.objects.to_forget(at).delete()[0]


# --- Switching off and on -----------------------------------------------------------------------


def is_off(job: Job) -> bool:
    """Whether somebody turned this job off, or all grave ones."""
    return bool(JobSwitch.objects.filter(name__in=job.switches).off_now())


@transaction.atomic
def turn_off(name: str, *, by: "By", at: dt.datetime, reason: str) -> None:
    """Stop a job, or all grave ones, from its next start on. What is due waits, and nothing is lost."""
    _turn(name, True, by=by, at=at, reason=reason)


@transaction.atomic
def turn_on(name: str, *, by: "By", at: dt.datetime, reason: str) -> None:
    """Let it run again; it is rung for at once, and catches up."""
    _turn(name, False, by=by, at=at, reason=reason)
    for job in _JOBS.values():
        if name in job.switches:
            ring(job.name)


def _turn(name: str, off: bool, *, by: "By", at: dt.datetime, reason: str) -> None:
    if (name in JobSwitch.objects.filter(name=name).off_now()) == off:
        return
    JobSwitch.objects.create(name=name, is_off=off, actor=by.actor, actor_ref=by.ref, reason=reason, at=at)
    word = "turned off" if off else "turned on"
    logger.warning("job %s", word, extra={"job": name, "by": by.ref or by.actor})
