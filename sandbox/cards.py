"""Stripe's published test cards and the test ids that stand for them: https://docs.stripe.com/testing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sandbox.errors import Doc


@dataclass(frozen=True)
class Card:
    """How a test card behaves.

    `decline` is (code, decline_code); `auth` is never, setup, on_session or always.
    """

    number: str
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    decline: tuple[str, str | None] | None = None
    attaches: bool = True
    auth: str = "never"
    refund: str = "succeeded"
    dispute: str | None = None
    names: tuple[str, ...] = field(default=())


def _declined(number: str, code: str, decline_code: str | None, *names: str, **more: object) -> Card:
    return Card(number, decline=(code, decline_code), attaches=False, names=names, **more)  # type: ignore[arg-type]


CARDS = (
    Card("4242424242424242", names=("visa",)),
    Card("4000056655665556", funding="debit", names=("visa_debit",)),
    Card("5555555555554444", brand="mastercard", names=("mastercard",)),
    Card("5200828282828210", brand="mastercard", funding="debit", names=("mastercard_debit",)),
    Card("5105105105105100", brand="mastercard", funding="prepaid", names=("mastercard_prepaid",)),
    Card("378282246310005", brand="amex", names=("amex",)),
    Card("6011111111111117", brand="discover", names=("discover",)),
    Card("4000002760000016", country="DE", names=("de",)),
    Card("4000002500001001", country="FR", names=("fr",)),
    Card("4000007240000007", country="ES", names=("es",)),
    Card("4000008260000000", country="GB", names=("gb",)),
    Card("4000000000000077", names=("bypassPending",)),
    _declined(
        "4000000000000002", "card_declined", "generic_decline", "chargeDeclined", "visa_chargeDeclined"
    ),
    _declined(
        "4000000000009995",
        "card_declined",
        "insufficient_funds",
        "chargeDeclinedInsufficientFunds",
        "visa_chargeDeclinedInsufficientFunds",
    ),
    _declined("4000000000009987", "card_declined", "lost_card", "visa_chargeDeclinedLostCard"),
    _declined("4000000000009979", "card_declined", "stolen_card", "visa_chargeDeclinedStolenCard"),
    _declined("4000000000000069", "expired_card", "expired_card", "chargeDeclinedExpiredCard"),
    _declined("4000000000000127", "incorrect_cvc", "incorrect_cvc", "chargeDeclinedIncorrectCvc"),
    _declined("4000000000000119", "processing_error", "processing_error", "chargeDeclinedProcessingError"),
    _declined("4100000000000019", "card_declined", "fraudulent", "chargeDeclinedFraudulent", "radarBlock"),
    Card("4000000000000341", decline=("card_declined", "generic_decline"), names=("chargeCustomerFail",)),
    Card("4000002500003155", auth="setup", names=("authenticationRequiredOnSetup",)),
    Card("4000002760003184", auth="always", names=("authenticationRequired",)),
    Card("4000000000003220", auth="on_session", names=("threeDSecure2Required",)),
    Card("4000000000003063", auth="on_session", names=("threeDSecureRequired",)),
    Card(
        "4000008400001629",
        auth="always",
        decline=("card_declined", "generic_decline"),
        names=("threeDSecureRequiredChargeDeclined",),
    ),
    Card(
        "4000008260003178",
        auth="setup",
        decline=("card_declined", "insufficient_funds"),
        names=("authenticationRequiredChargeDeclinedInsufficientFunds",),
    ),
    Card("4000000000000259", dispute="fraudulent", names=("createDispute",)),
    Card("4000000000002685", dispute="product_not_received", names=("createDisputeProductNotReceived",)),
    Card("4000000000001976", dispute="inquiry", names=("createDisputeInquiry",)),
    Card("4000000000005126", refund="pending", names=("pendingRefund",)),
    Card("4000000000007726", refund="fails_later", names=("refundFail",)),
)

BY_NUMBER = {card.number: card for card in CARDS}
BY_NAME = {name: card for card in CARDS for name in card.names}

MESSAGES = {
    "card_declined": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


def card_numbered(number: str) -> Card | None:
    """The test card with this number; every one of 16 digits that begins with 4242 42 is a Visa of its own.

    Stripe has only the published ones; here each customer of a demo can have another card than the others.
    """
    if known := BY_NUMBER.get(number):
        return known
    return Card(number) if number.startswith("424242") and len(number) == 16 else None


def card_named(id: str) -> Card | None:
    """The card behind `pm_card_visa`, `tok_visa` and the like."""
    for prefix in ("pm_card_", "tok_"):
        if id.startswith(prefix):
            return BY_NAME.get(id.removeprefix(prefix)) or BY_NAME.get(f"visa_{id.removeprefix(prefix)}")
    return None


def is_luhn_valid(number: str) -> bool:
    """The checksum of card numbers."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0


def fingerprint(number: str) -> str:
    """The same card has the same fingerprint everywhere."""
    return hashlib.sha256(f"fingerprint/{number}".encode()).hexdigest()[:16]


def decline_message(code: str, decline_code: str | None) -> str:
    """What the buyer reads."""
    return MESSAGES.get(decline_code or "") or MESSAGES[code]


def card_hash(card: Card, exp_month: int, exp_year: int) -> Doc:
    """The `card` hash of a PaymentMethod."""
    return {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "display_brand": {"amex": "american_express"}.get(card.brand, card.brand),
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": fingerprint(card.number),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
