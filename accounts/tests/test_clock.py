"""The clock that tests and the demo turn."""

import datetime as dt

from accounts import clock as product_clock
from accounts.tests.worlds import NOON


def test_it_is_never_before_the_moment_it_was_turned_to(clock) -> None:
    for part in range(10):  # a fraction of a second is not rounded away
        moment = NOON + dt.timedelta(milliseconds=100 * part)
        clock.turn_to(moment)
        assert moment <= product_clock.now() < moment + dt.timedelta(seconds=0.1)
