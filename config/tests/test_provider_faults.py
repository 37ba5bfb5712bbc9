"""Whatever happens to one write on its way to the provider, it has one effect, and none is lost.

Each write of each journey meets each kind of fault: a cell. FAULT_CELLS=all runs every cell; by
default one diagonal of that table. See docs/proofs.md.
"""

import os
import re

import pytest

from config.tests.crash.fixtures import house
from config.tests.crash.house import differences

__all__ = ["house"]

ALL = os.environ.get("FAULT_CELLS") == "all"
KINDS = ["drop_before", "drop_after", "500_before", "500_after", "429", "409", "slow"]
JOURNEYS = ["stop_now", "stop_renewing", "undo", "free_days", "close_delete"]
JOURNEYS += ["unpaid", "unpaid_used", "credit", "subscribe"]
#: What may differ from the undisturbed run: how often it was tried, and what was seen on the way.
IN_THE_MIDDLE = (
    "refund.unknown",
    "refund.sending",
    "cancellation.scheduled",
    "instruction.done",
    "invoice.open",
)
pytestmark = [pytest.mark.once, pytest.mark.timeout(4 * 3600 if ALL else 300)]


def writes(points):
    """Each write of our own with how many equal ones came before it: (method, path, number)."""
    made = [p.removeprefix("before call: ").split() for p in points if p.startswith("before call: ")]
    ours = [(m, path) for m, path in made if m != "GET" and not path.endswith("/confirm")]
    return [(m, path, ours[: n + 1].count((m, path))) for n, (m, path) in enumerate(ours)]


def settled(outcome):
    """What must be equal whatever happened on the way."""
    history = {kind: n for kind, n in outcome["history"].items() if kind not in IN_THE_MIDDLE}
    here = {name: rows for name, rows in outcome["here"].items() if name not in ("instructions", "events")}
    return outcome | {"history": history, "here": here}


def cell(house, journey, write, kind, reference):
    """One journey with one fault; what differs from the undisturbed one."""
    method, path, number = write
    fault = {"kind": kind, "method": method, "path": f"^{re.escape(path)}$", "nth": number, "seconds": 2}
    run = house.travel(journey, faults=[fault])
    name = f"{journey}: {kind} at {method} {path}"
    met = [p for p in run.points() if p == f"before call: {method} {path}"]
    wrong = differences(settled(reference), settled(run.outcome))
    house.forget(run)
    assert len(met) >= number, f"{name} was not met"
    return [f"{name}: {line}" for line in wrong]


@pytest.mark.parametrize("journey", JOURNEYS)
def test_every_fault_at_every_write_ends_with_one_effect(house, journey):
    undisturbed = house.travel(journey)
    # Ids are the same in every copy of a world, but for what the journey itself makes.
    rows = list(enumerate(writes(undisturbed.points())))
    first = JOURNEYS.index(journey)
    cells = [(w, k) for n, w in rows for m, k in enumerate(KINDS) if ALL or (first + n * 2 + m) % 7 == 0]
    print(f"\n{journey}: {len(rows)} writes, {len(rows) * len(KINDS)} cells, {len(cells)} run")
    house.stock(undisturbed.world, len(cells))
    wrong = [line for w, k in cells for line in cell(house, journey, w, k, undisturbed.outcome)]

    assert rows
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", ["drop_after", "500_after"])
def test_without_the_stored_key_and_the_reading_again_a_lost_answer_refunds_twice(house, kind):
    fault = {"kind": kind, "method": "POST", "path": "^/v1/refunds$", "count": 1}
    outcome = house.travel("stop_now", faults=[fault], guards_off=["refund_key"]).outcome

    assert len(outcome["provider"]["refunds"]) == 2
