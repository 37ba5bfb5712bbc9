"""Countries, time zones and currencies by the names that people know, from CLDR."""

import unicodedata
import zoneinfo
from collections import Counter
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.core import get_global
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


def time_zone_choices() -> Choices:
    """Every zone of a region by its country and city, "Spain: Madrid", in the order of the alphabet; UTC."""
    return _zones(str(reader_locale()))


@lru_cache(maxsize=8)
def _zones(locale: str) -> Choices:
    known = Locale.parse(locale)
    codes = [code for code in zoneinfo.available_timezones() if code.partition("/")[0] in REGIONS]
    named = [(code, _zone_name(code, known)) for code in sorted(codes)]
    often = Counter(name for _code, name in named)  # an account may still have the older of two codes
    named = [(code, f"{name} ({code})" if often[name] > 1 else name) for code, name in named]
    return [("UTC", "UTC"), *sorted(named, key=_by_alphabet)]


def _zone_name(code: str, locale: Locale) -> str:
    countries = get_global("zone_territories")
    country = countries.get(code) or countries.get(get_global("zone_aliases").get(code, ""))
    named, city = locale.territories.get(country or ""), _city(code, locale)
    return f"{named}: {city}" if named else city


def _city(code: str, locale: Locale) -> str:
    known = locale.time_zones.get(code, {}).get("city")
    return str(known or code.rpartition("/")[2].replace("_", " "))


def zone_words(code: str) -> str:
    """Whose clock it is, by the place that people know: "time of Madrid"."""
    return _("time of %(city)s") % {"city": _city(code, reader_locale())} if "/" in code else code


def currency_choices() -> Choices:
    """The currencies in which this company sells, with their names in the active language."""
    return [(code, currency_words(code)) for code in settings.CURRENCIES]


def currency_words(code: str) -> str:
    """A currency as people read it: "Euro (EUR)"."""
    name = get_currency_name(code, locale=reader_locale())
    return f"{name[:1].upper()}{name[1:]} ({code})"
