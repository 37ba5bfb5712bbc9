"""Amounts, days and moments as people read them."""

import datetime as dt
import zoneinfo
from decimal import Decimal

import pytest
from django.template import engines
from django.utils import timezone, translation

from accounts.templatetags.terms_format import (
    clock_time,
    day,
    exponent,
    format_money,
    moment,
    near_day,
    number,
    weekday,
    zone_name,
)

NOON = dt.datetime(2026, 11, 3, 12, 3, tzinfo=dt.UTC)


def in_zone(name: str) -> timezone.override:
    return timezone.override(zoneinfo.ZoneInfo(name))


@pytest.mark.parametrize(
    ("amount", "currency", "english", "spanish"),
    [
        (1250, "EUR", "€12.50", "12,50 €"),
        (0, "EUR", "€0.00", "0,00 €"),
        (5, "eur", "€0.05", "0,05 €"),
        (-123450, "USD", "−US$1,234.50", "−1.234,50 US$"),
        (500, "JPY", "JP¥500", "500 JPY"),
        (12345, "RSD", "RSD 123.45", "123,45 RSD"),
        (1234, "KWD", "KWD 1.234", "1,234 KWD"),
        (120000, "ISK", "ISK 1,200", "1.200 ISK"),
        (120050, "ISK", "ISK 1,200.50", "1.200,50 ISK"),
    ],
)
def test_an_amount_is_written_as_its_reader_writes_it(
    amount: int, currency: str, english: str, spanish: str
) -> None:
    with translation.override("en"):
        assert format_money(amount, currency).replace("\xa0", " ") == english
    with translation.override("es"):
        assert format_money(amount, currency).replace("\xa0", " ") == spanish


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "RSD", "MMK", "HUF", "CLP", "TND"])
def test_no_amount_loses_or_gains_a_digit(currency: str) -> None:
    with translation.override("en"):
        digits = "".join(c for c in format_money(1234567, currency) if c.isdigit() or c == ".")

    assert Decimal(digits).scaleb(exponent(currency)) == 1234567


def test_a_day_is_the_day_in_the_readers_zone() -> None:
    late = dt.datetime(2026, 11, 3, 23, 30, tzinfo=dt.UTC)

    with in_zone("Europe/Madrid"):
        assert day(late) == "4 November 2026"
    with in_zone("America/New_York"):
        assert day(late) == "3 November 2026"


def test_a_date_is_the_same_day_everywhere() -> None:
    with in_zone("Asia/Tokyo"):
        assert day(dt.date(2026, 11, 3)) == "3 November 2026"


def test_a_moment_names_its_zone_in_both_languages() -> None:
    with in_zone("Europe/Madrid"), translation.override("es"):
        assert moment(NOON) == "3 de noviembre de 2026, 13:03 CET"
    with in_zone("Europe/Madrid"):
        assert moment(NOON) == "3 November 2026, 13:03 CET"
        assert clock_time(NOON) == "13:03 CET"
        assert weekday(NOON) == "Tuesday, 3 November 2026"
        assert near_day(NOON.date()) == "Tue 3 Nov"


def test_the_hour_that_happens_twice_is_told_apart_by_its_zone() -> None:
    summer = dt.datetime(2026, 10, 25, 0, 30, tzinfo=dt.UTC)

    with in_zone("Europe/Madrid"):
        assert moment(summer) == "25 October 2026, 02:30 CEST"
        assert moment(summer + dt.timedelta(hours=1)) == "25 October 2026, 02:30 CET"


@pytest.mark.parametrize(
    ("zone", "winter", "summer"),
    [
        ("Europe/Dublin", "GMT", "UTC+1"),  # Irish law calls the summer standard
        ("Europe/London", "GMT", "BST"),
        ("Asia/Kolkata", "UTC+5:30", "UTC+5:30"),
        ("Australia/Sydney", "UTC+11", "UTC+10"),
    ],
)
def test_summer_time_is_told_by_the_clock(zone: str, winter: str, summer: str) -> None:
    with in_zone(zone):
        assert zone_name(dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)) == winter
        assert zone_name(dt.datetime(2026, 8, 31, 12, tzinfo=dt.UTC)) == summer


@pytest.mark.parametrize(
    ("zone", "name"), [("America/Sao_Paulo", "UTC−3"), ("Asia/Kolkata", "UTC+5:30"), ("UTC", "UTC")]
)
def test_a_zone_without_a_short_name_is_told_by_its_hours(zone: str, name: str) -> None:
    with in_zone(zone), translation.override("es"):
        assert zone_name(NOON) == name


def test_nothing_is_shown_for_no_date() -> None:
    assert [shape(None) for shape in (day, weekday, moment, clock_time)] == ["", "", "", ""]


def test_a_page_marks_moments_up_for_machines() -> None:
    source = '{% load terms_format %}{% when at "day" %}|{% when none %}|{% money 1250 "EUR" as m %}{{ m }}'
    with in_zone("Europe/Madrid"):
        html = engines["django"].from_string(source).render({"at": NOON, "none": None})

    assert html == '<time datetime="2026-11-03T13:03:00+01:00">3 November 2026</time>||€12.50'


def test_a_count_is_grouped_as_its_reader_groups_it() -> None:
    assert number(1234567) == "1,234,567"
    with translation.override("es"):
        assert number(1234567) == "1.234.567"
