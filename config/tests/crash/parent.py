"""`python -m config.tests.crash.parent`: loads the product once and forks a child for each command.

One JSON command per line in, one JSON answer per line out. A fork has what a fresh process has and
nothing of those that were killed before it; it only saves the second that loading takes.
"""

import datetime as dt
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import django


def main() -> None:
    """Serve commands until the input ends."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    django.setup()
    load_everything()
    for line in sys.stdin:
        print(json.dumps(in_a_child(json.loads(line))), flush=True)


def load_everything() -> None:
    """Code and templates, once, so that no child has to; nothing that holds a connection."""
    from django.conf import settings
    from django.template.loader import get_template

    import config.tests.crash.journeys
    import config.tests.crash.report
    import config.urls  # noqa: F401

    for kind in ("leaving", "mail", "account"):
        folder = Path(settings.BASE_DIR) / "templates"
        for file in (folder / kind).glob("*.html"):
            get_template(str(file.relative_to(folder)))


def in_a_child(command: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait, and say how the child ended; what it answers comes through a file."""
    folder = Path(command["folder"])
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os._exit(carry_out(command, answer))
    _, status = os.waitpid(pid, 0)
    said = json.loads(answer.read_text()) if answer.exists() else None
    return {
        "code": os.waitstatus_to_exitcode(status),
        "answer": said,
        "seconds": time.monotonic() - started,
    }


def carry_out(command: dict[str, Any], answer: Path) -> int:
    """In the child: take the place of the named world, do it, write the answer."""
    try:
        settle_in(command)
        said = COMMANDS[command["do"]](command)
    except BaseException:
        said = {"failed": traceback.format_exc(limit=-8)}
    answer.write_text(json.dumps(said))
    return 0


def settle_in(command: dict[str, Any]) -> None:
    """This child's own database, clock, mail and Stripe account."""
    import stripe
    from django.conf import settings
    from django.db import connection

    folder, account = Path(command["folder"]), command["account"]
    connection.settings_dict["NAME"] = command["database"]
    settings.CLOCK_FILE = str(folder / "clock")
    settings.EMAIL_BACKEND = "config.tests.crash.mails.LineBackend"
    settings.EMAIL_FILE_PATH = str(folder / "mails")
    settings.PRIVATE_FILES = folder / "private"
    settings.STRIPE_API_BASE = settings.STRIPE_API_HOST = stripe.api_base = account["url"]
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = stripe.api_key = account["secret_key"]
    settings.STRIPE_WEBHOOK_SECRET = account["webhook_secret"]
    settings.STRIPE_TIMEOUT = 1


def migrate(command: dict[str, Any]) -> Any:
    """An empty database with its tables."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return {}


def prepare(command: dict[str, Any]) -> Any:
    """Make a world."""
    from config.tests.crash.journeys import WORLDS, come_to_rest, what_is_left

    WORLDS[command["world"]]()
    come_to_rest()
    assert not what_is_left(), what_is_left()
    from accounts import clock

    return {"moment": clock.now().isoformat()}


def travel(command: dict[str, Any]) -> Any:
    """Make the journey, perhaps to be killed on the way, perhaps in bad weather."""
    from config.tests.crash import mails, report
    from config.tests.crash.journeys import JOURNEYS, come_to_rest
    from config.tests.crash.points import Points

    _turn_back(command)
    one = _traveller(command)
    _take_guards_off(command)
    _make_weather(command)
    if JOURNEYS[command["journey"]].ending:
        assert one.browser  # signed in before the journey begins
    if command.get("is_patient"):
        one.declare(JOURNEYS[command["journey"]].ending)
        come_to_rest()
    points = Points(Path(command["folder"]) / "points", command.get("kill_at", 0))
    points.watch()
    mails.watching = points
    JOURNEYS[command["journey"]].make(one)
    if command.get("backfill"):
        come_to_rest(with_backfill=True)
    points.stop()
    return report.outcome(Path(command["folder"]) / "mails")


def recover(command: dict[str, Any]) -> Any:
    """What beat, the worker and a customer who got no answer do after the crash."""
    from config.tests.crash import report
    from config.tests.crash.journeys import JOURNEYS, come_to_rest, outlive_the_dead

    _take_guards_off(command)
    one = _traveller(command)
    journey = JOURNEYS[command["journey"]]
    one.declare(journey.ending)
    outlive_the_dead()
    come_to_rest(with_backfill=True)
    journey.make(one)
    come_to_rest(with_backfill=True)
    return report.outcome(Path(command["folder"]) / "mails")


def _turn_back(command: dict[str, Any]) -> None:
    """Every journey begins at the moment its world was ready, however long ago that is by now."""
    from accounts import clock

    clock.turn_to(dt.datetime.fromisoformat(command["moment"]))


def _make_weather(command: dict[str, Any]) -> None:
    """What the provider and the network do wrong on this journey."""
    from billing.tests.worlds import control

    if "faults" in command:
        control("POST", "/_sandbox/faults", {"faults": command["faults"]})
    if "webhooks" in command:
        control("POST", "/_sandbox/webhook_plan", command["webhooks"])


def _traveller(command: dict[str, Any]) -> Any:
    from accounts.models import Account
    from config.tests.crash.journeys import Traveller

    return Traveller(Account.objects.get(), Path(command["folder"]) / "progress")


def _take_guards_off(command: dict[str, Any]) -> None:
    """For the negative controls only: the named guard does nothing in this child."""
    import secrets

    from billing import inbox, provider_refunds

    if "refund_key" in command.get("guards_off", []):
        provider_refunds.find_refund = lambda stripe, desired: None
        provider_refunds.keyed = lambda key: {"idempotency_key": secrets.token_hex(16)}
    if "event_once" in command.get("guards_off", []):
        row = inbox._row
        inbox._row = lambda event, at: row(event | {"id": secrets.token_hex(16)}, at=at)


COMMANDS = {"migrate": migrate, "prepare": prepare, "travel": travel, "recover": recover}

if __name__ == "__main__":
    main()
