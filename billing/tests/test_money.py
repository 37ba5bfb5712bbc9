"""Minor units, payable steps, and dividing without losing one."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.money import Rounding, divide, exponent, prorate, round_down, round_up, smallest_step, split

amounts = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(
    ("currency", "decimals", "step"),
    [
        ("EUR", 2, 1),
        ("USD", 2, 1),
        ("JPY", 0, 1),
        ("CLP", 0, 1),
        ("XOF", 0, 1),
        ("KWD", 3, 10),
        ("TND", 3, 10),
        ("ISK", 2, 100),
        ("UGX", 2, 100),
        ("HUF", 2, 1),
    ],
)
def test_a_currency_has_its_decimals_and_its_payable_step(currency: str, decimals: int, step: int):
    assert exponent(currency) == decimals
    assert smallest_step(currency) == step


@pytest.mark.parametrize(
    ("rounding", "of_half", "of_minus_half"),
    [(Rounding.UP, 1, 0), (Rounding.DOWN, 0, -1), (Rounding.NEAREST, 1, 0)],
)
def test_halves_go_where_the_rounding_says(rounding: Rounding, of_half: int, of_minus_half: int):
    assert divide(1, 2, rounding) == of_half
    assert divide(-1, 2, rounding) == of_minus_half


def test_dividing_by_nothing_is_refused():
    with pytest.raises(ValueError, match="positive"):
        divide(1, 0, Rounding.UP)


@given(amounts, st.integers(1, 10**8))
def test_the_three_roundings_enclose_the_exact_value(numerator: int, denominator: int):
    exact = Fraction(numerator, denominator)

    down, up = divide(numerator, denominator, Rounding.DOWN), divide(numerator, denominator, Rounding.UP)
    nearest = divide(numerator, denominator, Rounding.NEAREST)

    assert down <= exact <= up <= down + 1
    assert abs(nearest - exact) <= Fraction(1, 2)


@given(amounts, st.sampled_from([1, 10, 100]))
def test_steps_round_by_less_than_one_step(amount: int, step: int):
    assert 0 <= round_up(amount, step) - amount < step
    assert 0 <= amount - round_down(amount, step) < step
    assert round_up(amount, step) % step == round_down(amount, step) % step == 0


def test_a_third_of_ten_euros_is_rounded_once_at_the_end():
    assert prorate(1000, 10, 30) == 333
    assert prorate(1000, 10, 30, Rounding.UP) == 334
    assert prorate(1000, 20, 30, Rounding.DOWN) == 666


@pytest.mark.parametrize(("part", "whole"), [(-1, 30), (31, 30), (0, 0)])
def test_a_part_outside_its_whole_is_refused(part: int, whole: int):
    with pytest.raises(ValueError):
        prorate(1000, part, whole)


@given(st.integers(0, 10**12), st.integers(1, 10**8), st.data())
def test_used_up_and_unused_down_make_the_whole(amount: int, whole: int, data: st.DataObject):
    part = data.draw(st.integers(0, whole))

    used = prorate(amount, part, whole, Rounding.DOWN)
    unused = prorate(amount, whole - part, whole, Rounding.UP)

    assert used + unused == amount


def test_what_is_left_over_goes_to_the_largest_fractions():
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(10, [3, 3, 1]) == [4, 4, 2]
    assert split(-100, [1, 1, 1]) == [-34, -33, -33]


def test_nothing_can_be_split_among_nobody():
    assert split(0, []) == []
    assert split(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="every weight is zero"):
        split(5, [0, 0])
    with pytest.raises(ValueError, match="negative"):
        split(5, [2, -1])


@given(amounts, st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any))
def test_shares_sum_to_the_amount_and_stay_within_one_unit(amount: int, weights: list[int]):
    shares = split(amount, weights)

    assert sum(shares) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - Fraction(amount * weight, sum(weights))) < 1
        assert weight or not share


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12).filter(any), st.data())
def test_no_share_is_above_its_weight_when_there_is_enough(weights: list[int], data: st.DataObject):
    amount = data.draw(st.integers(0, sum(weights)))

    shares = split(amount, weights)

    assert all(share <= weight for share, weight in zip(shares, weights, strict=True))
