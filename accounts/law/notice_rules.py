"""When a mail must be sent before something happens to someone's money: one row per rule and event.

A window is counted in local days before the event: `first_day` is the earliest (None: no earliest),
`last_day` the latest. `applies_to` is whom the rule protects. A rule is in force for events from
`effective_from` until before `effective_to`.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class EventKind(TextChoices):
    """What is going to happen."""

    TRIAL_END_WITH_CARD = "trial_end_with_card", _("a trial with a card ends, and the first charge follows")
    FREE_PERIOD_END = "free_period_end", _("a free or reduced period ends")
    ANNUAL_RENEWAL = "annual_renewal", _("a term of a year renews")
    PRICE_RISE = "price_rise", _("the price rises")


class Protects(TextChoices):
    """Whose contracts a rule is about."""

    CONSUMER = "consumer", _("private persons")
    BUSINESS = "business", _("businesses")
    BOTH = "both", _("everybody")


#: In place of a country: the rule of a card network, which knows no borders.
EVERYWHERE: Final = "*"


@dataclass(frozen=True, kw_only=True)
class NoticeRule:
    """One rule, for one kind of event.

    `jurisdiction` is an ISO 3166 code; "US-CA" is a state, and as we only know the country, its rule
    is kept for the whole of it. `longer_than_days` limits it to periods longer than that.
    """

    id: str
    event: EventKind
    jurisdiction: str
    applies_to: Protects
    first_day: int | None
    last_day: int
    source: str
    effective_from: dt.date | None = None
    effective_to: dt.date | None = None
    verified_on: dt.date | None = None
    longer_than_days: int = 0

    @property
    def country(self) -> str:
        """The country of the jurisdiction, or `EVERYWHERE`."""
        return self.jurisdiction.partition("-")[0]

    def is_in_force(self, day: dt.date) -> bool:
        """Whether it is about events of this day."""
        return (self.effective_from is None or self.effective_from <= day) and (
            self.effective_to is None or day < self.effective_to
        )


_CHECKED: Final = dt.date(2026, 11, 22)
_TRIAL, _FREE = EventKind.TRIAL_END_WITH_CARD, EventKind.FREE_PERIOD_END
_YEAR, _PRICE = EventKind.ANNUAL_RENEWAL, EventKind.PRICE_RISE
_CONSUMER = Protects.CONSUMER

_SPAIN: Final = "Ley 10/2025, de servicios de atención a la clientela"
_CALIFORNIA: Final = "Cal. Bus. & Prof. Code § 17602 (AB 2863)"
_NEW_YORK: Final = "NY Gen. Bus. Law § 527-a"
_QUEBEC: Final = "Québec, projet de loi 10"
_VISA: Final = "Visa Core Rules"
_UK: Final = "DMCC Act 2024 (UK), pt 4 ch 2"


def _rule(
    id: str,
    event: EventKind,
    jurisdiction: str,
    applies_to: Protects,
    days: tuple[int | None, int],
    source: str,
    *,
    since: dt.date | None = None,
    verified_on: dt.date | None = None,
    longer_than_days: int = 0,
) -> NoticeRule:
    return NoticeRule(
        id=id,
        event=event,
        jurisdiction=jurisdiction,
        applies_to=applies_to,
        first_day=days[0],
        last_day=days[1],
        source=source,
        effective_from=since,
        verified_on=verified_on,
        longer_than_days=longer_than_days,
    )


NOTICE_RULES: Final[tuple[NoticeRule, ...]] = (
    _rule(
        "es-ley-10-2025",
        _YEAR,
        "ES",
        _CONSUMER,
        (None, 15),
        _SPAIN,
        since=dt.date(2025, 12, 28),
        verified_on=_CHECKED,
    ),
    *(
        _rule(
            "us-ca-arl",
            event,
            "US-CA",
            _CONSUMER,
            (21, 3),
            _CALIFORNIA,
            since=dt.date(2025, 7, 1),
            verified_on=_CHECKED,
            longer_than_days=31,
        )
        for event in (_TRIAL, _FREE)
    ),
    _rule(
        "us-ca-arl",
        _YEAR,
        "US-CA",
        _CONSUMER,
        (45, 15),
        _CALIFORNIA,
        since=dt.date(2025, 7, 1),
        verified_on=_CHECKED,
    ),
    _rule("us-ny", _YEAR, "US-NY", _CONSUMER, (45, 15), _NEW_YORK),
    _rule("us-ny", _PRICE, "US-NY", _CONSUMER, (30, 5), _NEW_YORK, verified_on=_CHECKED),
    *(
        _rule("us-ma", event, "US-MA", _CONSUMER, (30, 5), "940 CMR 38.00", verified_on=_CHECKED)
        for event in (_YEAR, _TRIAL, _FREE)
    ),
    *(
        _rule("ca-qc", event, "CA-QC", _CONSUMER, (10, 2), _QUEBEC, since=dt.date(2026, 9, 12))
        for event in (_TRIAL, _FREE)
    ),
    _rule("visa", _TRIAL, EVERYWHERE, Protects.BOTH, (None, 7), _VISA, verified_on=_CHECKED),
    _rule("mastercard", _TRIAL, EVERYWHERE, Protects.BOTH, (7, 3), "Mastercard Transaction Processing Rules"),
    # Its days are not published yet: until they are, a reminder at least a day before.
    *(
        _rule("uk-dmcc", event, "GB", _CONSUMER, (None, 1), _UK, since=dt.date(2027, 4, 1))
        for event in (_YEAR, _TRIAL, _FREE)
    ),
)

#: Laws that a mail may keep without having days of its own here.
OTHER_SOURCES: Final[dict[str, str]] = {"gdpr": "GDPR, Reg. (EU) 2016/679"}


def rule_names(rule_ids: Iterable[str]) -> list[str]:
    """The laws behind these ids, by name, each once."""
    names = OTHER_SOURCES | {rule.id: rule.source for rule in NOTICE_RULES}
    return list(dict.fromkeys(names.get(rule_id, rule_id) for rule_id in rule_ids))
