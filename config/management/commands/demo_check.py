"""`manage.py demo_check --base-url URL`: drive the main journey as a client would."""

import sys
import time
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from config.demo.browserless import StepFailed
from config.demo.journey import Journey


class Command(BaseCommand):
    """Prints each step with its figures; ends with 1 at the first that fails."""

    help = "Sign up, pay, leave, get the refund, fetch the data: over HTTP, against a running demo."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        journey = Journey(
            base_url=options["base_url"],
            sandbox_url=settings.STRIPE_JS_URL.partition("/v3/")[0],
            publishable_key=settings.STRIPE_PUBLISHABLE_KEY,
            secret_key=settings.STRIPE_SECRET_KEY,
        )
        for title, step in journey.steps():
            started = time.monotonic()
            try:
                seen = step()
            except (StepFailed, requests.RequestException) as error:
                self.stderr.write(f"    ✗ {title}: {error}")
                sys.exit(1)
            self.stdout.write(f"    ✓ {title}: {seen} ({time.monotonic() - started:.1f} s)")
            self.stdout.flush()
