"""The reminders before a charge keep every window of the law, on every date and in every zone."""

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.law import NOTICE_RULES, EventKind, broken_rules, notice_windows, reminder_days, rules_for

pytestmark = pytest.mark.once

ZONES = (
    *(
        "UTC",
        "Europe/Madrid",
        "America/New_York",
        "America/Los_Angeles",
        "America/St_Johns",
        "Asia/Kathmandu",
    ),
    "Asia/Kathmandu",
    *("Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "America/Sao_Paulo", "Africa/Casablanca"),
)
moments = st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2055, 12, 31)).map(
    lambda moment: moment.replace(tzinfo=dt.UTC)
)
zones = st.sampled_from(ZONES).map(zoneinfo.ZoneInfo)
STRICT = ("ES", "consumer")
SLACK = {EventKind.ANNUAL_RENEWAL: 14, EventKind.PRICE_RISE: 14}  # days; of others: 3
DAY = dt.timedelta(days=1)


def is_inside(moment, window):
    return (window.window_from is None or window.window_from <= moment) and moment <= window.window_to


def kept_by(reminders, windows, *, late=dt.timedelta(0)):
    """The rules that are kept by mails which leave so long after their first moment."""
    return {
        rule
        for window in windows
        for reminder in reminders
        for rule in window.rule_ids
        if is_inside(reminder.window_from + late, window)
    }


@given(st.sampled_from(EventKind), moments, zones)
def test_the_reminders_keep_every_window_and_have_days_to_spare(event, moment, zone):
    windows = notice_windows(event, *STRICT, moment, zone)
    reminders = reminder_days(event, *STRICT, moment, zone)
    wanted = {rule for window in windows for rule in window.rule_ids}
    slack = SLACK.get(event, 3) * DAY

    assert wanted
    assert kept_by(reminders, windows) == wanted
    assert {rule for reminder in reminders for rule in reminder.rule_ids} == wanted
    assert broken_rules(event, *STRICT, moment, zone) == ()
    # An hour less or more, where the clocks changed in between.
    assert all(r.window_to - r.window_from >= slack - DAY / 12 for r in reminders)
    for reminder in reminders:
        for window in windows:
            if set(window.rule_ids) & set(reminder.rule_ids):
                assert is_inside(reminder.window_from, window)
                assert is_inside(reminder.window_to, window)


@given(moments, zones, st.integers(8, 90))
def test_a_trial_with_a_card_of_eight_days_or_more_keeps_them_all(start, zone, days):
    end = start + days * DAY
    about = {"length_days": days, "starts_at": start}
    windows = notice_windows("trial_end_with_card", *STRICT, end, zone, length_days=days)
    reminders = reminder_days("trial_end_with_card", *STRICT, end, zone, **about)

    assert broken_rules("trial_end_with_card", *STRICT, end, zone, **about) == ()
    assert kept_by(reminders, windows) == {rule for window in windows for rule in window.rule_ids}
    assert all(start <= reminder.window_from <= reminder.window_to <= end for reminder in reminders)


def test_a_week_is_too_short_for_the_card_networks():
    start = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
    zone, end = zoneinfo.ZoneInfo("UTC"), start + 6 * DAY
    about = {"length_days": 6, "starts_at": start}

    assert broken_rules("trial_end_with_card", *STRICT, end, zone, **about) == ("visa",)
    assert [r.days for r in reminder_days("trial_end_with_card", *STRICT, end, zone, **about)] == [10]


@pytest.mark.parametrize(
    ("event", "days"),
    [("trial_end_with_card", [10, 6]), ("free_period_end", [10, 6]), ("annual_renewal", [45, 25])],
)
def test_the_days_are_those_of_the_law_page(event, days):
    moment = dt.datetime(2026, 12, 1, 9, tzinfo=dt.UTC)

    found = reminder_days(event, "ES", "consumer", moment, zoneinfo.ZoneInfo("Europe/Madrid"))

    assert [reminder.days for reminder in found] == days


def test_a_day_is_the_accounts_own_day_across_a_change_of_clocks():
    zone = zoneinfo.ZoneInfo("Europe/Madrid")
    end = dt.datetime(2026, 4, 1, 9, tzinfo=zone)  # the clocks went forward on 29 March
    first = reminder_days("trial_end_with_card", "ES", "consumer", end, zone)[0]

    assert first.window_from.astimezone(zone) == dt.datetime(2026, 3, 22, 9, tzinfo=zone)
    assert first.window_from.tzinfo is dt.UTC


@pytest.mark.parametrize(
    ("day", "country", "kind", "strict", "expected"),
    [
        ("2026-12-01", "ES", "consumer", False, {"es-ley-10-2025"}),
        ("2026-12-01", "ES", "business", False, set()),
        ("2026-12-01", "us", "consumer", False, {"us-ca-arl", "us-ny", "us-ma"}),
        ("2026-12-01", "FR", "consumer", False, set()),
        ("2025-12-27", "ES", "consumer", False, set()),
        ("2027-03-31", "GB", "consumer", False, set()),
        ("2027-04-01", "GB", "consumer", False, {"uk-dmcc"}),
        ("2026-12-01", "FR", "business", True, {"es-ley-10-2025", "us-ca-arl", "us-ny", "us-ma"}),
    ],
)
def test_who_is_protected_where_and_since_when(day, country, kind, strict, expected):
    found = rules_for("annual_renewal", country, kind, dt.date.fromisoformat(day), strict=strict)

    assert {rule.id for rule in found} == expected


def test_the_operator_who_configures_nothing_is_strict(settings):
    about = ("annual_renewal", "FR", "business", dt.date(2026, 12, 1))

    assert len(rules_for(*about)) == 4
    settings.LAW_STRICT = False
    assert rules_for(*about) == []


def test_every_rule_says_where_it_comes_from_and_none_is_there_twice():
    keys = [(rule.id, rule.event) for rule in NOTICE_RULES]

    assert len(set(keys)) == len(keys)
    assert all(rule.source for rule in NOTICE_RULES)
    assert all(rule.first_day is None or rule.first_day >= rule.last_day > 0 for rule in NOTICE_RULES)
    assert {rule.id for rule in NOTICE_RULES if rule.verified_on is None} == {
        "us-ny",
        "ca-qc",
        "mastercard",
        "uk-dmcc",
    }
