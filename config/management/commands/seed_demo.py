"""`manage.py seed_demo`: the demo's company and its example customers."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts.models import Terms
from config.demo.examples import EXAMPLES, logins, make_examples


class Command(BaseCommand):
    """Only where the clock can be turned: never on a server."""

    help = "Make the demo's company, plans, staff and one customer for each state."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO_PAGES:
            raise CommandError("The examples belong to the demo; on a server they are refused.")
        if Terms.objects.exists():
            raise CommandError("There is a company already. bin/demo --reset starts afresh.")
        for number, example in enumerate(make_examples(), start=1):
            self.stdout.write(f"    {number:>2}/{len(EXAMPLES)}  {example.email}: {example.about}")
            self.stdout.flush()
        folder = Path(getattr(settings, "DEMO_DIR", settings.BASE_DIR / "var"))
        (folder / "logins.json").write_text(json.dumps(logins(), indent=1))
