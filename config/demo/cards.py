"""Test cards, one for each customer: a card that had a voluntary refund gets none for another account."""

import secrets


def card_number() -> str:
    """A number of its own that the sandbox takes as it takes 4242 4242 4242 4242, down to the last digits."""
    drawn = f"{secrets.randbelow(100_000):05d}"
    numbers = (f"424242{drawn}{check}4242" for check in range(10))
    return next(number for number in numbers if _is_valid(number))


def _is_valid(number: str) -> bool:
    """The checksum of card numbers (Luhn)."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0
