"""The customer's own day for an attempt: once for each unpaid invoice, within what the terms allow."""

import datetime as dt

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Account
from billing.dunning_cases import withdraw_attempts
from billing.dunning_dates import replan_case, rules_of
from billing.dunning_rules import choosable_days
from billing.models import DunningCase


def can_choose_day(case: DunningCase) -> bool:
    """Once, while it runs, and where the terms leave a choice."""
    return case.is_running and case.chosen_on is None and case.terms.dunning_choose_days > 0


def days_to_choose(case: DunningCase, *, at: dt.datetime) -> list[dt.date]:
    """The days on which the customer may have us try, none where there is no choice any more."""
    if not can_choose_day(case):
        return []
    return choosable_days(rules_of(case.terms), case.opened_at, case.account.time_zone, at=at)


@transaction.atomic
def choose_day(case: DunningCase, day: dt.date, *, by: By, at: dt.datetime) -> None:
    """Try on this day, and nothing harsher before the day after it; once, within the terms' limit.

    Raises `WrongState` for a day that is not offered, or where it was chosen already.
    """
    Account.objects.select_for_update().get(pk=case.account_id)
    case.refresh_from_db()
    if day not in days_to_choose(case, at=at):
        raise WrongState("This day cannot be chosen.")
    held = DunningCase.objects.running().filter(pk=case.pk, chosen_on=None)
    if not held.update(chosen_on=day, chosen_made_at=at):
        raise WrongState("A day was chosen already.")
    case.refresh_from_db()
    withdraw_attempts(case)
    record(case.account, "dunning.chosen", by=by, at=at, subject=case.ref, day=day.isoformat())
    replan_case(case, at=at)
