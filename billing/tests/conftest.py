"""Every test of billing takes place at noon of an ordinary day, on a Stripe account of its own."""

from typing import Any

import pytest

from accounts.tests.worlds import NOON


@pytest.fixture
def noon(stripe_account: Any, clock: Any) -> Any:
    """The sandbox and the clock, both at noon; gives the clock."""
    clock.turn_to(NOON)
    return clock
