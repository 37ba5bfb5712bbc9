"""What beat starts; the work is found in the database."""

import datetime as dt

from celery import shared_task

from accounts import clock
from accounts.jobs import run_job
from billing import pauses
from offboarding import completions, exports, free_days

MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


@shared_task(name="offboarding.complete_due")
def complete_due() -> int:
    """Carry out what has reached its date (every minute)."""
    return run_job("offboarding.complete_due", MINUTE, completions.complete_due_cancellations)


@shared_task(name="offboarding.resume_pauses")
def resume_pauses() -> int:
    """Give access back where a pause is over (every minute)."""
    return run_job("offboarding.resume_pauses", MINUTE, pauses.resume_due_pauses)


@shared_task(name="offboarding.lapse_reservations")
def lapse_reservations() -> int:
    """Close what nobody claimed (hourly)."""
    return run_job("offboarding.lapse_reservations", HOUR, free_days.lapse_reservations)


@shared_task(name="offboarding.run_exports")
def run_exports() -> int:
    """Make the downloads that were asked for (every minute, and when one is asked for)."""
    return exports.make_due_exports(at=clock.now())


@shared_task(name="offboarding.expire_exports")
def expire_exports() -> int:
    """Remove the files of downloads whose days are over (hourly)."""
    return run_job("offboarding.expire_exports", HOUR, exports.remove_expired)
