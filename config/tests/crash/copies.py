"""Making, copying and dropping whole databases: files on SQLite, templates on PostgreSQL."""

import shutil
import sqlite3
from pathlib import Path


def make_database(url: str, name: str) -> None:
    """An empty one."""
    if url:
        _on_server(url, f"CREATE DATABASE {name}")


def copy_database(url: str, source: str, target: str) -> None:
    """One more, equal to `source`, which nobody uses at this moment."""
    if url:
        _on_server(url, f"CREATE DATABASE {target} TEMPLATE {source}")
        return
    # What a closed writer left in the log belongs to the database.
    with sqlite3.connect(source) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file.close()
    shutil.copy(source, target)


def drop_database(url: str, name: str) -> None:
    """Not needed any more."""
    if url:
        _on_server(url, f"DROP DATABASE {name} WITH (FORCE)")
        return
    for suffix in ("", "-wal", "-shm"):
        Path(name + suffix).unlink(missing_ok=True)


def _on_server(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as server:
        server.execute(statement)
