"""What comes next for an account: mails to come, and what the apps above know of."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import OuterRef, Q, QuerySet, Subquery

from accounts.arbiter import Category, Circumstances, Planned, foresee
from accounts.kinds import NoticeKind, kinds
from accounts.law import rule_names
from accounts.models import Account, Hold, Member, Notice
from accounts.rounds import letter_of, mail_hours

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
    #: A mail's kind, how it is treated beside the others, and the laws that it keeps, by name.
    kind: str = ""
    category: Category | None = None
    rules: Sequence[str] = ()


Source = Callable[[Account, Member, dt.datetime], Iterable[CalendarEntry]]
_SOURCES: dict[str, Source] = {}
#: Which kinds of mail the facts will keep from leaving, though they are owed.
Moot = Callable[[Account], Iterable[str]]
_MOOT: dict[str, Moot] = {}


def register(code: str, source: Source) -> None:
    """Add a source of entries; called from `AppConfig.ready`."""
    _SOURCES[code] = source


def register_moot(code: str, moot: Moot) -> None:
    """Name mails that an account's facts will keep from leaving; called from `AppConfig.ready`."""
    _MOOT[code] = moot


def what_comes_next(account: Account, member: Member, *, at: dt.datetime) -> list[CalendarEntry]:
    """Everything that is known to come, earliest first; each source costs its own queries."""
    entries = [entry for source in _SOURCES.values() for entry in source(account, member, at)]
    return sorted(entries, key=lambda entry: entry.at)


def mails_to_come(account: Account, member: Member, at: dt.datetime) -> list[CalendarEntry]:
    """The mails that will be sent: to payers all of the account's, to others their own. One query."""
    rows = ahead(account, at).select_related("user")
    if not member.may_pay:
        rows = rows.filter(user_id=member.user_id)
    return mail_entries(account, rows[:SHOWN_NOTICES], at=at)


def ahead(account: Account, at: dt.datetime) -> QuerySet[Notice]:
    """What is owed to this account and will leave, and the reminders of today, which have taken the day."""
    owed = Q(status=Notice.Status.OWED) | Q(gentle_day__gte=at.astimezone(account.zone).date())
    moot = {kind for find in _MOOT.values() for kind in find(account)}
    rows = Notice.objects.filter(owed, account=account).exclude(kind__in=moot, status=Notice.Status.OWED)
    return with_holds(rows, at).order_by("window_from", "pk")


def with_holds(notices: QuerySet[Notice], at: dt.datetime) -> QuerySet[Notice]:
    """Each with the end of the hold that its account is under now."""
    hold = Hold.objects.open_at(at).filter(account=OuterRef("account")).values("ends_at")[:1]
    return notices.annotate(held_until=Subquery(hold))


def mail_entries(account: Account, notices: Iterable[Notice], *, at: dt.datetime) -> list[CalendarEntry]:
    """Those of these notices that are owed, each on the day on which the arbiter would send it.

    They come `with_holds`; reminders of today among them have taken the day. Several recipients of one
    mail are one line.
    """
    rows, known = list(notices), kinds()
    owed = _owed(rows)
    likely = _likely(account, rows, owed, at)
    seen: dict[tuple[str, dt.datetime], CalendarEntry] = {}
    for notice in owed:
        kind = known[notice.kind]
        seen.setdefault(
            (notice.kind, notice.window_from),
            CalendarEntry(
                at=likely.get(notice.pk, max(notice.window_from, at)),
                text=kind.title,
                why=kind.why,
                is_mail=True,
                kind=kind.code,
                category=kind.category,
                rules=rule_names(notice.rule_ids),
            ),
        )
    return list(seen.values())


def likely_moments(account: Account, notices: Iterable[Notice], *, at: dt.datetime) -> dict[int, dt.datetime]:
    """When each of these notices that is owed would leave, by its number, as `mail_entries` says it."""
    rows = list(notices)
    return _likely(account, rows, _owed(rows), at)


def _owed(rows: Iterable[Notice]) -> list[Notice]:
    """Those that will leave: owed, of a kind that is known, and not said by another."""
    known = kinds()
    owed = [row for row in rows if row.status == Notice.Status.OWED and row.kind in known]
    return [row for row in owed if not _is_needless(row, known[row.kind], owed)]


def _is_needless(notice: Notice, kind: NoticeKind, owed: Iterable[Notice]) -> bool:
    """Whether another mail of these, just before it, will have said it all."""
    if kind.needless_after is None:
        return False
    code, before = kind.needless_after
    return any(
        row.kind == code
        and row.recipient == notice.recipient
        and row.window_from <= notice.window_from <= row.window_from + before
        for row in owed
    )


def _likely(
    account: Account, rows: list[Notice], owed: list[Notice], at: dt.datetime
) -> dict[int, dt.datetime]:
    """The arbiter's view of the days ahead; a hold that is open now is taken to last until its end."""
    held = next((getattr(row, "held_until", None) for row in rows), None)
    now = Circumstances(zone=account.zone, hours=mail_hours(), held_until=held)
    taken = [(row.recipient, row.gentle_day) for row in rows if row.gentle_day and row not in owed]
    letters = [Planned(row.pk, row.recipient, letter_of(row), row.next_attempt_at) for row in owed]
    return foresee(letters, now, at=at, taken=taken)
