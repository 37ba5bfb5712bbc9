"""Events that never reached us: read from the provider's list, so that an outage loses none (I2)."""

import datetime as dt

from django.db.models import Max

from billing import inbox
from billing.models import Incoming
from billing.stripe_api import calling

OVERLAP = dt.timedelta(hours=1)
HORIZON = dt.timedelta(days=29)  # the provider keeps events for 30 days


def fetch_missed_events(*, at: dt.datetime) -> int:
    """Take in every event since the newest we have, less an hour; returns how many were not known yet."""
    newest = Incoming.objects.aggregate(newest=Max("created"))["newest"]
    since = max(newest - OVERLAP if newest else at - HORIZON, at - HORIZON)
    before = Incoming.objects.count()
    with calling() as stripe:
        listed = stripe.v1.events.list(params={"created": {"gte": int(since.timestamp())}, "limit": 100})
        for event in listed.auto_paging_iter():
            inbox.take_in(event.to_dict(), at=at)
    return Incoming.objects.count() - before
