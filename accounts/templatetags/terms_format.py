"""Amounts, days and moments as people read them: in the active language and the active time zone."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_skeleton, format_time, get_timezone_name
from babel.numbers import format_currency, format_decimal, get_currency_symbol
from django import template
from django.conf import settings
from django.utils import timezone, translation
from django.utils.html import format_html

register = template.Library()

NO_BREAK = "\N{NO-BREAK SPACE}"

# How many decimals an integer amount carries is the provider's convention, not CLDR's: CLDR gives
# RSD, MMK or ISK none, and the provider writes all three with two. Shown with any other number, an
# amount would be wrong by a factor of a hundred. https://docs.stripe.com/currencies
NO_DECIMALS = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
        *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
)
THREE_DECIMALS = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
#: Written with two decimals by the provider, which are always 00, so nobody needs to read them.
NEVER_CENTS = frozenset({"ISK", "UGX"})

#: "3 November", a 24-hour clock and "US$" read the same to every reader of English.
LOCALES = {"en": "en_GB"}


def reader_locale() -> Locale:
    """The locale that numbers and dates follow in the active language."""
    code = translation.get_language() or settings.LANGUAGE_CODE
    return Locale.parse(LOCALES.get(code) or translation.to_locale(code))


def exponent(currency: str) -> int:
    """Decimals in the provider's integer amounts of `currency` (ISO 4217, upper case): 0, 2 or 3."""
    if currency in NO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def format_money(amount: int, currency: str) -> str:
    """`amount` in minor units as people write it: 1250 EUR is "€12.50", in Spanish "12,50 €"."""
    currency = currency.upper()
    locale = reader_locale()
    shown = 0 if currency in NEVER_CENTS and amount % 100 == 0 else exponent(currency)
    pattern = locale.currency_formats["standard"].pattern.replace(".00", "." + "0" * shown if shown else "")
    if get_currency_symbol(currency, locale)[-1].isalpha():
        pattern = pattern.replace("¤#", "¤\N{NO-BREAK SPACE}#")  # CLDR: letters keep off the figures
    value = Decimal(amount).scaleb(-exponent(currency))
    text = format_currency(abs(value), currency, format=pattern, locale=locale, currency_digits=False)
    return f"\N{MINUS SIGN}{text}" if amount < 0 else text


@register.simple_tag
def money(amount: int, currency: str) -> str:
    """`{% money 1250 "EUR" %}`, or `... as refund %}` for a sentence: plain text, fit for mails too."""
    return format_money(amount, currency)


def _local(value: dt.datetime) -> dt.datetime:
    return timezone.localtime(value) if timezone.is_aware(value) else value


@register.filter
def day(value: dt.date | dt.datetime | None) -> str:
    """ "3 November 2026": the calendar day in the active time zone; empty for nothing."""
    if value is None or value == "":
        return ""
    when = _local(value) if isinstance(value, dt.datetime) else value
    return format_date(when, "long", locale=reader_locale())


@register.filter
def weekday(value: dt.date | dt.datetime | None) -> str:
    """ "Tuesday, 3 November 2026": as `day`, with its weekday, for a date that someone must act on."""
    if value is None or value == "":
        return ""
    when = _local(value) if isinstance(value, dt.datetime) else value
    return format_date(when, "full", locale=reader_locale())


@register.filter
def near_day(value: dt.date) -> str:
    """ "Tue 3 Nov": a day of the next weeks, where a list on a phone has no room for more."""
    return str(format_skeleton("MMMEd", value, locale=reader_locale()))


@register.filter
def moment(value: dt.datetime | None) -> str:
    """ "3 November 2026, 12:03 CET": to the minute, with its zone; empty for nothing."""
    if value is None or value == "":
        return ""
    return f"{day(value)}, {clock_time(value)}"


@register.filter
def clock_time(value: dt.datetime | None) -> str:
    """ "12:03 CET": the time of day alone, with its zone; empty for nothing."""
    if value is None or value == "":
        return ""
    return f"{format_time(_local(value), 'HH:mm', locale=reader_locale())} {zone_name(value)}"


@register.filter
def zone_name(value: dt.datetime) -> str:
    """ "CET", or "UTC" and the hours where the language has no short name for the zone."""
    local = _local(value)
    variant: Literal["daylight", "standard"] = "daylight" if _is_summer_time(local) else "standard"
    name = get_timezone_name(local, "short", locale=reader_locale(), zone_variant=variant)
    if name[:1] not in "+-":
        return name
    hours, minutes = name[1:3].lstrip("0") or "0", name[3:5]
    sign = "\N{MINUS SIGN}" if name[0] == "-" else "+"
    return f"UTC{sign}{hours}" + (f":{minutes}" if minutes.strip("0") else "")


def _is_summer_time(local: dt.datetime) -> bool:
    """Whether the clock is ahead of where it stands in the other half of the year.

    Not by the zone's own flag: Ireland's law calls summer the standard and winter the exception.
    """
    offsets = [local.replace(month=month, day=1).utcoffset() or dt.timedelta() for month in (1, 7)]
    return local.utcoffset() == max(offsets) != min(offsets)


@register.simple_tag
def when(value: dt.datetime | None, shape: str = "moment") -> str:
    """`{% when at %}` or `{% when at "day" %}`: the same text inside `<time datetime=...>`."""
    if value is None or value == "":
        return ""
    text = {"moment": moment, "day": day, "weekday": weekday, "time": clock_time}[shape](value)
    if shape in ("moment", "time"):
        text = NO_BREAK.join(text.rsplit(" ", 1))  # a zone alone on the next line says nothing
    return format_html('<time datetime="{}">{}</time>', _local(value).isoformat(timespec="seconds"), text)


@register.filter
def number(value: int | float | Decimal) -> str:
    """ "12,345" in English, "12.345" in Spanish."""
    return format_decimal(value, locale=reader_locale())


@register.simple_tag
def company_name() -> str:
    """The company that runs this installation."""
    return str(settings.COMPANY_NAME)


@register.simple_tag
def support_email() -> str:
    """Where people reach people."""
    return str(settings.SUPPORT_EMAIL)


@register.simple_tag
def site_url() -> str:
    """The address of this installation, without a slash at its end."""
    return str(settings.SITE_URL)
