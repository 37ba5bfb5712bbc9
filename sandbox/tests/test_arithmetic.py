"""The pure rules: calendar, proration, splitting, discounts, taxes."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import periods, pricing

MOMENTS = st.integers(min_value=1_500_000_000, max_value=1_900_000_000)


def moment(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("anchor", "interval", "count", "expected"),
    [
        ("2026-01-31", "month", 1, "2026-02-28"),
        ("2026-01-31", "month", 2, "2026-03-31"),
        ("2027-10-31", "month", 4, "2028-02-29"),
        ("2028-02-29", "year", 1, "2029-02-28"),
        ("2028-02-29", "year", 4, "2032-02-29"),
        ("2026-03-28", "week", 1, "2026-04-04"),
        ("2026-12-31", "day", 1, "2027-01-01"),
    ],
)
def test_months_keep_the_anchors_day_where_it_exists(
    anchor: str, interval: str, count: int, expected: str
) -> None:
    assert periods.add_interval(moment(anchor), interval, count) == moment(expected)


@given(MOMENTS, MOMENTS, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 12))
def test_every_moment_lies_in_exactly_one_period(anchor: int, at: int, interval: str, count: int) -> None:
    start = periods.previous_boundary(anchor, interval, count, at)
    end = periods.next_boundary(anchor, interval, count, at)

    assert start <= at < end
    assert periods.next_boundary(anchor, interval, count, start) == end
    assert periods.previous_boundary(anchor, interval, count, end) == end


@given(st.integers(0, 10**9), MOMENTS, st.integers(1, 40_000_000), st.integers(0, 40_000_000))
def test_used_and_unused_time_add_up(amount: int, start: int, length: int, used: int) -> None:
    at = start + min(used, length)
    unused = pricing.prorate(amount, start, start + length, at)

    assert 0 <= unused <= amount
    assert abs(unused * length - amount * (start + length - at)) * 2 <= length


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_a_split_loses_no_cent(total: int, weights: list[int]) -> None:
    parts = pricing.split(total, weights)

    assert sum(parts) == (total if sum(weights) else 0)


def line(amount: int, discountable: bool = True) -> dict[str, Any]:
    return {"amount": amount, "discountable": discountable, "discount_amounts": [], "taxes": []}


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=8), st.integers(1, 10**8))
def test_an_amount_off_takes_at_most_what_is_there(amounts: list[int], off: int) -> None:
    lines = [line(amount) for amount in amounts]

    pricing.discount_lines(lines, [("di_1", {"amount_off": off, "percent_off": None})])

    taken = sum(cut["amount"] for entry in lines for cut in entry["discount_amounts"])
    assert taken == min(off, sum(amounts))
    assert pricing.totals(lines)["total"] == sum(amounts) - taken


@given(st.integers(0, 10**8), st.integers(0, 30))
def test_an_inclusive_tax_never_changes_the_total(amount: int, percent: int) -> None:
    entry = line(amount)

    pricing.tax_line(entry, [{"id": "txr_1", "percentage": float(percent), "inclusive": True}])

    sums = pricing.totals([entry])
    assert sums["total"] == amount
    assert sums["total_excluding_tax"] + entry["taxes"][0]["amount"] == amount
