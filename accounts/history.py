"""The history in words.

Each kind of event has a sentence with placeholders, and a formatter for each placeholder, which
makes text of the stored codes, amounts and times in the reader's language and zone. The apps above
register theirs in `AppConfig.ready`; a test fails when a kind is recorded that has no words.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from django.db.models import CharField, OuterRef, QuerySet, Subquery, TextChoices, Value
from django.db.models.functions import Coalesce, NullIf
from django.utils.translation import gettext as _

from accounts.models import Account, Event, Member, User
from accounts.places import country_name
from accounts.templatetags import terms_format

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

Facts = Mapping[str, Any]
Formatter = Callable[[Facts], str]
#: One sentence, or what chooses it by the facts.
Sentence: TypeAlias = "StrOrPromise | Callable[[Facts], StrOrPromise]"
PAGE: Final = 30


@dataclass(frozen=True)
class Words:
    """A kind's sentence and how each of its placeholders is filled."""

    sentence: "Sentence"
    formatters: Mapping[str, Formatter]


@dataclass(frozen=True)
class Line:
    """One line of the history: when, who, what."""

    seq: int
    at: dt.datetime
    who: str
    text: str


_WORDS: dict[str, Words] = {}


def register(kind: str, sentence: Sentence, **formatters: Formatter) -> None:
    """Give a kind of event its sentence, such as `register("x.y", _("Until %(day)s"), day=day("until"))`.

    `%(person)s` is always there: the name of the person whose public id is the event's subject.
    """
    _WORDS[kind] = Words(sentence, formatters)


def known_kinds() -> frozenset[str]:
    """Every kind that has words."""
    return frozenset(_WORDS)


def day(fact: str) -> Formatter:
    """A stored ISO moment as a calendar day."""
    return lambda facts: terms_format.day(_moment(facts, fact))


def moment(fact: str) -> Formatter:
    """A stored ISO moment with its time and zone."""
    return lambda facts: terms_format.moment(_moment(facts, fact))


def money(amount: str, currency: str = "currency") -> Formatter:
    """Two facts, minor units and currency, as an amount."""
    return lambda facts: terms_format.format_money(int(facts.get(amount) or 0), str(facts.get(currency)))


def number(fact: str) -> Formatter:
    """A stored number."""
    return lambda facts: terms_format.number(facts.get(fact) or 0)


def choice(fact: str, choices: type[TextChoices]) -> Formatter:
    """A stored code as the label that the model gives it."""
    labels = dict(choices.choices)
    return lambda facts: str(labels.get(str(facts.get(fact)), _("something else")))


def phrase(fact: str, phrases: Mapping[Any, "StrOrPromise"]) -> Formatter:
    """A stored code as one of these phrases; an unknown one is "something else"."""
    return lambda facts: str(phrases.get(facts.get(fact), _("something else")))


def country(fact: str) -> Formatter:
    """A stored ISO 3166 code as the country's name."""
    return lambda facts: country_name(str(facts.get(fact)))


def _moment(facts: Facts, fact: str) -> dt.datetime | None:
    stored = facts.get(fact)
    return dt.datetime.fromisoformat(stored) if stored else None


def read_history(
    account: Account, *, reader: Member, before: int | None = None, size: int = PAGE
) -> tuple[list[Line], int | None]:
    """One page of the history, newest first, and the number to ask for the page before it, or None.

    Members who do not pay see what concerns the team and the terms, not the money. Our orders to the
    payment provider are for staff: what came of them has a line of its own.
    One query, however many lines: the events, with the names of the people in them.
    """
    rows = Event.objects.filter(account_ref=account.public_id).order_by("-seq")
    rows = with_names(rows).exclude(kind__startswith="instruction.")
    if not reader.may_pay:
        rows = rows.filter(kind__regex=r"^(account|member|terms)\.")
    if before is not None:
        rows = rows.filter(seq__lt=before)
    events = list(rows[: size + 1])
    shown = events[:size]
    lines = [_line(event, names_in(event), reader.user) for event in shown]
    return lines, shown[-1].seq if len(events) > size else None


def in_words(event: Event, names: Mapping[str, str] | None = None) -> str:
    """What happened, in the active language; a kind without words is never shown by its code."""
    words = _WORDS.get(event.kind)
    if words is None:
        return _("Something was recorded (number %(seq)d).") % {"seq": event.seq}
    sentence = words.sentence(event.facts) if callable(words.sentence) else words.sentence
    found = {name: fill(event.facts) for name, fill in words.formatters.items()}
    found["person"] = (names or {}).get(event.subject) or _("someone who is no longer here")
    return str(sentence) % found


def with_names(events: QuerySet[Event]) -> QuerySet[Event]:
    """Each with the names of the people in it, for `names_in`."""
    return events.annotate(actor_name=name_of("actor_ref"), subject_name=name_of("subject"))


def names_in(event: Any) -> dict[str, str]:
    """The people in an event that came `with_names`; those who are gone have no name."""
    pairs = ((event.actor_ref, event.actor_name), (event.subject, event.subject_name))
    return {ref: name for ref, name in pairs if ref and name}


def name_of(column: str) -> Subquery:
    """The name of the person whose public id stands in this column, as `User.get_full_name` gives it."""
    name = Coalesce(NullIf("name", Value("")), "email", output_field=CharField())
    return Subquery(User.objects.filter(public_id=OuterRef(column)).values(shown=name)[:1])


def _line(event: Event, names: Mapping[str, str], reader: User) -> Line:
    return Line(seq=event.seq, at=event.at, who=_who(event, names, reader), text=in_words(event, names))


def _who(event: Event, names: Mapping[str, str], reader: User) -> str:
    if event.actor == Event.Actor.CUSTOMER:
        if event.actor_ref == reader.public_id:
            return _("You")
        return names.get(event.actor_ref) or _("Someone of your team")
    return {
        Event.Actor.STAFF: _("Our support"),
        Event.Actor.PROVIDER: _("The payment provider"),
    }.get(Event.Actor(event.actor), _("Automatic"))
