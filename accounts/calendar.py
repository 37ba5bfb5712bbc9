"""What comes next for an account: mails to come, and what the apps above know of."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accounts.models import Account, Member, Notice
from accounts.notices import kinds

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Further mails are too far away to matter on this page, and the page stays small.
SHOWN_NOTICES = 20


@dataclass(frozen=True, kw_only=True)
class CalendarEntry:
    """One thing that will happen: when, what, why, and where to read or change it."""

    at: dt.datetime
    text: "StrOrPromise"
    why: "StrOrPromise" = ""
    url: str = ""
    #: A mail that will be sent, named by its title.
    is_mail: bool = False


Source = Callable[[Account, Member, dt.datetime], Iterable[CalendarEntry]]
_SOURCES: dict[str, Source] = {}


def register(code: str, source: Source) -> None:
    """Add a source of entries; called from `AppConfig.ready`."""
    _SOURCES[code] = source


def what_comes_next(account: Account, member: Member, *, at: dt.datetime) -> list[CalendarEntry]:
    """Everything that is known to come, earliest first; each source costs its own queries."""
    entries = [entry for source in _SOURCES.values() for entry in source(account, member, at)]
    return sorted(entries, key=lambda entry: entry.at)


def mails_to_come(account: Account, member: Member, at: dt.datetime) -> list[CalendarEntry]:
    """The mails that will be sent: to payers all of the account's, to others their own."""
    rows = Notice.objects.still_to_come().filter(account=account)
    if not member.may_pay:
        rows = rows.filter(user_id=member.user_id)
    return mail_entries(rows[:SHOWN_NOTICES], at=at)


def mail_entries(notices: Iterable[Notice], *, at: dt.datetime) -> list[CalendarEntry]:
    """These notices, which are owed, as entries."""
    known = kinds()
    seen: dict[tuple[str, dt.datetime], CalendarEntry] = {}
    for notice in notices:
        kind = known.get(notice.kind)
        if kind is not None:
            # Several recipients of one mail are one line.
            key = (notice.kind, notice.window_from)
            when = max(notice.window_from, at)
            seen[key] = CalendarEntry(at=when, text=kind.title, why=kind.why, is_mail=True)
    return list(seen.values())
