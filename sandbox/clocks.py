"""Time: Stripe's test clocks, and the ticker for everything that lives in real time.

https://docs.stripe.com/api/test_clocks, https://docs.stripe.com/billing/testing/test-clocks
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sandbox import balance, customers, invoices, refunds, subscription_items, subscriptions
from sandbox.errors import invalid
from sandbox.periods import DAY, add_interval
from sandbox.store import Doc, Store, new_id
from sandbox.world import World

log = logging.getLogger("sandbox.clocks")

HANDLERS: dict[str, Callable[[World, Doc], object]] = {
    "subscription": subscriptions.come_due,
    "invoice": invoices.come_due,
    "refund": refunds.come_due,
    "balance_transaction": balance.settle,
}
MOST_STEPS = 100_000


def run_step(store: Store, account: str, id: str, moment: int) -> None:
    """Handle one due object at its moment, in one transaction."""
    with store.transaction():
        world = World(store, account)
        with world.at(moment):
            doc = world.get(id)
            if doc is not None and doc["object"] in HANDLERS:
                HANDLERS[doc["object"]](world, doc)


def create(world: World, params: Doc) -> Doc:
    """A clock, frozen at a moment."""
    return world.add(
        {
            "id": new_id("clock"),
            "object": "test_helpers.test_clock",
            "created": world.now(),
            "deletes_after": world.now() + 30 * DAY,
            "frozen_time": params["frozen_time"],
            "livemode": False,
            "name": params.get("name") or None,
            "status": "ready",
            "status_details": {},
        },
        "test_helpers.test_clock.created",
    )


def advance(world: World, id: str, params: Doc) -> Doc:
    """Start to move a clock; `ready` comes later, from a thread of its own."""
    clock = world.need("test_helpers.test_clock", id)
    target = params["frozen_time"]
    if clock["status"] != "ready":
        raise invalid(
            "Test clock advancement underway - cannot perform modifications",
            code="test_clock_advancement_underway",
        )
    if target <= clock["frozen_time"]:
        raise invalid(
            "A test clock can only be advanced to a time after its current frozen time.", "frozen_time"
        )
    if target > _furthest(world, clock):
        raise invalid(
            "You cannot advance a test clock more than two intervals from the initial frozen time "
            "based on the shortest "
            "subscription interval in the test clock. If there are no subscriptions in the test "
            "clock, you can advance up to "
            "two years from the initial frozen time.",
            "frozen_time",
        )
    clock["status"] = "advancing"
    clock["status_details"] = {"advancing": {"target_frozen_time": target}}
    world.save(clock)
    world.emit("test_helpers.test_clock.advancing", clock)
    world.after_commit.append(lambda: _start(world.store, world.account, id, target))
    return clock


def _furthest(world: World, clock: Doc) -> int:
    """Two intervals of the shortest live subscription; two years without one."""
    now = clock["frozen_time"]
    limits = [add_interval(now, "year", 2)]
    for customer in world.find("customer", clock=clock["id"]):
        for subscription in world.find("subscription", customer=customer["id"]):
            if subscription["status"] not in subscriptions.ENDED:
                interval, count = subscription_items.interval_of(subscription)
                limits.append(add_interval(now, interval, 2 * count))
    return min(limits)


def _start(store: Store, account: str, id: str, target: int) -> None:
    threading.Thread(target=_run, args=(store, account, id, target), name=f"clock {id}", daemon=True).start()


def _run(store: Store, account: str, id: str, target: int) -> None:
    """Do what falls due, in order of time, each thing at its own moment."""
    status = "ready"
    try:
        for _ in range(MOST_STEPS):
            step = store.next_due(account, id, target)
            if step is None:
                break
            _show(store, account, id, step[1])
            run_step(store, account, step[0], step[1])
    except Exception:
        log.exception("clock %s of %s failed", id, account)
        status = "internal_failure"
    _show(store, account, id, target, status)


def _show(store: Store, account: str, id: str, moment: int, status: str | None = None) -> None:
    with store.transaction():
        world = World(store, account)
        clock = world.get(id)
        if clock is None:
            return
        clock["frozen_time"] = max(clock["frozen_time"], moment)
        if status is not None:
            clock["status"], clock["status_details"] = status, {}
        world.save(clock)
        if status is not None:
            world.emit(f"test_helpers.test_clock.{status}", clock)


def delete(world: World, id: str, params: Doc) -> Doc:
    """A clock goes with all its customers."""
    clock = world.need("test_helpers.test_clock", id)
    for customer in world.find("customer", clock=id):
        if not customer.get("deleted"):
            customers.delete(world, customer["id"], {})
    world.emit("test_helpers.test_clock.deleted", clock)
    return world.remove(clock)


class Ticker(threading.Thread):
    """Once a second: whatever is due in real time, of all accounts."""

    def __init__(self, store: Store) -> None:
        super().__init__(daemon=True, name="ticker")
        self._store = store
        self.stopping = threading.Event()

    def run(self) -> None:
        """Until stopped."""
        while not self.stopping.wait(1.0):
            self.tick(int(time.time()))

    def tick(self, now: int) -> None:
        """Everything due at or before `now`, each at the moment it was due."""
        for _ in range(MOST_STEPS):
            rows = self._store.rows(
                "SELECT account, id, due FROM objects WHERE clock IS NULL AND due <= ? ORDER BY due, "
                "seq LIMIT 1",
                now,
            )
            if not rows or self.stopping.is_set():
                return
            account, id, due = rows[0]
            try:
                run_step(self._store, account, id, due)
            except Exception:
                log.exception("%s of %s failed", id, account)
                self._store.execute("UPDATE objects SET due = NULL WHERE account = ? AND id = ?", account, id)
