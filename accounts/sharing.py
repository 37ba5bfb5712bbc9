"""What one page reads once, although several of its parts show it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from accounts.models import Account

T = TypeVar("T")
_KEPT = "_read_for_this_page"


@contextmanager
def read_once(account: Account, known: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Within this block `shared` reads each thing once about this account object, and nothing that is known.

    For a page that only shows: a verb never reads what was kept.
    """
    vars(account)[_KEPT] = dict(known or {})
    try:
        yield
    finally:
        del vars(account)[_KEPT]


def shared(account: Account, name: str, read: Callable[[], T]) -> T:
    """What `read` gives, kept under this name inside a `read_once` block; outside of one read each time."""
    kept = vars(account).get(_KEPT)
    if kept is None:
        return read()
    if name not in kept:
        kept[name] = read()
    return cast(T, kept[name])
