"""Leaving while an invoice is unpaid, in every zone, at month ends, across clock changes, with beat off.

Undisturbed each day's history and mails are those listed, and nothing else. With beat off for days it ends
in the same: nothing comes earlier, nothing twice, and nobody is chased or charged after the declaration.
"""

import pytest

from accounts import clock as product_clock
from accounts.events import By
from accounts.tests.worlds import NOON, owner_of
from billing.tests import grid
from billing.tests.chasing_lives import BLOCKED, ENDED, FAILED, FIRST, OUTAGES, Life, check_life, live
from offboarding.completions import complete_due_cancellations
from offboarding.declarations import declare_cancellation
from offboarding.models import Cancellation
from offboarding.withdrawals import withdraw_cancellation

# The schedule and the provider are proven here: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]

LEAVES = ["cancellation.received", "dunning.left", "cancellation.scheduled", "mail leaving_received"]
GONE = [
    "cancellation.completed",
    "account.closed",
    "data.closing",
    "subscription.canceled",
    "mail leaving_completed",
]
ADOPTED = [
    "subscription.canceled",
    "cancellation.received",
    "cancellation.scheduled",
    "mail leaving_received",
]
KEPT = ["cancellation.withdrawn", "dunning.resumed", "mail leaving_withdrawn"]


def leave(account):
    owner, at = owner_of(account), product_clock.now()
    declare_cancellation(account, "stop_renewing", by=By.customer(owner), at=at, user=owner)


def keep(account):
    by = By.customer(owner_of(account))
    withdraw_cancellation(Cancellation.objects.get(), by=by, at=product_clock.now())


@pytest.fixture
def noon(stripe_account, clock):
    clock.turn_to(NOON)
    return clock


def settled(choice):
    """What becomes of the open invoice at the end."""
    return ["invoice.void"] if choice == "void" else []


def left(choice, invoice):
    """Leaving on the fourth day, before access ends, under terms that do this with what is open."""
    return Life(
        {0: FIRST, 3: FAILED, 4: LEAVES, 7: [*GONE, *settled(choice)]},
        {4: leave},
        terms={"open_invoice": choice},
        status="left",
        state="closed",
        invoice=invoice,
        stays=False,
    )


def left_late(choice, invoice):
    """Leaving on the ninth day, with access off."""
    return Life(
        {0: FIRST, 3: FAILED, 6: FAILED, 7: BLOCKED, 9: [*LEAVES, *GONE, *settled(choice)]},
        {9: leave},
        terms={"open_invoice": choice},
        status="left",
        state="closed",
        invoice=invoice,
        stays=False,
    )


def ended(choice, invoice):
    """The terms end it when the last attempt has failed."""
    return Life(
        {
            0: FIRST,
            3: FAILED,
            6: FAILED,
            7: BLOCKED,
            10: FAILED,
            11: [*ENDED[:2], *ADOPTED, *settled(choice)],
            12: GONE[:3],
        },
        terms={"open_invoice": choice, "dunning_end": "cancel"},
        state="closed",
        invoice=invoice,
        stays=False,
    )


CHOICES = {"void": "void", "used_part": "open", "full": "open"}
LIVES = {
    **{f"left in time, {choice}": left(choice, invoice) for choice, invoice in CHOICES.items()},
    **{f"left late, {choice}": left_late(choice, invoice) for choice, invoice in CHOICES.items()},
    **{f"ended by the terms, {choice}": ended(choice, invoice) for choice, invoice in CHOICES.items()},
    "left and kept": Life(
        {0: FIRST, 3: FAILED, 4: LEAVES, 5: KEPT, 6: FAILED, 7: BLOCKED, 10: FAILED, 11: ENDED},
        {4: leave, 5: keep},
    ),
}
CELLS = grid.cells(list(LIVES), OUTAGES)


@pytest.mark.parametrize(("name", "zone", "date", "time", "off", "beats"), CELLS, ids=str)
def test_it_ends_the_same_wherever_and_whenever_somebody_leaves(noon, name, zone, date, time, off, beats):
    life = LIVES[name]
    account, days = live(noon, life, (zone, date, time, off, beats), also=complete_due_cancellations)

    check_life(life, account, days, off)
    if "cancellation.completed" in [text for texts in days.values() for text in texts]:
        assert Cancellation.objects.get().status == "completed"
