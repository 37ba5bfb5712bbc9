"""What beat starts; the work is found in the database."""

import datetime as dt

from django.utils.translation import gettext_lazy as _

from accounts.jobs import HOUR, MINUTE, Outcome, Touches, beat_job
from billing import pauses
from billing.models import Pause
from offboarding import completions, exports, free_days, purges
from offboarding.models import Cancellation, Erasure, Export, Reservation


@beat_job(
    "offboarding.complete_due",
    title=_("End what has reached its date"),
    every=MINUTE,
    due=lambda at: Cancellation.objects.due(at),
    touches=Touches.MONEY,
)
def complete_due(*, at: dt.datetime) -> int:
    """Carry out what has reached its date (every minute)."""
    return completions.complete_due_cancellations(at=at)


@beat_job(
    "offboarding.resume_pauses",
    title=_("Give access back after a pause"),
    every=MINUTE,
    due=lambda at: Pause.objects.due(at),
)
def resume_pauses(*, at: dt.datetime) -> int:
    """Give access back where a pause is over (every minute)."""
    return pauses.resume_due_pauses(at=at)


@beat_job(
    "offboarding.lapse_reservations",
    title=_("Close kept refunds that nobody claimed"),
    every=HOUR,
    due=lambda at: Reservation.objects.due_to_lapse(at),
    touches=Touches.MONEY,
)
def lapse_reservations(*, at: dt.datetime) -> int:
    """Close what nobody claimed (hourly)."""
    return free_days.lapse_reservations(at=at)


@beat_job(
    "offboarding.run_exports",
    title=_("Make the downloads that were asked for"),
    every=MINUTE,
    due=lambda at: Export.objects.due(at),
    is_rung=True,
)
def run_exports(*, at: dt.datetime) -> int:
    """Make the downloads that were asked for (every minute, and when one is asked for)."""
    return exports.make_due_exports(at=at)


@beat_job(
    "offboarding.expire_exports",
    title=_("Remove downloads whose days are over"),
    every=HOUR,
    due=lambda at: Export.objects.over(at),
    touches=Touches.DATA,
)
def expire_exports(*, at: dt.datetime) -> int:
    """Remove the files of downloads whose days are over (hourly)."""
    return exports.remove_expired(at=at)


@beat_job(
    purges.JOB,
    title=_("Delete the data whose date has come"),
    every=HOUR,
    due=purges.due_purges,
    touches=Touches.DATA,
)
def purge_due(*, at: dt.datetime) -> Outcome:
    """Delete what is due (hourly: what waits for the provider is asked again)."""
    return purges.run_purges(at=at)


@beat_job(
    purges.BOOKS_JOB,
    title=_("Delete the books whose years are over"),
    every=HOUR,
    due=lambda at: Erasure.objects.with_books_over(at),
    touches=Touches.DATA,
)
def purge_books(*, at: dt.datetime) -> int:
    """Delete books whose years are over (hourly)."""
    return purges.purge_books(at=at)


@beat_job("offboarding.owe_purge_notices", title=_("Announce deletions"), every=HOUR)
def owe_purge_notices(*, at: dt.datetime) -> int:
    """Owe the notices before data goes to whoever is not owed them yet (hourly)."""
    return purges.owe_purge_notices(at=at)
