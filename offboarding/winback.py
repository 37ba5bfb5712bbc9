"""Coming back while the data is there."""

import datetime as dt

from django.db import transaction

from accounts.events import By
from accounts.models import Account
from billing.models import Plan, Subscription
from billing.subscriptions import start_free_plan
from offboarding import retention
from offboarding.models import Closure


@transaction.atomic
def come_back_for_free(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Subscription:
    """Back on the free plan: the account opens, and the deletion of its data is called off."""
    subscription = start_free_plan(account, plan, by=by, at=at)
    keep_data_of_who_came_back(account, by=by, at=at)
    return subscription


def keep_data_of_who_came_back(account: Account, *, by: By, at: dt.datetime) -> None:
    """Whoever comes back keeps the data; once deleting has begun it cannot be kept."""
    for closure in Closure.objects.filter(account=account, status=Closure.Status.SCHEDULED):
        retention.call_off_closure(closure, by=by, at=at, reason="came_back")
