"""The networks' ceiling: a card is tried at most twenty times in thirty days, the first failure included."""

import pytest

from accounts.events import SYSTEM, By
from accounts.models import Notice
from accounts.tests.worlds import NOON
from billing.dunning_attempts import attempt_cases, can_retry_now
from billing.dunning_cases import open_case
from billing.models import Customer, DunningAttempt, Instruction, Invoice
from billing.tests.test_words import story
from billing.tests.trial_worlds import DAY

# Counting is proven here: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]


def tried(times, *, last):
    """A case whose card was tried on so many days up to this one, its first failure included."""
    account, _ = story()
    case = open_case(Invoice.objects.get(), "insufficient_funds", at=last - (times - 1) * DAY)
    days = [last - n * DAY for n in range(times - 1)]
    DunningAttempt.objects.bulk_create(
        DunningAttempt(case=case, at=at, day=at.date(), outcome="declined", card_id="pm_1") for at in days
    )
    return account, case


@pytest.mark.parametrize(
    ("times", "days_later", "outcome"),
    [(19, 1, "sent"), (20, 1, "skipped"), (20, 10, "skipped"), (20, 11, "sent")],
)
def test_the_twenty_first_try_in_thirty_days_is_left_out_and_told(times, days_later, outcome):
    account, case = tried(times, last=NOON)
    at = NOON + days_later * DAY
    may = can_retry_now(case, at=at)
    attempt_cases([case], by=SYSTEM, at=at)
    attempt = DunningAttempt.objects.get(at=at)

    assert (attempt.outcome, may) == (outcome, outcome == "sent")
    assert attempt.reason == ("network_limit" if outcome == "skipped" else "")
    assert Instruction.objects.filter(kind="retry").exists() is (outcome == "sent")
    told = Notice.objects.filter(account=account, facts__left_out="network_limit")
    assert told.exists() is (outcome == "skipped")


def test_another_card_starts_anew():
    _, case = tried(20, last=NOON)
    Customer.objects.update(card_id="pm_2")
    attempt_cases([case], by=By("staff"), at=NOON + DAY)

    assert DunningAttempt.objects.latest("at").outcome == "sent"
