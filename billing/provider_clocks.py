"""Stripe's test clocks, turned through its own API (demo and tests): https://docs.stripe.com/billing/testing/test-clocks.

Each customer of the demo has a clock of its own. A call moves one at most two billing intervals and
answers at once; the work is done when the clock is `ready` again.
"""

import datetime as dt
import time
from collections.abc import Iterable

from django.conf import settings

from billing.models import Customer
from billing.stripe_api import calling

#: Shorter than any billing interval.
HOP = dt.timedelta(days=27)
SECONDS_TO_WAIT = 60
PAUSE = 0.02


def clocks_of_customers() -> list[str]:
    """The test clocks of all customers that are still there."""
    known = Customer.objects.exclude(test_clock="").filter(deleted_at=None)
    return list(known.values_list("test_clock", flat=True))


def turn_test_clocks(clocks: Iterable[str], moment: dt.datetime, *, hop: dt.timedelta = HOP) -> None:
    """Bring these clocks to `moment`, none ever back, and return when the provider is ready."""
    if not settings.STRIPE_TEST_CLOCKS:
        raise RuntimeError("The provider's clocks can be turned in the demo and in tests only.")
    behind, target, step = set(clocks), int(moment.timestamp()), int(hop.total_seconds())
    while behind:
        shown = _shown(behind)
        behind = {clock for clock, frozen in shown.items() if frozen < target}
        with calling() as stripe:
            for clock in sorted(behind):
                to = min(target, shown[clock] + step)
                stripe.v1.test_helpers.test_clocks.advance(clock, params={"frozen_time": to})


def _shown(wanted: set[str]) -> dict[str, int]:
    """What these clocks show, once all of them are ready; a clock that is gone is left out."""
    give_up = time.monotonic() + SECONDS_TO_WAIT
    while True:
        with calling() as stripe:
            listed = stripe.v1.test_helpers.test_clocks.list(params={"limit": 100}).auto_paging_iter()
            found = {clock.id: clock for clock in listed if clock.id in wanted}
        broken = [clock.id for clock in found.values() if clock.status == "internal_failure"]
        if broken:
            raise RuntimeError(f"The provider could not turn {broken[0]}.")
        if all(clock.status == "ready" for clock in found.values()):
            return {name: int(clock.frozen_time) for name, clock in found.items()}
        if time.monotonic() > give_up:
            raise TimeoutError("The provider's test clocks do not get ready.")
        time.sleep(PAUSE)
