"""What somebody can do whose access is off: back in (pay, more time, come back), or out (data, leave).

The apps above register theirs in `AppConfig.ready`; the page that says that access is off shows them.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Account, Member


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A button and what it means: `text` in a sentence, `facts` as pairs (what it costs, until when)."""

    label: str
    url: str
    text: str = ""
    facts: Iterable[tuple[str, str]] = ()


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """Where to go from a closed door. `find` returns None where this way is not for this member now.

    Of the ways back in, the one with the lowest `order` is the page's main button.
    """

    code: str
    leads: Literal["in", "out"]
    order: int
    find: Callable[[Account, Member, dt.datetime], Exit | None]


_WAYS: dict[str, WayOut] = {}


def register(way: WayOut) -> None:
    """Add a way; called from `AppConfig.ready`."""
    _WAYS[way.code] = way


def find_ways(account: Account, member: Member, *, at: dt.datetime) -> dict[str, list[Exit]]:
    """The ways that this member has now, under "in" and "out", each in its order."""
    ways = sorted(_WAYS.values(), key=lambda way: (way.order, way.code))
    found = [(way.leads, way.find(account, member, at)) for way in ways]
    return {leads: [way for where, way in found if way and where == leads] for leads in ("in", "out")}


def _leave_team(account: Account, member: Member, at: dt.datetime) -> Exit | None:
    """For those who cannot decide about the account: to go alone."""
    if member.may_pay:
        return None
    return Exit(
        label=_("Leave the team"),
        url=reverse("leave_team", args=[account.public_id]),
        text=_("You go, the account stays as it is."),
    )


LEAVE_TEAM: Final = WayOut(code="accounts.leave_team", leads="out", order=90, find=_leave_team)
