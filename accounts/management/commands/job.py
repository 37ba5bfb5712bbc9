"""`manage.py job NAME`: what beat does, by hand; with `--dry-run` only what it would do."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from accounts import clock
from accounts.job_board import skip_words
from accounts.jobs import Outcome, is_off, jobs, start_job, what_is_due


class Command(BaseCommand):
    """Respects the switches; `manage.py jobs` lists the names."""

    help = "Run one job now, also where its slot was run; with --dry-run only count what it would find."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="as `manage.py jobs` lists it")
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="only count what is due and what would have to wait; nothing is changed",
        )
        parser.add_argument(
            "--at", help="as of this moment, such as 2026-03-01T09:00+01:00; one to come only with --dry-run"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        job = jobs().get(options["name"])
        if job is None:
            raise CommandError(f"No such job: {options['name']}. `manage.py jobs` lists them.")
        at = self._moment(options["at"], is_dry_run=options["dry_run"])
        if options["dry_run"]:
            found = what_is_due(job, at=at)
            if found is None:
                self.stdout.write(f"{job.name} cannot say beforehand what is due. Nothing was changed.")
            else:
                self._say(f"{job.name} would find {found.due} due. Nothing was changed.", found)
            return
        if is_off(job):
            raise CommandError(f"{job.name} is switched off. Turn it on on the page of jobs in admin.")
        done = start_job(job, at=at, is_called=True)
        self._say(f"{job.name}: {done.due} due, {done.done} done", done)

    def _say(self, sentence: str, outcome: Outcome) -> None:
        self.stdout.write(sentence)
        for reason, number in sorted(outcome.skipped.items()):
            self.stdout.write(f"    {number} left for later: {skip_words(reason)}")

    def _moment(self, given: str | None, *, is_dry_run: bool) -> dt.datetime:
        """Now, or the moment given: one of the future only where nothing is changed by it."""
        now = clock.now()
        if given is None:
            return now
        moment = parse_datetime(given)
        if moment is None or moment.tzinfo is None:
            raise CommandError(f"Not a moment with its zone: {given}. Write 2026-03-01T09:00+01:00.")
        if moment > now and not (is_dry_run or settings.CLOCK_FILE):
            raise CommandError("A moment of the future can be looked at with --dry-run only.")
        return moment
