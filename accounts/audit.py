"""What must always hold, said once per app and asked of the live database.

Every invariant is a query (rows found are violations), a constraint (the database refuses) or a
test (named here). `manage.py audit` runs the queries; the apps above register theirs in
`AppConfig.ready`. A test plants a violation of each and sees it found, refused or failing.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import QuerySet

Kind = Literal["query", "constraint", "test"]
#: Found rows, as short references that name no person.
Finder = Callable[[dt.datetime], Iterable[str]]
SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Invariant:
    """One line of what must hold. `proof` names the constraint, or the test that fails without it."""

    code: str
    text: str
    kind: Kind
    proof: str = ""
    find: Finder | None = None


@dataclass(frozen=True)
class Finding:
    """The violations of one invariant: how many, and the first of them."""

    invariant: Invariant
    count: int
    rows: list[str]


_INVARIANTS: list[Invariant] = []


def register(*invariants: Invariant) -> None:
    """Add invariants; called from `AppConfig.ready`."""
    _INVARIANTS.extend(invariants)


def invariants() -> list[Invariant]:
    """All of them, by code."""
    return sorted(_INVARIANTS, key=lambda i: (i.code[0], int(i.code[1:]), i.kind))


def run_audit(*, at: dt.datetime) -> list[Finding]:
    """Ask every query; the answer holds an entry for each, empty where it holds."""
    return [_ask(invariant, at) for invariant in invariants() if invariant.find is not None]


def _ask(invariant: Invariant, at: dt.datetime) -> Finding:
    assert invariant.find is not None
    count, rows = 0, []
    for row in invariant.find(at):
        count += 1
        if count <= SHOWN:
            rows.append(row)
    return Finding(invariant, count, rows)


def refs(rows: "QuerySet[Any, Any]", name: str) -> Iterable[str]:
    """The rows of a query of one column, each with the name of what it is."""
    return (f"{name}:{value}" for value in rows.iterator())
