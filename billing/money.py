"""Money as integer minor units: how many decimals, what can be paid out, how to divide them.

Currencies are ISO 4217 codes in upper case. An amount is what the provider calls an amount: cents for EUR,
yen for JPY, fils for KWD. Formatting for people lives elsewhere. Source of the currency lists:
https://docs.stripe.com/currencies (zero-decimal, three-decimal, special cases).
"""

from collections.abc import Sequence
from enum import StrEnum

ZERO_DECIMAL = frozenset(
    {
        *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
        *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
    }
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# Without decimals in real life, but the provider keeps writing them with two, which must be 00.
WHOLE_UNITS_WITH_TWO_DECIMALS = frozenset({"ISK", "UGX"})


class Rounding(StrEnum):
    """Which way a fraction of a minor unit goes."""

    UP = "up"
    DOWN = "down"
    NEAREST = "nearest"


def exponent(currency: str) -> int:
    """Decimals of the provider's amounts in `currency`: 0, 2 or 3."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def smallest_step(currency: str) -> int:
    """Minor units that every amount moved by card must be a multiple of.

    Three-decimal currencies end in 0 (the card networks carry two decimals), ISK and UGX end in 00.
    """
    if currency in WHOLE_UNITS_WITH_TWO_DECIMALS:
        return 100
    return 10 if currency in THREE_DECIMAL else 1


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Integer quotient, rounded by value as stated: UP of -1/2 is 0; NEAREST takes halves up."""
    if denominator <= 0:
        raise ValueError(f"denominator must be positive, not {denominator}")
    match rounding:
        case Rounding.UP:
            return -(-numerator // denominator)
        case Rounding.DOWN:
            return numerator // denominator
        case Rounding.NEAREST:
            return (2 * numerator + denominator) // (2 * denominator)


def round_up(amount: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `amount`."""
    return divide(amount, step, Rounding.UP) * step


def round_down(amount: int, step: int) -> int:
    """The largest multiple of `step` that is not above `amount`."""
    return divide(amount, step, Rounding.DOWN) * step


def prorate(amount: int, part_seconds: int, whole_seconds: int, rounding: Rounding = Rounding.NEAREST) -> int:
    """`amount` x part / whole in minor units: multiplied first, divided once, rounded as stated.

    The default rounds to the nearest unit, halves up, as the provider does on invoice lines. Raises
    ValueError unless 0 <= part <= whole and whole > 0.
    """
    if not 0 <= part_seconds <= whole_seconds:
        raise ValueError(f"part must lie between 0 and {whole_seconds} seconds, not {part_seconds}")
    return divide(amount * part_seconds, whole_seconds, rounding)


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide `amount` in proportion to `weights` (none negative) so that the shares sum to it exactly.

    Largest remainder: each share is within one unit of its exact value, and what is left over goes to the
    largest fractions, the first of equals first. With 0 <= amount <= sum(weights) none exceeds its weight.
    """
    if any(weight < 0 for weight in weights):
        raise ValueError(f"weights must not be negative: {list(weights)}")
    whole = sum(weights)
    if whole == 0:
        if amount:
            raise ValueError(f"{amount} cannot be split: every weight is zero")
        return [0] * len(weights)
    if amount < 0:
        return [-share for share in split(-amount, weights)]
    shares = [amount * weight // whole for weight in weights]
    by_fraction = sorted(range(len(weights)), key=lambda i: -(amount * weights[i] % whole))
    for i in by_fraction[: amount - sum(shares)]:
        shares[i] += 1
    return shares
