"""Cards that will be over before the next charge: said 30 and 7 days before it."""

import datetime as dt
import itertools

from django.db.models import Q, QuerySet

from accounts import sets
from accounts.models import Account
from accounts.notices import Owed, owe_many
from billing import periods
from billing.models import Subscription

#: Days before the renewal on which it is said, the later one first.
AHEAD = (7, 30)


def expiring_before_renewal(at: dt.datetime) -> QuerySet[Subscription]:
    """Subscriptions that renew within thirty days in a month in which their card is not valid any more.

    A card is good to the end of the month that is printed on it, so only months are compared.
    """
    last = at + dt.timedelta(days=max(AHEAD))
    first_day = at.date().replace(day=1)
    # From the end of January thirty days reach into the month after the next.
    months = [periods.add_months(first_day, n) for n in range(4)]
    too_old = Q(pk__in=[])
    for start, end in itertools.pairwise(months):
        month = Q(period_end__gte=_midnight(start), period_end__lt=_midnight(end))
        too_old |= month & Q(account__customer__card_expires__lt=f"{start:%Y-%m}")
    return (
        Subscription.objects.live()
        .filter(too_old, period_end__gt=at, period_end__lte=last, cancel_at=None)
        .exclude(provider_id=None)
        .exclude(account__customer__card_expires="")
        .filter(account__state__in=Account.OPEN_STATES, account__customer__deleted_at=None)
    )


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def owe_card_notices(*, at: dt.datetime) -> int:
    """Owe each its mail once for each of the two days; returns how many are new."""
    columns = ("pk", "account_id", "public_id", "period_end", "account__customer__card_id")
    rows = expiring_before_renewal(at).values_list(*columns)
    found = {pk: (account, ref, end, card) for pk, account, ref, end, card in rows}
    done = 0
    for chunk in sets.in_chunks(sorted(found)):
        done += owe_many("card_expires", [_owed(*found[pk], at=at) for pk in chunk], at=at)
    return done


def _owed(account_id: int, ref: str, end: dt.datetime, card: str, *, at: dt.datetime) -> Owed:
    ahead = next(days for days in AHEAD if end - at <= dt.timedelta(days=days))
    return Owed(account_id, f"{about_renewal(ref, end)}{ahead}", subject=f"card:{card}")


def about_renewal(ref: str, end: dt.datetime) -> str:
    """How the periods of the notices about this very renewal begin."""
    return f"{ref}:{end:%Y-%m-%d}:"
