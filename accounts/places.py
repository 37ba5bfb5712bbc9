"""Countries, time zones and currencies by the names that people know, from CLDR."""

import unicodedata
import zoneinfo
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.numbers import get_currency_name
from django.conf import settings
from django.utils.translation import gettext as _

from accounts.templatetags.terms_format import reader_locale

Choices = list[tuple[str, str]]

#: Codes of CLDR that are no countries of ISO 3166: groups, islands with a reserved code that belong
#: to a country of the list, pseudo-locales, "unknown". The user-assigned XK (Kosovo) counts as one.
NO_COUNTRIES: Final = frozenset(
    {"EU", "EZ", "UN", "QO", "AC", "CP", "CQ", "DG", "EA", "IC", "TA", "XA", "XB", "ZZ"}
)
#: Zones outside these are old names or offsets.
REGIONS: Final = frozenset(
    {"Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)


def country_name(code: str) -> str:
    """The country's name in the active language."""
    return str(reader_locale().territories.get(code) or _("an unknown country"))


def country_choices() -> Choices:
    """Every country with its name in the active language, in the order of its alphabet."""
    return _countries(str(reader_locale()))


@lru_cache(maxsize=8)
def _countries(locale: str) -> Choices:
    named = Locale.parse(locale).territories.items()
    countries = [(code, name) for code, name in named if len(code) == 2 and code not in NO_COUNTRIES]
    return sorted(((code, name) for code, name in countries if code.isalpha()), key=_by_alphabet)


def _by_alphabet(choice: tuple[str, str]) -> str:
    """Å stands with A and Ñ with N: near enough, without a collation library."""
    letters = unicodedata.normalize("NFD", choice[1])
    return "".join(letter for letter in letters if not unicodedata.combining(letter)).lower()


@lru_cache(maxsize=1)
def time_zone_choices() -> Choices:
    """Every zone of a region, such as Europe/Madrid, and UTC; its name is its code with spaces."""
    names = sorted(name for name in zoneinfo.available_timezones() if name.partition("/")[0] in REGIONS)
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in names)]


def currency_choices() -> Choices:
    """The currencies in which this company sells, with their names in the active language."""
    return [(code, currency_words(code)) for code in settings.CURRENCIES]


def currency_words(code: str) -> str:
    """A currency as people read it: "Euro (EUR)"."""
    return f"{get_currency_name(code, locale=reader_locale())} ({code})"
