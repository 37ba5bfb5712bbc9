"""The account as support sees it: one page, made of sections that the apps above register.

A section returns what its template needs, or None where there is nothing to say; entries under the name
`coming` are shown together as what comes next, from the rows that the section read anyway. Nothing is
edited: what can be done are links to pages that ask first and then call a verb.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from babel.numbers import get_currency_name
from django.db.models import Prefetch, Q
from django.utils import translation
from django.utils.translation import gettext_lazy

from accounts.activity import days_active
from accounts.calendar import CalendarEntry, likely_moments, mail_entries, with_holds
from accounts.history import in_words, names_in, with_names
from accounts.holds import open_hold_at
from accounts.kinds import title_of
from accounts.models import Account, Event, Member, Notice, Suppression
from accounts.notice_words import reason_words
from accounts.places import country_name, zone_words
from accounts.sharing import read_once
from accounts.standing import standing
from accounts.suppression import suppressions
from accounts.templatetags.terms_format import reader_locale

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Lines of history and of mail on the page.
SHOWN = 25
#: Days of which it is said on how many the account was used.
DAYS = 30
#: What the mail service reports of an address that is not written to any more.
SILENCING = (Notice.Outcome.BOUNCED, Notice.Outcome.COMPLAINED)


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
_RELATED: list[str] = ["terms", "open_hold"]
#: Answers that come with the account's row, by the name under which `shared` has them.
_ANSWERS: dict[str, Callable[[dt.datetime], Any]] = {"open_hold": open_hold_at}


def register(
    section: Section,
    *,
    load_with: Iterable[str] = (),
    read_with: Mapping[str, Callable[[dt.datetime], Any]] | None = None,
) -> None:
    """Add a section. Its account is read with the relations that `load_with` names, and with the
    expressions, as of a moment, of `read_with`."""
    _SECTIONS[section.code] = section
    _RELATED.extend(name for name in load_with if name not in _RELATED)
    _ANSWERS.update(read_with or {})


def register_finder(code: str, finder: Finder) -> None:
    """Teach the search another kind of number: a condition on accounts, or None for anything else."""
    _FINDERS[code] = finder


def sections() -> list[Section]:
    """Every registered section in its order."""
    return sorted(_SECTIONS.values(), key=lambda section: (section.order, section.code))


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
    """Who belongs to it, who has left, and how much it is used; all of it comes with the account."""
    return {
        "members": account.members.all(),
        "days_active": vars(account).get("days_active", 0),
        "days": DAYS,
    }


def coming(account: Account, at: dt.datetime) -> dict[str, Any]:
    """A place for what the other sections know to come."""
    return {}


def mails(account: Account, at: dt.datetime) -> dict[str, Any] | None:
    """What was sent, what could not be, and why; and what is to come. One query, and one more where an
    address is silent: each mail that bounced, or was not sent because of that, is a sign of it."""
    rows = with_holds(Notice.objects.filter(account=account), at).select_related("user")
    newest = list(rows.order_by("-window_from", "-pk")[:SHOWN])
    if not newest:
        return None
    likely = likely_moments(account, newest, at=at)
    return {
        "notices": [
            (row, title_of(row.kind), reason_words(row.reason), likely.get(row.pk, row.window_from))
            for row in newest
        ],
        "silent": _silent(account, newest),
        "coming": mail_entries(account, newest, at=at),
    }


def _silent(account: Account, newest: list[Notice]) -> list[tuple[Member, Suppression]]:
    """Members whose addresses get no mail, with since when and why."""
    if not any(row.outcome in SILENCING or row.reason == "suppressed" for row in newest):
        return []
    members = list(account.members.all())
    found = suppressions([member.user.email for member in members])
    return [(member, found[member.user.email]) for member in members if member.user.email in found]


def history(account: Account, at: dt.datetime) -> dict[str, Any]:
    """The newest lines of the history in words, with who did it. One query.

    What was written down for the provider has a list of its own, with what became of it.
    """
    rows = Event.objects.filter(account_ref=account.public_id).exclude(kind__startswith="instruction.")
    events = list(with_names(rows).order_by("-seq")[:SHOWN])
    lines = [
        {
            "at": event.at,
            "who": names_in(event).get(event.actor_ref) or event.get_actor_display(),
            "is_staff": event.actor == Event.Actor.STAFF,
            "text": in_words(event, names_in(event)),
        }
        for event in events
    ]
    return {"lines": lines, "has_more": bool(events) and events[-1].seq > 1}


def read_account(pk: str, at: dt.datetime) -> Account | None:
    """The account with everything that all sections share. Two queries."""
    if not pk.isdigit():
        return None
    seats = Member.objects.select_related("user").order_by("left_at", "pk")
    answers = {name: of(at) for name, of in _ANSWERS.items()}
    rows = Account.objects.annotate(days_active=days_active(at=at, within=DAYS), **answers)
    rows = rows.select_related(*_RELATED).prefetch_related(Prefetch("members", queryset=seats))
    return rows.filter(pk=pk).first()


def read_once_with_answers(account: Account) -> AbstractContextManager[None]:
    """While the page is made, what came with the account's row is not asked again."""
    return read_once(account, {name: vars(account).get(name) for name in _ANSWERS})


def read_sections(account: Account, at: dt.datetime) -> list[tuple[Section, dict[str, Any]]]:
    """Every section that has something to say, with what comes next gathered from all of them."""
    found = [(section, section.context(account, at)) for section in sections()]
    shown = [(section, context) for section, context in found if context is not None]
    entries: list[CalendarEntry] = [entry for _, context in shown for entry in context.get("coming", ())]
    ahead = sorted(entries, key=lambda entry: entry.at)
    return [(section, context | {"ahead": ahead}) for section, context in shown]


def heading(account: Account, at: dt.datetime) -> dict[str, Any]:
    """The state in words, also as the customer reads it, and where the customer is at home."""
    with translation.override(account.language):
        as_read = standing(account, at=at).text
    place = {
        "country": country_name(account.country),
        "language": reader_locale().languages[account.language],
        "currency": get_currency_name(account.currency, count=2, locale=reader_locale()),
        "zone": zone_words(account.time_zone),
    }
    return {"standing": standing(account, at=at), "as_read": as_read, "place": place}


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
