"""The published terms: read as sentences, published, compared, accepted."""

import datetime as dt
import hashlib
import logging
from dataclasses import dataclass
from typing import Final

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Acceptance, Account, Terms, TermsText, User
from accounts.terms_rules import SECTIONS

logger = logging.getLogger(__name__)

#: Columns that say which version this is; every other column is a rule.
NOT_RULES: Final = frozenset({"id", "version", "in_force_from", "published_at"})


@dataclass(frozen=True)
class Sentence:
    """One rule in words; `rule` is the column's name, or that of a rule which holds for every version."""

    rule: str
    text: str


@dataclass(frozen=True)
class Section:
    """Rules that belong together."""

    code: str
    title: str
    sentences: list[Sentence]


@dataclass(frozen=True)
class Difference:
    """One rule that two versions word differently."""

    rule: str
    section: str
    old: str
    new: str


def rule_columns() -> list[str]:
    """The names of all rule columns, in the order of the model."""
    return [field.name for field in Terms._meta.concrete_fields if field.name not in NOT_RULES]


def sentences(terms: Terms, language: str | None = None) -> list[Section]:
    """Every rule as a plain sentence, in this language (or the active one), made from the row alone."""
    with translation.override(language or translation.get_language()):
        return [
            Section(code, str(title), [Sentence(rule.__name__, rule(terms)) for rule in rules])
            for code, title, rules in SECTIONS
        ]


def plain_text(terms: Terms, language: str) -> str:
    """The whole text as it is shown, without markup: what an acceptance refers to."""
    lines = [f"v{terms.version} {terms.in_force_from.astimezone(dt.UTC).isoformat()}"]
    for section in sentences(terms, language):
        lines += ["", section.title, *(sentence.text for sentence in section.sentences)]
    return "\n".join(lines) + "\n"


def text_hash(terms: Terms, language: str) -> str:
    """SHA-256 (hexadecimal) of the text in this language."""
    return hashlib.sha256(plain_text(terms, language).encode()).hexdigest()


def difference(old: Terms, new: Terms) -> list[Difference]:
    """Each rule whose sentence differs between two versions, in the active language."""
    return [
        Difference(before.rule, section.title, before.text, after.text)
        for section, other in zip(sentences(old), sentences(new), strict=True)
        for before, after in zip(section.sentences, other.sentences, strict=True)
        if before.text != after.text
    ]


def new_draft(from_terms: Terms, *, in_force_from: dt.datetime | None = None) -> Terms:
    """An unpublished copy with the next version number, to be changed and published.

    Without a date of its own it keeps the old one, with which it cannot be published.
    """
    newest = Terms.objects.aggregate(newest=models.Max("version"))["newest"] or 0
    rules = {name: getattr(from_terms, name) for name in rule_columns()}
    return Terms.objects.create(
        version=newest + 1, in_force_from=in_force_from or from_terms.in_force_from, **rules
    )


@transaction.atomic
def publish_terms(terms: Terms, *, by: By, at: dt.datetime) -> None:
    """Publish a draft: from here on the database refuses to change it.

    It comes into force at once or later, never in the past (save the very first version), and after
    every version published before. Raises `ValidationError` with the columns that are wrong.
    """
    terms.full_clean()
    others = Terms.objects.published().exclude(pk=terms.pk)
    latest = others.aggregate(latest=models.Max("in_force_from"))["latest"]
    if latest is not None:
        _refuse_past(terms.in_force_from, latest=latest, at=at)
    if not Terms.objects.filter(pk=terms.pk, published_at=None).update(published_at=at):
        raise WrongState("This version is published already.")
    terms.published_at = at
    logger.info("terms published", extra={"version": terms.version, "actor": by.actor, "ref": by.ref})


def _refuse_past(start: dt.datetime, *, latest: dt.datetime, at: dt.datetime) -> None:
    if start < at:
        raise ValidationError({"in_force_from": _("Terms cannot come into force in the past.")})
    if start <= latest:
        raise ValidationError(
            {"in_force_from": _("A version that is published already comes into force then or later.")}
        )


@transaction.atomic
def accept_terms(
    account: Account,
    terms: Terms,
    *,
    by_user: User,
    language: str,
    immediate_start: bool,
    at: dt.datetime,
) -> Acceptance:
    """The account keeps the version it accepts, with its date and the hash of the words that were shown.

    Accepting a version again changes nothing. Raises `WrongState` for one that is not in force yet.
    """
    if terms.published_at is None or terms.in_force_from > at:
        raise WrongState("This version is not in force.")
    words = plain_text(terms, language)
    digest = hashlib.sha256(words.encode()).hexdigest()
    acceptance, is_new = Acceptance.objects.get_or_create(
        account=account,
        terms=terms,
        defaults={
            "accepted_at": at,
            "accepted_by": by_user,
            "language": language,
            "text_hash": digest,
            "immediate_start": immediate_start,
        },
    )
    if not is_new:
        return acceptance
    TermsText.objects.get_or_create(
        text_hash=digest, defaults={"terms": terms, "language": language, "text": words}
    )
    Account.objects.filter(pk=account.pk).update(terms=terms)
    account.terms = terms
    record(
        account,
        "terms.accepted",
        by=By.customer(by_user),
        at=at,
        version=terms.version,
        text_hash=digest,
        immediate_start=immediate_start,
    )
    return acceptance
