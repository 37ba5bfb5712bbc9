"""What beat starts; the work is found in the database."""

import datetime as dt

from celery import shared_task

from accounts import clock
from accounts.jobs import run_job
from billing import pauses
from offboarding import completions, exports, free_days, purges

MINUTE = dt.timedelta(minutes=1)
FIVE_MINUTES = dt.timedelta(minutes=5)
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


@shared_task(name="offboarding.purge_due")
def purge_due() -> int:
    """Delete what is due (every five minutes: what waits for the provider is asked again)."""
    return run_job("offboarding.purge_due", FIVE_MINUTES, purges.run_purges)


@shared_task(name="offboarding.purge_books")
def purge_books() -> int:
    """Delete books whose years are over (hourly)."""
    return run_job("offboarding.purge_books", HOUR, purges.purge_books)


@shared_task(name="offboarding.owe_purge_notices")
def owe_purge_notices() -> int:
    """Owe the notices before data goes to whoever is not owed them yet (hourly)."""
    return run_job("offboarding.owe_purge_notices", HOUR, purges.owe_purge_notices)
