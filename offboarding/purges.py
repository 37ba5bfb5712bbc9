"""The job that purges what is due: in its measure, with a brake, and never silent about what it left."""

import dataclasses
import datetime as dt
import logging
from collections import Counter
from dataclasses import dataclass, field

from django.db import DatabaseError, transaction

from accounts import jobs
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account
from offboarding import erasure, retention
from offboarding.models import Brake, Closure, Erasure

logger = logging.getLogger(__name__)

JOB = "offboarding.purge_due"
BOOKS_JOB = "offboarding.purge_books"
#: Above this share of the accounts a day a person has to agree: a bug in a date must not empty the house.
SHARE = 100  # one in a hundred
#: What needs nobody even in a small house.
FLOOR = 10


@dataclass
class Report:
    """What a run did, or would do: public ids of accounts, and why some were left."""

    purged: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    is_stopped: bool = False


def is_stopped(job: str = JOB) -> bool:
    """Whether this job is turned off, by its own switch or by that of all grave ones."""
    return jobs.is_off(jobs.jobs()[job])


def pull_brake(*, by: By, at: dt.datetime, reason: str) -> None:
    """Stop every job that destroys data, at once; a purge under way stops at its next run."""
    for name in _destroying():
        jobs.turn_off(name, by=by, at=at, reason=reason)


def release_brake(*, by: By, at: dt.datetime, reason: str) -> None:
    """Let the jobs go on; they catch up."""
    for name in _destroying():
        jobs.turn_on(name, by=by, at=at, reason=reason)


def _destroying() -> list[str]:
    return [job.name for job in jobs.jobs().values() if job.touches is jobs.Touches.DATA]


def allow_today(number: int, *, at: dt.datetime) -> None:
    """A person agrees to this many purges on this UTC day, above the share that needs nobody."""
    Brake.objects.update_or_create(pk=Brake.SINGLE, defaults={"allowed_on": at.date(), "allowed": number})


def allowance(*, at: dt.datetime) -> int:
    """How many more purges may begin on this UTC day without asking anybody."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    living = Account.objects.exclude(state=Account.State.ERASED).count()
    allowed = Brake.objects.filter(allowed_on=at.date()).values_list("allowed", flat=True).first() or 0
    begun = Erasure.objects.filter(started_at__gte=midnight).count()
    return max(0, max(FLOOR, living // SHARE, allowed) - begun)


def purge_due(*, at: dt.datetime, is_dry_run: bool = False) -> Report:
    """Purge what is due: those begun first, then as many as may begin today; the rest is reported (D2).

    One that is held, waits or fails never keeps the next one back.
    """
    report = Report(is_stopped=is_stopped())
    if report.is_stopped and not is_dry_run:
        return report
    left = allowance(at=at)
    due = Closure.objects.due(at).select_related("account__terms").order_by("-status", "purge_on", "pk")
    for closure in list(due):
        begins = closure.status == Closure.Status.SCHEDULED
        name = closure.account.public_id
        reason = erasure.why_not(closure, at=at) or ("breaker" if begins and left < 1 else "")
        if reason:
            report.left[name] = reason
            continue
        left -= begins
        if is_dry_run:
            report.purged.append(name)
        else:
            _purge(closure, report, at=at)
    if "breaker" in report.left.values():
        logger.critical("more purges are due than may begin today: a person has to agree")
    return report


def _purge(closure: Closure, report: Report, *, at: dt.datetime) -> None:
    name = closure.account.public_id
    try:
        outcome = erasure.purge_account(closure, at=at)
    except WrongState as error:
        report.left[name] = str(error)
    except (DatabaseError, OSError, erasure.LeaseLost) as error:
        logger.exception("purge failed, it is taken up again", extra={"account": name})
        report.left[name] = type(error).__name__
    else:
        (report.purged if outcome == erasure.DONE else report.waiting).append(name)


def run_purges(*, at: dt.datetime) -> jobs.Outcome:
    """What beat calls: how many accounts are gone, how many had to wait, and why."""
    return _outcome(purge_due(at=at))


def due_purges(*, at: dt.datetime) -> jobs.Outcome:
    """What a run would find, and what of it would have to wait; nothing is changed."""
    report = purge_due(at=at, is_dry_run=True)
    return dataclasses.replace(_outcome(report), done=0)


def _outcome(report: Report) -> jobs.Outcome:
    skipped = Counter(report.left.values()) + Counter({"unanswered": len(report.waiting)})
    due = len(report.purged) + sum(skipped.values())
    return jobs.Outcome(due=due, done=len(report.purged), skipped=dict(skipped))


def purge_books(*, at: dt.datetime) -> int:
    """Delete the books whose years are over; returns how many accounts' books."""
    if is_stopped(BOOKS_JOB):
        return 0
    over = list(Erasure.objects.with_books_over(at).order_by("retained_until")[: allowance(at=at)])
    for one in over:
        erasure.purge_books(one, at=at)
    return len(over)


def owe_purge_notices(*, at: dt.datetime) -> int:
    """Owe what is not owed yet before each closing (someone who became a payer later too); catches up."""
    horizon = at + dt.timedelta(days=31)
    owed = 0
    rows = Closure.objects.filter(status=Closure.Status.SCHEDULED, purge_on__gt=at, purge_on__lte=horizon)
    for closure in rows.select_related("account").iterator(500):
        with transaction.atomic():
            owed += retention.owe_purge_notices(closure, at=at)
    return owed
