"""Turning time: our clock and the provider's together, a day at a hop, and the jobs due at each."""

import datetime as dt
import logging
import time
import zoneinfo
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db.models import Q

from accounts import clock
from accounts.jobs import Job, jobs, start_job, what_is_due
from accounts.models import Event, Notice
from billing.models import Incoming, Instruction
from billing.provider_clocks import clocks_of_customers, turn_test_clocks
from config.celery import TIMETABLE
from config.mail_viewer import StoredMail, mail_folder, mails_in

logger = logging.getLogger(__name__)

#: When a day's hop ends, in the company's zone: mails that keep quiet hours may leave.
HOUR_OF_HOP: Final = 10
FURTHEST: Final = dt.timedelta(days=400)
#: What comes in first, what goes out last; between them everything else of the timetable.
FIRST: Final = ("billing.backfill", "billing.apply_events")
LAST: Final = ("billing.send_instructions", "accounts.send_notices")
#: Compare everything, look at everything, tidy up: once is enough, however many hops there were.
AT_THE_END: Final = ("billing.reconcile", "accounts.audit", "accounts.forget_old_runs")
ROUNDS: Final = 60
#: Product time within which a second try is waited for, and how long that may take.
SOON: Final = dt.timedelta(seconds=15)
SECONDS_TO_WAIT: Final = 10
PAUSE: Final = 0.1


@dataclass
class Happened:
    """What one hop brought: events and mails by their numbers, jobs by how much they did."""

    at: dt.datetime
    events: list[int] = field(default_factory=list)
    mails: list[StoredMail] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Watch:
    """Notices what is new since it last looked."""

    def __init__(self) -> None:
        self._event = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        self._sizes = _sizes()
        self._seen = {mail.number for path in self._sizes for mail in mails_in(path)}

    def look(self, *, at: dt.datetime) -> Happened:
        """Everything since the last look."""
        new = list(Event.objects.filter(pk__gt=self._event).order_by("pk").values_list("pk", flat=True))
        self._event = max(new, default=self._event)
        sizes, before = _sizes(), self._sizes
        self._sizes = sizes
        grown = sorted(path for path in sizes if sizes[path] != before.get(path))
        mails = [mail for path in grown for mail in mails_in(path) if mail.number not in self._seen]
        self._seen.update(mail.number for mail in mails)
        return Happened(at, events=new, mails=mails)


def hops(start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    """Each day's moment between them, then the end itself: never more than a day, so never an interval."""
    zone = zoneinfo.ZoneInfo(settings.COMPANY_TIME_ZONE)
    day = start.astimezone(zone).date()
    found = []
    while (moment := _moment_of(day, zone)) < end:
        if moment > start:
            found.append(moment)
        day += dt.timedelta(days=1)
    return [*found, end] if end > start else []


def moment_of(day: dt.date) -> dt.datetime:
    """The moment of this day at which a hop ends."""
    return _moment_of(day, zoneinfo.ZoneInfo(settings.COMPANY_TIME_ZONE))


def _moment_of(day: dt.date, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(HOUR_OF_HOP), zone).astimezone(dt.UTC)


def turn(end: dt.datetime, watch: Watch) -> Iterator[Happened]:
    """Turn everything to `end`, hop by hop, yielding what each brought."""
    moments = hops(clock.now(), end)
    for moment in moments:
        clock.turn_to(moment)
        turn_test_clocks(clocks_of_customers(), moment)
        yield work(watch, is_last=moment == moments[-1])


def work(watch: Watch, *, is_last: bool = True) -> Happened:
    """Run every job of the timetable, and again those that others give something to do, until all rests.

    What only looks or tidies up comes once, at the end of all hops.
    """
    shift = Shift()
    for job in in_order():
        shift.start(job)
    _rest(shift)
    # Hourly jobs come again within a day: what had to wait for the provider's answer goes on.
    for name in sorted(shift.moved - set(FIRST + LAST)):
        shift.start(jobs()[name])
    _rest(shift)
    if is_last:
        for name in AT_THE_END:
            shift.start(jobs()[name])
    happened = watch.look(at=clock.now())
    happened.done, happened.failed = shift.done, shift.failed
    return happened


def _rest(shift: "Shift") -> None:
    """Let what comes in and what goes out answer each other until nothing moves."""
    give_up = time.monotonic() + SECONDS_TO_WAIT
    moved = 0
    for _ in range(ROUNDS):
        # What the provider was just told brings news of its own: they are fetched, not waited for.
        ringing = [job for job in in_order() if job.is_rung or (moved and job.name in FIRST)]
        moved = sum([shift.start(job) for job in ringing])
        if moved:
            continue
        if not is_under_way(clock.now()) or time.monotonic() > give_up:
            return
        time.sleep(PAUSE)


@dataclass
class Shift:
    """The jobs that ran at one stop: how much each did, which found anything, which failed."""

    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)

    def start(self, job: Job) -> int:
        """Run it if anything is due, though a beat may have had the slot; returns how much it did.

        An error is shown, and the next hop tries again.
        """
        try:
            found = what_is_due(job, at=clock.now())
            if found is not None and not found.due:
                return 0
            outcome = start_job(job, is_called=True)
        except Exception as error:
            logger.exception("job failed while the clock was turned", extra={"job": job.name})
            self.failed[job.name] = type(error).__name__
            return 0
        if job.name in AT_THE_END:
            return 0
        if outcome.done:
            self.done[job.name] = self.done.get(job.name, 0) + outcome.done
        if outcome.done or outcome.skipped:
            self.moved.add(job.name)
        return outcome.done


def in_order() -> list[Job]:
    """Every job of the timetable: what comes in, what follows from it and from the date, what goes out."""
    known = {name: job for name, job in jobs().items() if name in TIMETABLE}
    between = sorted(name for name in known if name not in FIRST + LAST + AT_THE_END)
    return [known[name] for name in (*FIRST, *between, *LAST) if name in known]


def is_under_way(at: dt.datetime) -> bool:
    """Something is on its way in or out right now, perhaps in the worker's hands."""
    soon = at + SOON
    coming = Incoming.objects.filter(status=Incoming.Status.NEW, next_attempt_at__lte=soon)
    telling = Instruction.objects.filter(
        Q(status=Instruction.Status.SENDING) | Q(status=Instruction.Status.PENDING, next_attempt_at__lte=soon)
    )
    sending = Notice.objects.filter(status=Notice.Status.SENDING, lease_until__gt=at)
    return coming.exists() or telling.exists() or sending.exists()


def _sizes() -> dict[Path, int]:
    """The files that mails are written to, and how long each is."""
    return {path: path.stat().st_size for path in mail_folder().glob("*.log")}
