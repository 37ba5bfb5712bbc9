"""Every test of billing takes place at noon of an ordinary day, on a Stripe account of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

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


@pytest.fixture(scope="session")
def flush_beside_a_browser(django_db_setup: None) -> Iterator[None]:
    """Let the flush on SQLite pass the triggers on every connection.

    The browser's driver runs an event loop, and Django opens a connection of its own beside it,
    which the patch of the first one does not reach.
    """
    if connection.vendor != "sqlite":
        yield
        return
    operations = type(connection.ops)
    flush = operations.execute_sql_flush

    def flush_without_triggers(self: Any, statements: list[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
        drop = [f'DROP TRIGGER "{name}"' for name, _ in triggers]
        flush(self, [*drop, *statements, *(sql for _, sql in triggers)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "execute_sql_flush", flush_without_triggers)
        yield
