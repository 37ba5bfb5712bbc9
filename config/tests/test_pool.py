"""The pool: a connection in use seconds ago is not asked whether it is alive, an idle one is."""

import pytest
from django.db import OperationalError, connection

from config.postgresql import base
from config.settings.policy import database

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no pool"),
]


@pytest.fixture
def pooled():
    """A connection of a pool of one."""
    options = database(connection.settings_dict | {"OPTIONS": {}}, pool=1)
    assert options["ENGINE"] == "config.postgresql"
    wrapper = base.DatabaseWrapper(options, alias="pooled")
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def backend(wrapper):
    """The server's process behind it; the connection goes back into the pool."""
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]
    finally:
        wrapper.close()


def end(pid):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_an_idle_connection_that_died_is_not_given_out(pooled, monkeypatch):
    first = backend(pooled)
    assert backend(pooled) == first
    end(first)
    monkeypatch.setattr(base, "BELIEVED", -1.0)

    assert backend(pooled) != first


def test_one_in_use_seconds_ago_is_believed_and_thrown_away_once_it_failed(pooled):
    first = backend(pooled)
    end(first)
    with pytest.raises(OperationalError):
        backend(pooled)

    assert backend(pooled) != first
