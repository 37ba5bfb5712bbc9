"""The product's only clock.

In production it is the system clock. In the demo and in tests `settings.CLOCK_FILE` names a file
that holds an offset in seconds; every process reads it, so that all of them turn together.
"""

import datetime as dt
from pathlib import Path

from django.conf import settings


def now() -> dt.datetime:
    """The current moment in UTC, turned by the clock file where one is configured."""
    return dt.datetime.now(dt.UTC) + offset()


def offset() -> dt.timedelta:
    """How far the clock is turned; zero where no clock file is configured or none was written."""
    if not settings.CLOCK_FILE:
        return dt.timedelta()
    try:
        return dt.timedelta(seconds=float(Path(settings.CLOCK_FILE).read_text()))
    except FileNotFoundError:
        return dt.timedelta()


def turn_to(moment: dt.datetime) -> None:
    """Turn the clock of every process of this demo or test to `moment`; refused elsewhere.

    From then on it is never before `moment`: whatever is due at `moment` is due now.
    """
    if not settings.CLOCK_FILE:
        raise RuntimeError("The clock can be turned in the demo and in tests only.")
    path = Path(settings.CLOCK_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    scratch.write_text(str((moment - dt.datetime.now(dt.UTC)).total_seconds()))
    scratch.replace(path)


def reset() -> None:
    """Turn the clock back to the system's."""
    if settings.CLOCK_FILE:
        Path(settings.CLOCK_FILE).unlink(missing_ok=True)
