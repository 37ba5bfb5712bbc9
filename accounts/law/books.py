"""How long invoices are kept."""

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
