"""Who gets in: one pure function of the facts, which every page, verb and sweep agrees with."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """The decision and its reason (a code; text is made where it is shown)."""

    is_open: bool
    reason: str
    until: dt.datetime | None = None


def decide_access(*, state: str, access_ends_at: dt.datetime | None, at: dt.datetime) -> Access:
    """Open while the state is open and the last moment of access has not passed.

    A sweep that runs late gives nobody a free day: the date decides, not the sweep.
    """
    if state not in ("trialing", "active", "grace"):
        return Access(is_open=False, reason=state)
    if access_ends_at is not None and access_ends_at <= at:
        return Access(is_open=False, reason="ended")
    return Access(is_open=True, reason=state, until=access_ends_at)
