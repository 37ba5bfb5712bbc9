"""Beat's jobs: each slot of the timetable is run once, whoever rings, and leaves a record."""

import datetime as dt
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from accounts import clock
from accounts.models import JobRun

logger = logging.getLogger(__name__)


@contextmanager
def run_once(name: str, *, every: dt.timedelta, at: dt.datetime | None = None) -> Iterator[JobRun | None]:
    """Claim the slot that `at` falls into; yields None when another beat has it already.

    The work itself is a set of guarded updates, so a lost record costs nothing but a second run.
    """
    at = at or clock.now()
    seconds = int(every.total_seconds())
    slot = dt.datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, dt.UTC)
    try:
        with transaction.atomic():
            run = JobRun.objects.create(name=name, slot=slot, started_at=at)
    except IntegrityError:
        yield None
        return
    try:
        yield run
    except Exception as error:
        JobRun.objects.filter(pk=run.pk).update(error=type(error).__name__, finished_at=clock.now())
        raise
    JobRun.objects.filter(pk=run.pk).update(due=run.due, done=run.done, finished_at=clock.now())


def run_job(name: str, every: dt.timedelta, work: Callable[..., int]) -> int:
    """Run `work(at=now)` for this slot if nobody has; returns how many rows it carried out."""
    at = clock.now()
    with run_once(name, every=every, at=at) as run:
        if run is None:
            return 0
        run.done = run.due = work(at=at)
        return run.done
