"""`manage.py report NAME --from 2026-10-01 --to 2026-10-31`: a report as CSV on standard output."""

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.reports import Report, company_zone, reports, write_report


class Command(BaseCommand):
    help = "Write a report as CSV: rows, an empty line, totals per currency and state."

    def add_arguments(self, parser: CommandParser) -> None:
        names = ", ".join(sorted(reports()))
        parser.add_argument("name", nargs="?", default="", help=f"one of: {names}")
        parser.add_argument("--from", dest="first", type=dt.date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument(
            "--to",
            dest="last",
            type=dt.date.fromisoformat,
            metavar="YYYY-MM-DD",
            help=f"both days are included, in {company_zone()}",
        )
        parser.add_argument("--part", choices=["all", "rows", "totals"], default="all")
        parser.add_argument("--columns", action="store_true", help="say what each column means, and stop")

    def handle(self, *args: Any, **options: Any) -> None:
        report = reports().get(options["name"])
        if report is None:
            raise CommandError(f"There is no such report. Choose one of: {', '.join(sorted(reports()))}.")
        if options["columns"]:
            self._say_columns(report)
            return
        first, last = options["first"], options["last"]
        if first is None or last is None:
            raise CommandError("Say the days: --from 2026-10-01 --to 2026-10-31 (both are included).")
        if last < first:
            raise CommandError("--to is before --from.")
        for block in write_report(report, first, last, part=options["part"]):
            self.stdout.write(block.decode(), ending="")

    def _say_columns(self, report: Report) -> None:
        self.stdout.write(f"{report.title}: {report.meaning}\n")
        for column in report.columns:
            self.stdout.write(f"  {column.name}: {column.meaning}")
