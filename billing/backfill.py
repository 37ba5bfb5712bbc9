"""Events that never reached us: read from the provider's list, so that an outage loses none (I2)."""

import datetime as dt

from accounts.models import JobRun
from billing import inbox
from billing.models import Incoming
from billing.stripe_api import calling

JOB = "billing.backfill"
OVERLAP = dt.timedelta(hours=2)
HORIZON = dt.timedelta(days=29)  # the provider keeps events for 30 days


def fetch_missed_events(*, at: dt.datetime) -> int:
    """Take in every event since the last time this was done; returns how many were not known yet.

    The newest event that came says nothing about those before it: webhooks may have come on while
    others were lost, for as long as no worker ran.
    """
    last = JobRun.objects.good().filter(name=JOB).order_by("-slot").first()
    since = max(last.started_at - OVERLAP if last else at - HORIZON, at - HORIZON)
    before = Incoming.objects.count()
    with calling() as stripe:
        listed = stripe.v1.events.list(params={"created": {"gte": int(since.timestamp())}, "limit": 100})
        for event in listed.auto_paging_iter():
            inbox.take_in(event.to_dict(), at=at)
    return Incoming.objects.count() - before
