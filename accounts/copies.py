"""What this process remembers of who may get in, for a few seconds.

A copy only ever lets in: whoever is to be kept out is asked about anew. Each carries the version it was
made under; whatever this process writes about accounts, members, keys or sessions makes a new version, so
a freeze is seen at once by the process that wrote it, and by the others when their copies run out.
"""

import time
from typing import Any, Final

from django.db import transaction

#: Seconds for which a copy is believed.
LIFE: Final = 5.0
#: A process that remembers more begins anew; a copy is a few hundred bytes.
MOST: Final = 20_000

_version = 0
_copies: dict[Any, tuple[int, float, Any]] = {}


def recall(key: Any) -> Any | None:
    """What was remembered under this key, unless it is too old or something was written since."""
    found = _copies.get(key)
    if found is None or found[0] != _version or found[1] < time.monotonic():
        return None
    return found[2]


def version() -> int:
    """The present version; taken before what is to be remembered is read."""
    return _version


def remember(key: Any, value: Any, *, read_under: int) -> None:
    """Keep this for a few seconds, unless something was written while it was being read."""
    if read_under != _version:
        return
    if len(_copies) >= MOST:
        _copies.clear()
    _copies[key] = (read_under, time.monotonic() + LIFE, value)


def forget() -> None:
    """Believe no copy any more, at once and again after the commit: until then others read the old facts."""
    new_version()
    transaction.on_commit(new_version, robust=True)


def new_version() -> None:
    """Believe no copy of before (a test begins, or a transaction has been committed)."""
    global _version
    _version += 1


def forget_on_signal(**_: Any) -> None:
    """For signals: access changed, or somebody signed out."""
    forget()
