"""A worker whose broker dies while tasks are running connects again and does not die too."""

import pytest
from kombu.transport import TRANSPORT_ALIASES, get_transport_cls, redis
from redis.exceptions import ConnectionError as ConnectionLost

from config import broker

pytestmark = pytest.mark.once


def taken_apart(kind):
    """A channel as kombu leaves it when its connection is lost and an acknowledgement is still to come."""
    channel = kind.__new__(kind)
    channel.connection = None
    return channel


def test_a_channel_without_its_connection_says_that_it_is_lost():
    with pytest.raises(ConnectionLost):
        taken_apart(broker.Channel)._connparams()
    # Of such errors a worker connects again. What kombu says by itself ends it.
    assert issubclass(ConnectionLost, broker.Transport.connection_errors)
    with pytest.raises(AttributeError) as said:
        taken_apart(redis.Channel)._connparams()
    assert not issubclass(said.type, redis.Transport.connection_errors)


def test_a_worker_takes_this_way_to_redis(monkeypatch):
    monkeypatch.setattr("kombu.transport._transport_cache", {})
    for scheme in ("redis", "rediss"):
        monkeypatch.setitem(TRANSPORT_ALIASES, scheme, TRANSPORT_ALIASES[scheme])

    broker.outlive_the_broker()

    assert get_transport_cls("redis") is get_transport_cls("rediss") is broker.Transport
