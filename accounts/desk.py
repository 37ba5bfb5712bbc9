"""The account as support sees it: one page, made of sections that the apps above register.

A section returns what its template needs, or None where there is nothing to say. Nothing on the page
is edited: what can be done are links to pages that ask first and then call a verb.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils.translation import gettext_lazy

from accounts.calendar import what_comes_next
from accounts.history import in_words
from accounts.models import Account, Event, Member, Notice, User
from accounts.notices import kinds
from accounts.standing import standing

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Lines of history and of mail on the page.
SHOWN = 25


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page. `is_aside` puts it beside the main column; lower `order` comes first."""

    code: str
    order: int
    title: "StrOrPromise"
    template: str
    context: Callable[[Account, dt.datetime], dict[str, Any] | None]
    is_aside: bool = False


Finder = Callable[[str], Q | None]

_SECTIONS: dict[str, Section] = {}
_FINDERS: dict[str, Finder] = {}
_RELATED: list[str] = ["terms"]


def register(section: Section, *, load_with: Iterable[str] = ()) -> None:
    """Add a section; `load_with` names relations of the account that its row is read with."""
    _SECTIONS[section.code] = section
    _RELATED.extend(name for name in load_with if name not in _RELATED)


def register_finder(code: str, finder: Finder) -> None:
    """Teach the search another kind of number: a condition on accounts, or None for anything else."""
    _FINDERS[code] = finder


def sections() -> list[Section]:
    """Every registered section in its order."""
    return sorted(_SECTIONS.values(), key=lambda section: (section.order, section.code))


def related() -> list[str]:
    """What the account's row is read with."""
    return list(_RELATED)


def search_condition(term: str) -> Q:
    """The accounts that a term means: each kind of number is looked up where it is unique, else the name.

    An address or a number costs one index look-up; only words go through the names.
    """
    term = term.strip()
    if "@" in term:
        return Q(members__user__email=term.lower())
    if len(term) == 26 and term.isalnum():
        return Q(public_id=term.lower())
    for finder in _FINDERS.values():
        condition = finder(term)
        if condition is not None:
            return condition
    return Q(name__icontains=term)


# --- The sections of this app ---------------------------------------------------------------------


def people(account: Account, at: dt.datetime) -> dict[str, Any]:
    """Who belongs to it, and who has left. One query."""
    rows = Member.objects.filter(account=account).select_related("user").order_by("left_at", "pk")
    return {"members": list(rows)}


def coming(account: Account, at: dt.datetime) -> dict[str, Any]:
    """What the customer is shown as coming next."""
    payer = Member(account=account, role=Member.Role.OWNER)
    return {"entries": what_comes_next(account, payer, at=at)}


def mails(account: Account, at: dt.datetime) -> dict[str, Any] | None:
    """What was sent, what could not be, and why. One query."""
    rows = Notice.objects.filter(account=account).select_related("user").order_by("-window_from", "-pk")
    known = kinds()
    notices = [
        {"row": row, "title": known[row.kind].title if row.kind in known else row.kind}
        for row in rows[:SHOWN]
    ]
    return {"notices": notices} if notices else None


def history(account: Account, at: dt.datetime) -> dict[str, Any]:
    """The newest lines of the history in words, with who did it. Two queries."""
    events = list(Event.objects.filter(account_ref=account.public_id).order_by("-seq")[:SHOWN])
    refs = {ref for event in events for ref in (event.actor_ref, event.subject) if ref}
    found = User.objects.filter(public_id__in=refs).only("public_id", "name", "email")
    names = {user.public_id: user.get_full_name() for user in found}
    lines = [
        {
            "at": event.at,
            "who": names.get(event.actor_ref) or event.get_actor_display(),
            "is_staff": event.actor == Event.Actor.STAFF,
            "text": in_words(event, names),
        }
        for event in events
    ]
    return {"lines": lines, "has_more": bool(events) and events[-1].seq > 1}


def heading(account: Account, at: dt.datetime) -> dict[str, Any]:
    """The state in words, as the customer reads it."""
    return {"standing": standing(account, at=at)}


for _section in (
    Section(
        code="accounts.coming",
        order=10,
        title=gettext_lazy("What comes next"),
        template="admin/desk/coming.html",
        context=coming,
        is_aside=True,
    ),
    Section(
        code="accounts.people",
        order=20,
        title=gettext_lazy("People"),
        template="admin/desk/people.html",
        context=people,
        is_aside=True,
    ),
    Section(
        code="accounts.mails",
        order=60,
        title=gettext_lazy("Mails"),
        template="admin/desk/mails.html",
        context=mails,
    ),
    Section(
        code="accounts.history",
        order=90,
        title=gettext_lazy("History"),
        template="admin/desk/history.html",
        context=history,
        is_aside=True,
    ),
):
    register(_section)
