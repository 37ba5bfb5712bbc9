"""Every test of billing takes place at noon of an ordinary day, on a Stripe account of its own."""

from typing import Any

import pytest

from accounts.tests.worlds import NOON
from billing import signals


@pytest.fixture
def noon(stripe_account: Any, clock: Any) -> Any:
    """The sandbox and the clock, both at noon; gives the clock."""
    clock.turn_to(NOON)
    return clock


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody above listens: leaving would adopt an end that was declared nowhere."""
    for name in ("subscription_changed", "payment_received", "refund_changed", "instruction_done"):
        monkeypatch.setattr(getattr(signals, name), "receivers", [])
        getattr(signals, name).sender_receivers_cache.clear()
