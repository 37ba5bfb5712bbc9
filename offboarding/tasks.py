"""What beat starts; the work is found in the database."""

import datetime as dt

from celery import shared_task

from accounts.jobs import run_job
from billing import pauses
from offboarding import completions, free_days

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
