"""What comes of doing nothing in a trial without a card: nothing is charged, so nobody has to leave."""

import datetime as dt
from dataclasses import dataclass

from accounts.models import Account
from billing import periods
from billing.models import TrialStep
from billing.trial_calendar import StepKind
from offboarding.situation import Situation, Start


@dataclass(frozen=True)
class Nothing:
    """What comes of doing nothing: access until then, and the last day of the data.

    Without a day for the data it does not go: the free plan begins instead.
    """

    access_until: dt.datetime
    data_until: dt.datetime | None


def decide_nothing(
    access_until: dt.datetime, farewell: dt.datetime, *, stays_free: bool, zone: str, retention_days: int
) -> Nothing:
    """Access ends with the grace; the days of keeping the data begin with the thank-you after it."""
    last_day = periods.local_date(farewell, zone) + dt.timedelta(days=retention_days)
    return Nothing(access_until, None if stays_free else periods.end_of_date(last_day, zone))


def read_nothing(account: Account, facts: Situation) -> Nothing | None:
    """As the days of this trial are written down; None for everybody else. One query, for trials alone."""
    if facts.start not in (Start.TRIAL, Start.TRIAL_OVER):
        return None
    steps = TrialStep.objects.pending().filter(subscription__public_id=facts.subscription)
    due = dict(steps.values_list("kind", "due_at"))
    if StepKind.FREEZE not in due or StepKind.FAREWELL not in due:
        return None
    return decide_nothing(
        due[StepKind.FREEZE],
        due[StepKind.FAREWELL],
        stays_free=account.access_ends_at is None,
        zone=facts.zone,
        retention_days=account.terms.retention_days,
    )
