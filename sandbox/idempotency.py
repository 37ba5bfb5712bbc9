"""Idempotency keys: https://docs.stripe.com/api/idempotent_requests.

A key lives for 24 hours by the wall clock. What is stored is the answer, errors and 500s included, of every
request that began to execute; a refusal by validation, a 401 and a 429 are not stored. Only POST has keys.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

from sandbox.errors import StripeError
from sandbox.store import Store

LIFE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Answer:
    """A stored answer."""

    status: int
    body: str
    request_id: str


def fingerprint(params: dict[str, Any]) -> str:
    """Equal parameters have equal fingerprints, whatever their order."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def begin(store: Store, account: str, key: str, path: str, params: dict[str, Any]) -> Answer | None:
    """Claim a key: None means go on, an answer is replayed; raises on a mismatch or a call under way."""
    if len(key) > 255:
        raise StripeError("Idempotency keys may be at most 255 characters long.", type="idempotency_error")
    mark = fingerprint(params)
    with store.transaction():
        store.execute(
            "DELETE FROM idempotency WHERE account = ? AND at <= ?", account, time.time() - LIFE_SECONDS
        )
        rows = store.rows(
            "SELECT path, fingerprint, status, body, request_id FROM idempotency WHERE account = ? "
            "AND key = ?",
            account,
            key,
        )
        if not rows:
            store.execute(
                "INSERT INTO idempotency (account, key, path, fingerprint, at) VALUES (?, ?, ?, ?, ?)",
                account, key, path, mark, time.time(),
            )  # fmt: skip
            return None
    _compare(key, path, mark, rows[0][0], rows[0][1])
    if rows[0][2] is None:
        raise _in_progress(key)
    return Answer(*rows[0][2:])


def _compare(key: str, path: str, mark: str, first_path: str, first_mark: str) -> None:
    hint = f"Try using a key other than '{key}' if you meant to execute a different request."
    if path != first_path:
        raise StripeError(
            "Keys for idempotent requests can only be used for the same endpoint they were first used for "
            f"('{path}' vs '{first_path}'). {hint}",
            type="idempotency_error",
        )
    if mark != first_mark:
        raise StripeError(
            "Keys for idempotent requests can only be used with the same parameters they were first "
            f"used with. {hint}",
            type="idempotency_error",
        )


def _in_progress(key: str) -> StripeError:
    return StripeError(
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and "
        f"the other request is still going through): {key}. Please try again later.",
        http=409, type="idempotency_error", code="idempotency_key_in_use",
    )  # fmt: skip


def finish(store: Store, account: str, key: str, answer: Answer) -> None:
    """Keep the answer under its key."""
    store.execute(
        "UPDATE idempotency SET status = ?, body = ?, request_id = ? WHERE account = ? AND key = ?",
        answer.status, answer.body, answer.request_id, account, key,
    )  # fmt: skip


def abandon(store: Store, account: str, key: str) -> None:
    """The request never began to execute: the key is free again."""
    store.execute("DELETE FROM idempotency WHERE account = ? AND key = ? AND status IS NULL", account, key)


def forget_unfinished(store: Store) -> None:
    """After a restart nothing is in progress any more."""
    store.execute("DELETE FROM idempotency WHERE status IS NULL")


def age(store: Store, account: str, hours: float) -> int:
    """Make the account's keys look older; how many there are."""
    return store.execute("UPDATE idempotency SET at = at - ? WHERE account = ?", hours * 3600, account)
