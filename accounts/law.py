"""Rules of law that are numbers: data with a source and a date, not code.

`verified_on` is None where nobody has confirmed the rule against its source: it is then shown as
"not verified". None of this is legal advice.
"""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class TaxRetention:
    """How many whole calendar years invoices are kept after the year they belong to."""

    country: str
    years: int
    source: str
    verified_on: dt.date | None = None


TAX_RETENTION: dict[str, TaxRetention] = {
    rule.country: rule
    for rule in (
        TaxRetention("DE", 8, "AO § 147, UStG § 14b"),
        TaxRetention("ES", 6, "Código de Comercio, art. 30"),
        TaxRetention("FR", 10, "Code de commerce, art. L123-22"),
        TaxRetention("IT", 10, "Codice civile, art. 2220"),
        TaxRetention("GB", 6, "Companies Act 2006 s. 388, VATA 1994 sch. 11"),
        TaxRetention("US", 7, "IRC § 6501, IRS Publication 583"),
    )
}

#: For every other country: the longest of the table, so that nobody's books are destroyed too early.
STRICTEST_YEARS = max(rule.years for rule in TAX_RETENTION.values())


def tax_years(country: str) -> int:
    """Calendar years for which this country's invoices are kept, counted from the end of their year."""
    rule = TAX_RETENTION.get(country.upper())
    return rule.years if rule else STRICTEST_YEARS


def books_end(country: str, last: dt.datetime) -> dt.datetime:
    """The first moment (UTC) at which books whose last entry is `last` need not be kept any more."""
    return dt.datetime(last.year + tax_years(country) + 1, 1, 1, tzinfo=dt.UTC)


#: Countries in which Directive 2011/83/EU (art. 9) gives consumers a right of withdrawal.
EU_COUNTRIES = frozenset(
    {
        *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU"),
        *("IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
    }
)
WITHDRAWAL_DAYS = 14


def withdrawal_days(country: str, kind: str) -> int:
    """Days in which a contract can be withdrawn from by law (rule eu-withdrawal); 0: the law gives none."""
    return WITHDRAWAL_DAYS if kind == "consumer" and country.upper() in EU_COUNTRIES else 0
