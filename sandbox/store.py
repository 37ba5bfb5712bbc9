"""One SQLite file (or memory): each object is a JSON document with the columns that lists filter by."""

from __future__ import annotations

import json
import secrets
import sqlite3
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Doc = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, created INTEGER NOT NULL,
    customer TEXT, subscription TEXT, invoice TEXT, payment_intent TEXT, charge TEXT, product TEXT,
    status TEXT, type TEXT, clock TEXT, due INTEGER, doc TEXT NOT NULL,
    UNIQUE (account, id));
CREATE INDEX IF NOT EXISTS objects_kind ON objects (account, kind, seq);
CREATE INDEX IF NOT EXISTS objects_customer ON objects (account, customer, kind) WHERE customer IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_subscription ON objects (account, subscription, kind)
    WHERE subscription IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_invoice ON objects (account, invoice, kind) WHERE invoice IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_intent ON objects (account, payment_intent, kind)
    WHERE payment_intent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_charge ON objects (account, charge, kind) WHERE charge IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_due ON objects (clock, due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL, key TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL, at REAL NOT NULL,
    status INTEGER, body TEXT, request_id TEXT, PRIMARY KEY (account, key));
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL, event TEXT NOT NULL, endpoint TEXT NOT NULL, state TEXT NOT NULL,
    next_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, answer TEXT);
CREATE INDEX IF NOT EXISTS deliveries_pending ON deliveries (state, next_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS deliveries_account ON deliveries (account, seq);
CREATE TABLE IF NOT EXISTS requests (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT, at REAL NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, params TEXT NOT NULL, idempotency_key TEXT, status INTEGER NOT NULL,
    replayed INTEGER NOT NULL, request_id TEXT,
    fault TEXT);
CREATE INDEX IF NOT EXISTS requests_account ON requests (account, seq);
CREATE TABLE IF NOT EXISTS settings (account TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (account, name));
"""

COLUMNS = (
    "customer",
    "subscription",
    "invoice",
    "payment_intent",
    "charge",
    "product",
    "status",
    "type",
    "clock",
    "due",
)
_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, length: int = 24) -> str:
    """A random id of Stripe's form, e.g. `sub_1Qx...`."""
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(length))
    return f"{prefix}_{'1' + tail[1:] if length == 24 else tail}"


def _id_in(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _columns_of(doc: Doc) -> dict[str, Any]:
    """The indexed columns, read out of the document itself so that they can never disagree with it."""
    private = doc.get("_", {})
    parent = (doc.get("parent") or {}).get("subscription_details") or {}
    payment = doc.get("payment") or {}
    return {
        "customer": _id_in(doc.get("customer")),
        "subscription": _id_in(doc.get("subscription")) or parent.get("subscription"),
        "invoice": _id_in(doc.get("invoice")),
        "payment_intent": _id_in(doc.get("payment_intent")) or payment.get("payment_intent"),
        "charge": _id_in(doc.get("charge"))
        or (_id_in(doc.get("source")) if doc["object"] == "balance_transaction" else None),
        "product": _id_in(doc.get("product")),
        "status": _id_in(doc.get("status")),
        "type": _id_in(doc.get("type")),
        "clock": private.get("clock"),
        "due": private.get("due"),
    }


class Store:
    """The database. One lock: requests of all accounts are executed one after another, so each is atomic."""

    def __init__(self, path: str) -> None:
        self.lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._depth = 0

    def close(self) -> None:
        """Close the database; nothing may be under way."""
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nested ones are savepoints."""
        with self.lock:
            name = f"s{self._depth}"
            self._db.execute("BEGIN IMMEDIATE" if self._depth == 0 else f"SAVEPOINT {name}")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                self._db.execute("ROLLBACK" if self._depth == 0 else f"ROLLBACK TO {name}")
                raise
            self._depth -= 1
            self._db.execute("COMMIT" if self._depth == 0 else f"RELEASE {name}")

    def rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows of a query."""
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def execute(self, sql: str, *values: Any) -> int:
        """Run a statement; the number of rows it touched."""
        with self.lock:
            return self._db.execute(sql, values).rowcount

    def insert(self, account: str, doc: Doc) -> None:
        """Add a document."""
        columns = _columns_of(doc)
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        self.execute(
            f"INSERT INTO objects (account, id, kind, created, doc, {names}) "  # noqa: S608 (own names)
            f"VALUES (?, ?, ?, ?, ?, {marks})",
            account, doc["id"], doc["object"], doc.get("created") or doc.get("date") or 0, json.dumps(doc),
            *columns.values(),
        )  # fmt: skip

    def update(self, account: str, doc: Doc) -> None:
        """Replace a document."""
        columns = _columns_of(doc)
        names = ", ".join(f"{name} = ?" for name in columns)
        self.execute(
            f"UPDATE objects SET doc = ?, {names} WHERE account = ? AND id = ?",  # noqa: S608 (own names)
            json.dumps(doc), *columns.values(), account, doc["id"],
        )  # fmt: skip

    def delete(self, account: str, id: str) -> None:
        """Forget a document."""
        self.execute("DELETE FROM objects WHERE account = ? AND id = ?", account, id)

    def load(self, account: str, id: str) -> str | None:
        """The JSON text of a document."""
        rows = self.rows("SELECT doc FROM objects WHERE account = ? AND id = ?", account, id)
        return rows[0][0] if rows else None

    def ids(self, account: str, kind: str, **equal: Any) -> list[str]:
        """Ids of one kind in the order of creation, filtered by indexed columns."""
        assert set(equal) <= set(COLUMNS)
        where = "".join(f" AND {name} = ?" for name in equal)
        sql = f"SELECT id FROM objects WHERE account = ? AND kind = ?{where} ORDER BY seq"  # noqa: S608
        return [row[0] for row in self.rows(sql, account, kind, *equal.values())]

    def next_due(self, account: str, clock: str, until: int) -> tuple[str, int] | None:
        """The first thing of a test clock that falls due at or before `until`."""
        rows = self.rows(
            "SELECT id, due FROM objects WHERE clock = ? AND due <= ? AND account = ? ORDER BY due, "
            "seq LIMIT 1",
            clock, until, account,
        )  # fmt: skip
        return (rows[0][0], rows[0][1]) if rows else None

    def setting(self, account: str, name: str, default: Any) -> Any:
        """A value of the control API."""
        rows = self.rows("SELECT value FROM settings WHERE account = ? AND name = ?", account, name)
        return json.loads(rows[0][0]) if rows else default

    def set_setting(self, account: str, name: str, value: Any) -> None:
        """Store a value of the control API."""
        self.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", account, name, json.dumps(value))

    def forget_account(self, account: str) -> None:
        """Remove everything of one account."""
        with self.transaction():
            for table in ("objects", "idempotency", "deliveries", "requests", "settings"):
                self.execute(f"DELETE FROM {table} WHERE account = ?", account)  # noqa: S608
