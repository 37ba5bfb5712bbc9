"""A process that is killed at any commit, provider call or mail of a journey loses and doubles nothing.

CRASH_POINTS=all kills at every one of them, a number at so many (7), other ones on PostgreSQL than
on SQLite. CRASH_JOURNEYS names the journeys (stop_now; all). `-s` prints the list. See docs/proofs.md.
"""

import os

import pytest

from config.tests.crash.fixtures import house
from config.tests.crash.house import differences

__all__ = ["house"]

WANTED = os.environ.get("CRASH_POINTS", "7")
ON_POSTGRES = os.environ.get("DATABASE_URL", "").startswith("postgres")
ALL = "stop_now stop_now_at_once free_days close_delete unpaid unpaid_used credit"
JOURNEYS = os.environ.get("CRASH_JOURNEYS", "stop_now").replace("all", ALL).split()
pytestmark = pytest.mark.timeout(4 * 3600 if WANTED == "all" else 60 + 60 * int(WANTED))


def chosen(points):
    """The numbers of the points to die at, spread over the journey from its first to its last part."""
    if WANTED == "all":
        return list(range(1, len(points) + 1))
    step = len(points) / int(WANTED)
    offset = 0.75 if ON_POSTGRES else 0.25
    return [1 + int((n + offset) * step) for n in range(int(WANTED))]


def mail_in_flight(points, number):
    """The kind of mail that had been handed over and not yet been noted when the process died."""
    last = points[number - 1]
    if last.startswith("before update accounts_notice"):
        last = points[number - 2]
    return last.partition(": ")[2] if last.startswith("after mail") else ""


def kill_and_compare(house, journey, number, references, points):
    """Die at one point, recover in a fresh process; what differs from the undisturbed runs."""
    run = house.travel(journey, kill_at=number)
    assert run.was_killed, f"point {number} was not reached"
    outcome = run.recover()
    twice = mail_in_flight(points, number)
    if twice and outcome["mails"][twice] == references[0]["mails"][twice] + 1:
        outcome["mails"][twice] -= 1
    house.forget(run)
    wrong = min((differences(reference, outcome) for reference in references), key=len)
    return [f"killed at {number}, {points[number - 1]}: {line}" for line in wrong]


@pytest.mark.parametrize("journey", JOURNEYS)
def test_whoever_is_killed_anywhere_refunds_once_and_loses_nothing(house, journey):
    undisturbed = house.travel(journey)
    # Whoever dies before the last step takes it when the declaration has been carried out already.
    references = [undisturbed.outcome, house.travel(journey, is_patient=True).outcome]
    points = undisturbed.points()
    numbers = chosen(points)
    print(f"\n{journey}: {len(points)} points, killed at {len(numbers)}")
    print("\n".join(f"{'*' if n in numbers else ' '} {n:4} {what}" for n, what in enumerate(points, 1)))
    house.stock(undisturbed.world, len(numbers))
    wrong = [line for n in numbers for line in kill_and_compare(house, journey, n, references, points)]

    assert not wrong, "\n".join(wrong)


def test_the_undisturbed_journey_refunds_what_was_quoted(house):
    outcome = house.travel("stop_now").outcome

    [quoted] = outcome["here"]["quoted"]
    assert quoted > 0
    assert outcome["here"]["refunds"] == [f"{quoted} 0 succeeded terms EUR"]
    assert outcome["provider"]["refunds"] == [f"({quoted}, 'succeeded')"]
    assert outcome["here"]["cancellations"] == ["completed stop_now"]
    assert outcome["mails"] == outcome["mails"] | dict.fromkeys(
        ["leaving_received", "leaving_confirmed", "leaving_completed", "refund_sent"], 1
    )
    assert not outcome["violations"]
    assert not outcome["left"]


def test_without_the_stored_key_and_the_reading_again_a_crash_refunds_twice(house):
    points = house.travel("stop_now").points()
    number = points.index("after call: POST /v1/refunds") + 1
    run = house.travel("stop_now", kill_at=number)
    outcome = run.recover(guards_off=["refund_key"])

    assert run.was_killed is False
    assert len(outcome["provider"]["refunds"]) == 2
