"""However webhooks come, shuffled, doubled, late or not at all, the end is that of the orderly ones.

From the first payment to the last refund under seeded plans of the sandbox: mails, refunds, history
and rows must be equal to those of a run in which every webhook came once and in order.
WEATHER_SEEDS says how many seeds (3); see docs/proofs.md.
"""

import os

import pytest

from config.tests.crash.fixtures import house
from config.tests.crash.house import differences

__all__ = ["house"]

SEEDS = int(os.environ.get("WEATHER_SEEDS", "3"))
JOURNEY = "from_first_to_last"
pytestmark = [pytest.mark.once, pytest.mark.timeout(max(300, 60 * SEEDS))]


@pytest.fixture(scope="module")
def orderly(house):
    """What is left when every webhook comes once and in order."""
    house.stock("new", 2 * SEEDS + 3)
    outcome = house.travel(JOURNEY, backfill=True).outcome
    assert outcome["here"]["cancellations"] == ["completed stop_now"]
    assert len(outcome["provider"]["refunds"]) == 1
    assert not outcome["violations"]
    return outcome


@pytest.mark.parametrize("seed", range(SEEDS))
def test_shuffled_doubled_and_late_webhooks_end_as_the_orderly_ones(house, orderly, seed):
    weather = {"seed": seed, "duplicate": 0.5, "delay": 0.4, "shuffle": 0.8}
    run = house.travel(JOURNEY, webhooks=weather, backfill=True)
    found = differences(orderly, run.outcome)
    house.forget(run)

    assert not found, "\n".join(found)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_never_came_is_read_from_the_list_of_events(house, orderly, seed):
    weather = {"seed": seed, "drop": 0.5, "duplicate": 0.3, "shuffle": 0.5}
    run = house.travel(JOURNEY, webhooks=weather, backfill=True)
    found = differences(orderly, run.outcome)
    house.forget(run)

    assert not found, "\n".join(found)


def test_without_the_list_of_events_what_never_came_is_missing(house, orderly):
    outcome = house.travel(JOURNEY, webhooks={"seed": 1, "drop": 1.0}).outcome

    assert differences(orderly["here"]["events"], outcome["here"]["events"])
    assert outcome["here"]["subscriptions"] != orderly["here"]["subscriptions"]


def test_without_the_id_of_the_event_the_doubled_ones_are_two(house, orderly):
    outcome = house.travel(JOURNEY, webhooks={"seed": 1, "duplicate": 1.0}, guards_off=["event_once"]).outcome

    assert differences(orderly["here"]["events"], outcome["here"]["events"])
