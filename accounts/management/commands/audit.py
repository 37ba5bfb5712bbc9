"""`manage.py audit`: ask the database whether everything that must hold does."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts import clock
from accounts.audit import invariants, run_audit


class Command(BaseCommand):
    """Ends with 1 where anything is found."""

    help = "Check the invariants: every row found is a violation. Ends with 1 where there is one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--list", action="store_true", help="only say what is checked, and how")
        parser.add_argument("--json", action="store_true", help="one object for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            for line in invariants():
                self.stdout.write(
                    f"{line.code:<4} {line.kind:<11} {line.text} {f'[{line.proof}]' if line.proof else ''}"
                )
            return
        findings = run_audit(at=clock.now())
        broken = [finding for finding in findings if finding.count]
        if options["json"]:
            found = {f.invariant.code: {"count": f.count, "rows": f.rows} for f in broken}
            self.stdout.write(json.dumps({"asked": len(findings), "found": found}))
        else:
            for finding in broken:
                self.stdout.write(f"{finding.invariant.code} {finding.invariant.text}: {finding.count}")
                self.stdout.writelines(f"     {row}" for row in finding.rows)
            self.stdout.write(f"audit: {len(findings)} queries, {len(broken)} of them found something")
        if broken:
            sys.exit(1)
