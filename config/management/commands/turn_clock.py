"""`manage.py turn_clock`: what the page /demo/clock/ does, from a terminal."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import clock
from config.demo.runs import AlreadyTurning, Run, Teller, tell
from config.demo.stories import STORIES
from config.demo.telling import read_chapters
from config.demo.turning import FURTHEST, moment_of


class Command(BaseCommand):
    """Our clock and the provider's test clocks together; time goes forward only."""

    help = "Turn the demo's clock: by days, to a date, or through one of the stories."

    def add_arguments(self, parser: CommandParser) -> None:
        choice = parser.add_mutually_exclusive_group(required=True)
        choice.add_argument("--days", type=int, metavar="N")
        choice.add_argument("--to", type=dt.date.fromisoformat, metavar="YYYY-MM-DD")
        choice.add_argument("--watch", choices=sorted(STORIES))

    def handle(self, *args: Any, **options: Any) -> None:
        if not (settings.DEMO_PAGES and settings.CLOCK_FILE and settings.STRIPE_TEST_CLOCKS):
            raise CommandError("The clock can be turned in the demo, in development and in tests only.")
        try:
            run = self._run(options)
        except AlreadyTurning:
            raise CommandError("The clock is being turned at this moment.") from None
        for chapter in read_chapters(run):
            self.stdout.write(f"\n{chapter.title}")
            for step in chapter.steps:
                self.stdout.write(f"  {step.at:%Y-%m-%d}")
                self.stdout.writelines(
                    f"    {group.name}: {line.text}\n" for group in step.groups for line in group.lines
                )
        self.stdout.write(f"\nIt is {clock.now():%Y-%m-%d %H:%M} UTC.")

    def _run(self, options: dict[str, Any]) -> Run:
        if options["watch"]:
            story, total = STORIES[options["watch"]]
            return tell(options["watch"], story, total=total)
        now = clock.now()
        to = moment_of(options["to"]) if options["to"] else now + dt.timedelta(days=options["days"])
        if not now < to <= now + FURTHEST:
            raise CommandError(f"Time goes forward only, and at most {FURTHEST.days} days at once.")

        def turn(teller: Teller) -> None:
            teller.chapter("")
            teller.turn_to(to)

        return tell("turn", turn, until=to.isoformat())
