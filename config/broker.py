"""The worker's way to Redis, which outlives Redis.

Where a connection is lost while tasks are running, kombu takes it apart and then still wants it: to
acknowledge what ends now, and to put back what has not. That is an AttributeError, of which the worker
would die; said as what it is, a lost connection, the worker waits and connects again. Nothing is lost:
the sweepers find the work in the database every minute.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as ConnectionLost


class Channel(redis.Channel):  # type: ignore[misc]  # kombu has no types
    """A channel that knows when its connection is gone."""

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionLost("the connection was lost")
        return super()._connparams(asynchronous=asynchronous)


class Transport(redis.Transport):  # type: ignore[misc]  # kombu has no types
    """Redis with such channels."""

    Channel = Channel


def outlive_the_broker() -> None:
    """From now on `redis://` means this transport."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = "config.broker:Transport"
