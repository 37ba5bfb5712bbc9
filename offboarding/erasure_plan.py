"""The steps of an erasure, generated from the deletion map: which rows, in which order.

Kept rows are emptied of what leads to a person; then rows are deleted, those that point before those
that are pointed at (where two models point at each other one of the pointers is emptied first); then
people are let go of by whatever still names them, and deleted.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.models import ForeignKey

from accounts.classification import (
    DELETE,
    KEEP,
    Entry,
    Rows,
    Subject,
    all_models,
    concrete_fields,
    registry,
)

#: Moved by its own verb at the end, with the columns that the map says.
ACCOUNT = "accounts.Account"
USER = "accounts.User"
#: Needed until the provider has answered.
OUTBOX = "billing.Instruction"
ADMIN_LOG = "admin.LogEntry"


@dataclass(frozen=True)
class Step:
    """One kind of change to the rows of one model, in chunks of its own transactions."""

    name: str
    entry: Entry
    columns: Mapping[str, Any]
    is_everywhere: bool = False

    @property
    def deletes(self) -> bool:
        """Whether rows go (else columns are set)."""
        return not self.columns

    def rows(self, subject: Subject) -> Rows:
        """The rows it concerns."""
        if self.is_everywhere:
            (column,) = self.columns
            found: Rows = self.entry.model._base_manager.filter(**{f"{column}__in": subject.users})
            return found.order_by()
        return self.entry.doomed(subject) if self.deletes else self.entry.rows(subject)


@lru_cache(maxsize=1)
def steps_before_the_provider() -> tuple[Step, ...]:
    """Everything that needs no answer from outside: content goes on its date (D1)."""
    order, unlinked = deletion_order(_entries_that_lose_rows())
    log = [entry for entry in order if entry.label == ADMIN_LOG]
    rest = [entry for entry in order if entry.label not in (ADMIN_LOG, OUTBOX, USER)]
    return (
        *(delete(entry) for entry in log),
        *(_anonymise(entry) for entry in registry if _is_emptied(entry)),
        *(Step(f"unlink {entry.label}.{column}", entry, {column: None}) for entry, column in unlinked),
        *(delete(entry) for entry in rest),
        # Only now: a mail that is owed must have a reader, so it goes before its reader is forgotten.
        *_let_go_of_people(),
        delete(registry.get(USER)),
    )


@lru_cache(maxsize=1)
def steps_after_the_provider() -> tuple[Step, ...]:
    """The outbox, and the mirror once more: the provider's last events may have written to it."""
    return (delete(registry.get(OUTBOX)), *steps_of_the_mirror("again"))


def steps_of_the_mirror(word: str) -> tuple[Step, ...]:
    """Delete what the mirror holds of the customer."""
    order, unlinked = deletion_order([entry for entry in registry if entry.is_mirror])
    return (
        *(Step(f"unlink {entry.label}.{name} {word}", entry, {name: None}) for entry, name in unlinked),
        *(Step(f"delete {entry.label} {word}", entry, {}) for entry in order),
    )


@lru_cache(maxsize=1)
def kept_entries() -> tuple[Entry, ...]:
    """What a rule keeps for some years, in the order in which it goes at the end of them."""
    order, unlinked = deletion_order([entry for entry in registry if entry.fate is KEEP])
    if unlinked:
        raise ImproperlyConfigured(f"Kept models point at each other: {unlinked}")
    return tuple(order)


def delete(entry: Entry) -> Step:
    """The step that deletes what the map says."""
    return Step(f"delete {entry.label}", entry, {})


def _anonymise(entry: Entry) -> Step:
    return Step(f"anonymise {entry.label}", entry, entry.anonymise)


def _is_emptied(entry: Entry) -> bool:
    return bool(entry.anonymise) and entry.label != ACCOUNT


def _entries_that_lose_rows() -> list[Entry]:
    return [entry for entry in registry if entry.fate is DELETE or entry.only is not None]


def _let_go_of_people() -> list[Step]:
    """Every nullable reference to a person who goes, in any account's rows, is emptied."""
    found = []
    for model in all_models():
        for name, column in concrete_fields(model).items():
            if isinstance(column, ForeignKey) and column.null and _points_at(column) == USER.lower():
                entry = registry.get(model._meta.label)
                found.append(Step(f"forget {entry.label}.{name}", entry, {name: None}, is_everywhere=True))
    return found


def _points_at(column: Any) -> str:
    return str(column.related_model._meta.label_lower)


def deletion_order(entries: Iterable[Entry]) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """(entries, those that point first; (entry, column) that must be emptied before, to undo circles).

    Deterministic: among those that may go, the one declared first goes first.
    """
    chosen = list(entries)
    rank = {entry.label.lower(): index for index, entry in enumerate(chosen)}
    #: target -> {(source, column)}: the rows of a source hinder those of its target.
    pointers: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for entry in chosen:
        for name, column in concrete_fields(entry.model).items():
            if isinstance(column, ForeignKey) and _points_at(column) in rank:
                source, target = entry.label.lower(), _points_at(column)
                if source != target:
                    pointers[target].add((source, name))
    return _sort(chosen, rank, pointers)


def _sort(
    chosen: list[Entry], rank: dict[str, int], pointers: dict[str, set[tuple[str, str]]]
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    order: list[Entry] = []
    unlinked: list[tuple[Entry, str]] = []
    left = set(rank)
    while left:
        ready = [rank[label] for label in left if not _hindrances(label, left, pointers)]
        if not ready:
            unlinked.append(_cut_a_circle(chosen, rank, left, pointers))
            continue
        heapq.heapify(ready)
        entry = chosen[heapq.heappop(ready)]
        order.append(entry)
        left.remove(entry.label.lower())
    return order, unlinked


def _hindrances(
    label: str, left: set[str], pointers: dict[str, set[tuple[str, str]]]
) -> list[tuple[str, str]]:
    return sorted(pointer for pointer in pointers[label] if pointer[0] in left)


def _cut_a_circle(
    chosen: list[Entry],
    rank: dict[str, int],
    left: set[str],
    pointers: dict[str, set[tuple[str, str]]],
) -> tuple[Entry, str]:
    """Empty one nullable pointer by which no rows are found."""
    for label in sorted(left, key=rank.__getitem__):
        for source, column in _hindrances(label, left, pointers):
            entry = chosen[rank[source]]
            if concrete_fields(entry.model)[column].null and column not in entry.leads:
                pointers[label].remove((source, column))
                return entry, column
    raise ImproperlyConfigured(f"These models point at each other and cannot be deleted: {sorted(left)}")
