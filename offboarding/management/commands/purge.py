"""`manage.py purge`: what the job does, by hand; looked at first, stopped, or allowed for a large day."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts import clock
from accounts.events import SYSTEM
from offboarding import purges

#: Whoever has a shell on the server has no name here; the log of the machine does.
REASON = "manage.py purge"


class Command(BaseCommand):
    """Delete the data of closed accounts whose date has come."""

    help = "Delete the data of closed accounts whose date has come. Look first: --dry-run."

    def add_arguments(self, parser: CommandParser) -> None:
        """Without an argument it purges what is due, as beat does."""
        choice = parser.add_mutually_exclusive_group()
        choice.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
        choice.add_argument(
            "--stop", action="store_true", help="switch off every job that destroys data; what is due waits"
        )
        choice.add_argument("--resume", action="store_true", help="switch them on again; they catch up")
        choice.add_argument(
            "--allow",
            type=int,
            metavar="N",
            help="agree to N deletions today, above the daily brake, then begin",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line for each account: its public id and what became of it."""
        at = clock.now()
        if options["stop"]:
            purges.pull_brake(by=SYSTEM, at=at, reason=REASON)
        elif options["resume"]:
            purges.release_brake(by=SYSTEM, at=at, reason=REASON)
        elif options["allow"] is not None:
            purges.allow_today(options["allow"], at=at)
        if options["stop"] or options["resume"]:
            self.stdout.write("stopped" if purges.is_stopped() else "running")
            return
        report = purges.purge_due(at=at, is_dry_run=options["dry_run"])
        if report.is_stopped:
            self.stdout.write("stopped: nothing is deleted until `manage.py purge --resume`")
        word = "would be purged" if options["dry_run"] else "purged"
        for name in report.purged:
            self.stdout.write(f"{name} {word}")
        for name in report.waiting:
            self.stdout.write(f"{name} waits for an answer")
        for name, reason in report.left.items():
            self.stdout.write(f"{name} left: {reason}")
