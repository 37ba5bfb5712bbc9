"""Calendar arithmetic against the calendar: month ends, leap days, and clock changes in eight zones."""

import calendar
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.periods import Interval, add_local_days, add_months, end_of_date, end_of_local_day, period_end

pytestmark = pytest.mark.once

# Zones that change clocks by an hour, half an hour, at midnight, or not at all; one that lost a day.
ZONES = (
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",
    "America/Nuuk",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
)
zones = st.sampled_from(ZONES)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2036, 12, 31), timezones=st.just(UTC))


def at(text: str, zone: str = "UTC", *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


# Months from the anchor


def test_a_month_from_the_31st_goes_by_short_months_and_comes_back():
    ends = [period_end(at("2026-01-31T10:00:00"), n, Interval.MONTH).date() for n in range(5)]

    assert [end.isoformat() for end in ends] == [
        "2026-01-31",
        "2026-02-28",
        "2026-03-31",
        "2026-04-30",
        "2026-05-31",
    ]


def test_a_leap_year_gives_february_its_29th():
    assert period_end(at("2028-01-31T10:00:00"), 1, "month").date() == date(2028, 2, 29)


def test_a_year_from_29_february_ends_on_the_28th_until_the_next_leap_year():
    anchor = at("2024-02-29T08:30:00")

    days = [period_end(anchor, n, "year").date().isoformat() for n in (1, 2, 4)]

    assert days == ["2025-02-28", "2026-02-28", "2028-02-29"]


@pytest.mark.parametrize(
    ("interval", "count", "end"),
    [
        ("day", 10, "2026-01-25"),
        ("week", 2, "2026-01-29"),
        ("month", 3, "2026-04-15"),
        ("year", 2, "2028-01-15"),
    ],
)
def test_a_period_may_be_several_intervals_long(interval: str, count: int, end: str):
    assert period_end(at("2026-01-15T00:00:00"), 1, interval, count).date().isoformat() == end


def test_the_wall_clock_of_a_named_zone_is_kept_across_a_clock_change():
    end = period_end(at("2026-03-15T09:00:00", "Europe/Madrid"), 1, "month")

    assert end == at("2026-04-15T09:00:00", "Europe/Madrid")
    assert end.utcoffset() == timedelta(0)


def test_no_period_later_is_the_anchor_even_where_the_clock_shows_it_twice():
    anchor = at("2026-10-25T02:30:00", "Europe/Madrid", fold=0)

    assert period_end(anchor, 0, "month") == anchor.astimezone(UTC)


def test_an_unknown_interval_is_refused():
    with pytest.raises(ValueError, match="fortnight"):
        period_end(at("2026-01-01T00:00:00"), 1, "fortnight")


def test_a_moment_without_a_zone_or_with_a_bare_offset_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        period_end(datetime(2026, 1, 1), 1, "month")
    with pytest.raises(ValueError, match="fixed offset"):
        period_end(datetime.fromisoformat("2026-01-01T00:00:00+02:00"), 1, "month")


@given(moments, st.integers(0, 240))
def test_a_month_end_is_the_anchors_day_or_the_months_last(anchor: datetime, n: int):
    end = period_end(anchor, n, "month")

    last = calendar.monthrange(end.year, end.month)[1]
    assert end.day == min(anchor.day, last)
    assert (end.year * 12 + end.month) - (anchor.year * 12 + anchor.month) == n
    assert end.timetz() == anchor.timetz()


@given(moments, st.integers(0, 240))
def test_periods_follow_each_other_without_gap_or_overlap(anchor: datetime, n: int):
    length = period_end(anchor, n + 1, "month") - period_end(anchor, n, "month")

    assert timedelta(days=28) <= length <= timedelta(days=31)


@given(moments, st.integers(0, 20))
def test_twelve_months_are_a_year(anchor: datetime, years: int):
    assert period_end(anchor, 12 * years, "month") == period_end(anchor, years, "year")


@given(st.dates(date(2000, 1, 1), date(2036, 1, 1)), st.integers(0, 120), st.integers(1, 120))
def test_more_months_are_always_later(day: date, months: int, more: int):
    assert add_months(day, months + more) > add_months(day, months)


# Ends of local days


@settings(max_examples=500)
@given(moments, zones)
def test_the_end_of_a_local_day_is_the_last_second_of_that_date(moment: datetime, zone: str):
    end = end_of_local_day(moment, zone)

    today = moment.astimezone(ZoneInfo(zone)).date()
    assert (end + timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() > today
    assert (end - timedelta(hours=1)).astimezone(ZoneInfo(zone)).date() == today
    assert end + timedelta(seconds=1) > moment


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_thirty_years_ends_once_and_in_order(zone: str):
    days = [date(2000, 1, 1) + timedelta(days=n) for n in range(30 * 365)]

    ends = [end_of_date(day, zone) for day in days]

    lengths = {later - earlier for earlier, later in pairwise(ends)}
    assert min(lengths) >= timedelta(hours=22)
    assert max(lengths) <= timedelta(hours=26)
    assert (len(lengths) == 1) == (zone == "Asia/Kathmandu")


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Madrid", "2026-03-29", 23),
        ("Europe/Madrid", "2026-10-25", 25),
        ("America/New_York", "2026-03-08", 23),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Asia/Kathmandu", "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(zone: str, day: str, hours: float):
    today = date.fromisoformat(day)

    length = end_of_date(today, zone) - end_of_date(today - timedelta(days=1), zone)

    assert length == timedelta(hours=hours)


def test_midnight_that_comes_twice_ends_the_day_the_second_time():
    end = end_of_date(date(2023, 10, 28), "Asia/Beirut")

    # In UTC: times that a zone shows twice never compare equal across zones.
    assert end == at("2023-10-28T23:59:59", "Asia/Beirut", fold=1).astimezone(UTC)
    assert end - timedelta(hours=1) == at("2023-10-28T23:59:59", "Asia/Beirut", fold=0).astimezone(UTC)


def test_a_swallowed_last_second_counts_for_the_customer():
    end = end_of_date(date(2024, 3, 30), "America/Nuuk")

    assert end == at("2024-03-31T00:59:59", "America/Nuuk")


def test_a_date_that_a_country_skipped_ends_with_the_next_one():
    assert end_of_date(date(2011, 12, 30), "Pacific/Apia") == end_of_date(date(2011, 12, 31), "Pacific/Apia")


# Days in a local calendar


@settings(max_examples=500)
@given(moments, st.integers(-400, 400), zones)
def test_local_days_keep_the_wall_clock_unless_it_was_swallowed(moment: datetime, days: int, zone: str):
    there = moment.astimezone(ZoneInfo(zone))

    local = add_local_days(moment, days, zone).astimezone(ZoneInfo(zone))

    wanted = there.replace(tzinfo=None) + timedelta(days=days)
    drift = local.replace(tzinfo=None) - wanted
    assert drift in {timedelta(0), timedelta(minutes=30), timedelta(hours=1)}


@given(moments, st.integers(0, 400), zones)
def test_local_days_end_on_the_date_counted_on_a_calendar(moment: datetime, days: int, zone: str):
    end = end_of_local_day(add_local_days(end_of_local_day(moment, zone), days, zone), zone)

    assert end >= end_of_date(moment.astimezone(ZoneInfo(zone)).date() + timedelta(days=days), zone)


def test_a_day_across_the_spring_change_is_23_hours():
    start = at("2026-03-28T12:00:00", "Europe/Madrid")

    assert add_local_days(start, 1, "Europe/Madrid") - start.astimezone(UTC) == timedelta(hours=23)


def test_no_days_later_is_the_same_moment_even_where_the_clock_shows_it_twice():
    first = at("2026-10-25T02:30:00", "Europe/Madrid", fold=0)

    assert add_local_days(first, 0, "Europe/Madrid") == first.astimezone(UTC)


def test_a_moment_without_a_zone_has_no_local_day():
    with pytest.raises(ValueError, match="no time zone"):
        end_of_local_day(datetime(2026, 1, 1), "Europe/Madrid")
