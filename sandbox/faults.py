"""Planned misfortune: for chosen calls the network, the provider or the clock misbehaves."""

from __future__ import annotations

import re
from typing import Any

from sandbox.errors import StripeError, invalid
from sandbox.store import Doc, Store

KINDS = ("drop_before", "drop_after", "500_before", "500_after", "429", "409", "slow")


def read_plan(given: Any) -> list[Doc]:
    """Check a plan: each fault has a kind, and may have method, path (a pattern), nth or count, seconds."""
    if not isinstance(given, list):
        raise invalid("faults must be a list.", "faults")
    return [_read(fault, n) for n, fault in enumerate(given)]


def _read(fault: Doc, n: int) -> Doc:
    unknown = set(fault) - {"kind", "method", "path", "nth", "count", "seconds", "seen", "used"}
    if unknown or fault.get("kind") not in KINDS:
        raise invalid(
            f"faults[{n}]: kind must be one of {', '.join(KINDS)}; unknown: {sorted(unknown)}", f"faults[{n}]"
        )
    re.compile(fault.get("path", ""))
    return {
        "kind": fault["kind"],
        "method": fault.get("method"),
        "path": fault.get("path", ""),
        "nth": fault.get("nth"),
        "count": fault.get("count", 1),
        "seconds": fault.get("seconds", 1.0),
        "seen": 0,
        "used": 0,
    }


def strike(store: Store, account: str, method: str, path: str) -> Doc | None:
    """The fault that hits this call, if any; every fault counts the calls that it matches."""
    with store.transaction():
        plan: list[Doc] = store.setting(account, "faults", [])
        hit = None
        for fault in plan:
            if fault["method"] not in (None, method) or not re.search(fault["path"], path):
                continue
            fault["seen"] += 1
            due = fault["seen"] == fault["nth"] if fault["nth"] else fault["used"] < fault["count"]
            if due and hit is None:
                fault["used"] += 1
                hit = fault
        if plan:
            store.set_setting(account, "faults", plan)
        return hit


def refusal(kind: str) -> StripeError | None:
    """The answer of a fault that comes instead of an execution."""
    if kind == "429":
        return StripeError(
            "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
            http=429, code="rate_limit",
        )  # fmt: skip
    if kind == "409":
        return StripeError(
            "There is currently another in-progress request using this Idempotent Key (that probably "
            "means you submitted "
            "twice, and the other request is still going through). Please try again later.",
            http=409, type="idempotency_error", code="idempotency_key_in_use",
        )  # fmt: skip
    return broken() if kind == "500_before" else None


def broken() -> StripeError:
    """A 500."""
    return StripeError(
        "Sorry! There was an error while talking to one of our backends. Support has been notified.",
        http=500,
        type="api_error",
    )
