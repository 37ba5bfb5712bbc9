"""From which renewal a price holds: on any day, in any zone, never before the windows of its notices."""

import datetime as dt
import zoneinfo
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.law.windows import days_before
from billing import periods
from billing.price_rules import (
    LAST_CALL,
    OWN_DAYS,
    TELL_PROVIDER,
    PriceFacts,
    Reader,
    decide_price,
    first_renewal,
    mails_for,
    place_of,
    renewals_ahead,
    unsaid,
    windows_of,
)

pytestmark = pytest.mark.once

UTC = dt.UTC
ZONES = ("Europe/Madrid", "America/New_York", "Pacific/Auckland", "America/Sao_Paulo", "Asia/Kolkata", "UTC")
START, DAY = dt.datetime(2024, 1, 1, tzinfo=UTC), dt.timedelta(days=1)
moments = st.integers(0, 12 * 366 * 86400).map(lambda seconds: START + dt.timedelta(seconds=seconds))
readers = st.builds(
    Reader,
    st.sampled_from(("ES", "US", "DE", "CA", "GB")),
    st.sampled_from(("consumer", "business")),
    st.sampled_from(ZONES).map(zoneinfo.ZoneInfo),
)
rhythms = st.sampled_from(("month", "year"))


@settings(max_examples=300, deadline=None)
@given(moments, st.integers(0, 40), st.integers(0, 14))
def test_renewals_are_counted_as_the_provider_counts_them(anchor, n, later):
    begin, end = (periods.period_end(anchor, k, "month") for k in (n, n + 1))
    ahead = list(islice(renewals_ahead(begin, end, "month"), later + 1))

    assert ahead[later] == periods.period_end(anchor, n + 1 + later, "month")


@settings(max_examples=200, deadline=None)
@given(moments, st.integers(0, 3), st.integers(0, 3))
def test_so_are_those_of_years_but_for_a_leap_day(anchor, n, later):
    begin, end = (periods.period_end(anchor, k, "year") for k in (n, n + 1))
    ahead = list(islice(renewals_ahead(begin, end, "year"), later + 1))
    off = abs(ahead[later] - periods.period_end(anchor, n + 1 + later, "year"))

    assert off <= (DAY if (anchor.month, anchor.day) == (2, 29) else 0 * DAY)


@settings(max_examples=500, deadline=None)
@given(
    moments, rhythms, st.integers(0, 400), st.integers(-30, 400), readers, st.booleans(), st.booleans(),
    st.lists(st.integers(-90, 0), max_size=3), st.data(),
)  # fmt: skip
def test_a_rise_is_never_before_its_notices(
    begun, rhythm, passed, ahead, reader, is_strict, is_late, told, data
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.conf.settings.LAW_STRICT", is_strict)
        end = periods.period_end(begun, 1, rhythm)
        at = min(begun + passed * DAY, end)
        sent = [at + days * DAY for days in told]
        since = at + ahead * DAY
        found = first_renewal(
            renewals_ahead(begun, end, rhythm), reader, since=since, at=at, is_rise=True, sent=sent
        )
        assert found is not None
        assert found >= since
        assert found - LAST_CALL > at
        assert place_of(found, begun, end, rhythm) in ("next", "later")
        letters = mails_for(found, reader, at=at, is_rise=True, was_told=bool(sent))
        for letter in letters:
            assert at <= letter.window_from <= letter.window_to < found
        # Whether each leaves at once or at the very last moment, every window is kept.
        leave = [letter.window_to if is_late else letter.window_from for letter in letters]
        assert not unsaid(windows_of(found, reader), [*sent, *leave])
        own = days_before(found, OWN_DAYS, reader.zone)
        assert any(moment <= own for moment in [*sent, *leave])
        # And without any one that a window needs, the provider is never told.
        kept = data.draw(st.lists(st.sampled_from(leave), unique=True)) if leave else []
        left = unsaid(windows_of(found, reader), [*sent, *kept])
        now = data.draw(st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2040, 1, 1))).replace(tzinfo=UTC)
        facts = PriceFacts(
            takes_at=found, is_rise=True, is_set=False, place="next", on_plan="old", unsaid=left
        )
        for moment in (now, found - 3 * DAY, found - TELL_PROVIDER, found - LAST_CALL, found):
            is_told = decide_price(facts, at=moment).what == "tell"
            is_time = found - TELL_PROVIDER <= moment < found - LAST_CALL
            assert is_told == (is_time and not left)


@pytest.mark.parametrize(
    ("change", "at", "expected"),
    [
        ({}, -10, "wait"),
        ({}, -3, "tell"),
        ({"waits": "unpaid"}, -3, "wait"),
        ({"waits": "unpaid"}, -0.05, "drop unpaid"),
        ({"waits": "held"}, -0.05, "drop held"),
        ({}, -0.05, "drop late"),
        ({"is_set": True}, -0.05, "wait"),
        ({"is_set": True}, 0.5, "wait"),
        ({"is_set": True, "place": "past", "on_plan": "new"}, 1, "done"),
        ({"is_set": True, "place": "past"}, 1, "drop late"),
        ({"is_set": True, "place": "moved"}, -3, "drop moved"),
        ({"is_leaving": True}, -3, "drop leaving"),
        ({"is_live": False}, -3, "drop ended"),
        ({"is_withdrawn": True}, -3, "drop withdrawn"),
        ({"on_plan": "other"}, -3, "drop plan_changed"),
        ({"on_plan": "new"}, -3, "drop plan_changed"),
        ({"place": "later"}, -3, "wait"),
    ],
)
def test_what_becomes_of_a_planned_price(change, at, expected):
    facts = PriceFacts(**{
        "takes_at": START, "is_rise": True, "is_set": False, "place": "next", "on_plan": "old", **change
    })  # fmt: skip
    verdict = decide_price(facts, at=START + at * DAY)

    assert f"{verdict.what} {verdict.reason}".strip() == expected
    assert (verdict.at is not None) == (verdict.what == "wait")
