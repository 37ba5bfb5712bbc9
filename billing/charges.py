"""Moving the next charge to a later day, to help someone: the days between are free."""

import datetime as dt
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from accounts.errors import WrongState
from accounts.events import By
from billing.models import DunningCase, Subscription
from billing.periods import add_local_days
from billing.renewals import can_postpone, postpone_charge
from billing.stripe_api import calling


class Why(TextChoices):
    """Why support moves a charge."""

    ASKED = "asked", _("the customer asked for it")
    SHORT = "short", _("the customer cannot pay on that day")
    PROBLEM = "problem", _("something did not work")
    OTHER = "other", _("something else")


@dataclass(frozen=True)
class MovedCharge:
    """What moving it would do: from when to when, and what the provider would charge then."""

    now: dt.datetime
    then: dt.datetime
    amount: int
    currency: str


def can_move_charge(subscription: Subscription, *, at: dt.datetime) -> bool:
    """A charge is to come, and no invoice waits: that one has a case, with a chosen day and holds."""
    unpaid = DunningCase.objects.unpaid().filter(account=subscription.account_id).exists()
    return (
        bool(subscription.account.terms.charge_move_days) and can_postpone(subscription, at=at) and not unpaid
    )


def postponed(subscription: Subscription, days: int) -> dt.datetime:
    """The next charge so many days later, at the same local hour; raises `WrongState` past the terms' cap."""
    account = subscription.account
    if subscription.renews_at is None or not 1 <= days <= account.terms.charge_move_days:
        raise WrongState("A charge is moved within the days that the terms allow.")
    return add_local_days(subscription.renews_at, days, account.time_zone)


def preview_postponed(subscription: Subscription, days: int) -> MovedCharge:
    """Ask the provider what the charge would then be; changes nothing."""
    if subscription.renews_at is None:
        raise WrongState("No charge is to come.")
    then = postponed(subscription, days)
    with calling() as stripe:
        found = stripe.v1.invoices.create_preview(
            params={
                "subscription": str(subscription.provider_id),
                "subscription_details": {
                    "trial_end": int(then.timestamp()),
                    "proration_behavior": "none",
                },
            }
        )
    return MovedCharge(subscription.renews_at, then, int(found.amount_due), str(found.currency).upper())


def move_charge(
    subscription: Subscription, days: int, *, by: By, at: dt.datetime, reason: str = Why.OTHER
) -> None:
    """Charge so many days later, as `renewals.postpone_charge` says; why is in the history."""
    if not can_move_charge(subscription, at=at):
        raise WrongState("There is no charge to move.")
    postpone_charge(subscription, postponed(subscription, days), by=by, at=at, reason=reason)
