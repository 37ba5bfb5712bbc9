"""Coming back while the data is there."""

import datetime as dt

from django.db import transaction

from accounts.events import By
from accounts.models import Account
from billing.models import Plan, Subscription
from billing.subscriptions import start_free_plan
from offboarding import retention
from offboarding.completions import end_without_closing
from offboarding.models import Cancellation, Closure
from offboarding.withdrawals import has_paid_out, take_back


@transaction.atomic
def come_back_for_free(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Subscription:
    """Back on the free plan: the account opens, and the deletion of its data is called off."""
    subscription = start_free_plan(account, plan, by=by, at=at)
    settle_earlier_leaving(subscription, by=by, at=at)
    keep_data_of_who_came_back(account, by=by, at=at)
    return subscription


def settle_earlier_leaving(subscription: Subscription, *, by: By, at: dt.datetime) -> None:
    """A leaving that is under way for another subscription ends here: its date must not shut this one out.

    What has been paid out stays paid out; anything else is taken back.
    """
    others = Cancellation.objects.open().filter(account=subscription.account_id)
    for cancellation in others.select_related("account", "subscription").exclude(subscription=subscription):
        if has_paid_out(cancellation):
            end_without_closing(cancellation, at=at)
        else:
            take_back(cancellation, cancellation.account, by=by, at=at)


def keep_data_of_who_came_back(account: Account, *, by: By, at: dt.datetime) -> None:
    """Whoever comes back keeps the data; once deleting has begun it cannot be kept."""
    for closure in Closure.objects.filter(account=account, status=Closure.Status.SCHEDULED):
        retention.call_off_closure(closure, by=by, at=at, reason="came_back")
