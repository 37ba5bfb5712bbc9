"""One line on every page of an account while something is about to happen; the apps above register theirs."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from accounts.models import Account, Member


@dataclass(frozen=True, kw_only=True)
class Banner:
    """What is about to happen and when, in a sentence, and where to do something about it."""

    tone: str
    text: str
    url: str = ""
    label: str = ""
    more_url: str = ""
    more_label: str = ""


Find = Callable[[Account, Member, dt.datetime], Banner | None]
_BANNERS: dict[str, tuple[int, Find]] = {}


def register(code: str, find: Find, *, order: int = 50) -> None:
    """Add a banner; called from `AppConfig.ready`. The lowest `order` that has something to say is shown."""
    _BANNERS[code] = (order, find)


def banner_of(account: Account, member: Member, *, at: dt.datetime) -> Banner | None:
    """The one banner of this page, or None. At most one query each, and none while all is well."""
    found = (find(account, member, at) for _, find in sorted(_BANNERS.values(), key=lambda pair: pair[0]))
    return next((banner for banner in found if banner is not None), None)
