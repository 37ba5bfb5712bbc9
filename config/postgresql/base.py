"""Django's PostgreSQL, whose pool asks a connection whether it is alive only after it lay idle.

Django has the pool ask each time that a request takes a connection. That is a second round trip for every
request, as long as the one that it came for. A connection that was in use seconds ago is believed; one that
broke in use is thrown away as it is given back.
"""

import time
from typing import Any, Final

from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import Connection
from psycopg_pool import ConnectionPool

#: Seconds for which a connection that was taken and given back is believed to be alive.
BELIEVED: Final = 5.0


class PooledConnection(Connection[Any]):
    """Knows when it was last taken."""

    taken_at: float = float("-inf")


def check_if_idle(connection: PooledConnection) -> None:
    """Ask whether it is alive, unless it was in use seconds ago; raises `OperationalError` if it is not."""
    now = time.monotonic()
    if now - connection.taken_at > BELIEVED:
        ConnectionPool.check_connection(connection)
    connection.taken_at = now


class DatabaseWrapper(base.DatabaseWrapper):
    """The same in everything else."""

    #: Django's own, which the stubs do not know.
    _connection_pools: dict[str, Any]
    _configure_connection: Any

    @property
    def pool(self) -> Any:
        """As Django makes it, but for the check."""
        options = self.settings_dict["OPTIONS"].get("pool")
        if self.alias == NO_DB_ALIAS or not options:
            return None
        if self.alias not in self._connection_pools:
            pool = ConnectionPool(
                kwargs=self.get_connection_params() | {"autocommit": True},
                connection_class=PooledConnection,
                open=False,
                configure=self._configure_connection,
                check=check_if_idle,
                **options,
            )
            self._connection_pools.setdefault(self.alias, pool)
        return self._connection_pools[self.alias]
