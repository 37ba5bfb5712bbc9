"""The bank's reason for a decline in plain words, and what helps.

https://docs.stripe.com/declines/codes. A lost, stolen or suspicious card is told as any other: the
person in front of the page may not be its owner.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise


@dataclass(frozen=True)
class Decline:
    """Why it did not work, and what the customer can do about it."""

    reason: "StrOrPromise"
    remedy: "StrOrPromise"


NO_REASON = Decline(
    _("Your bank refused the payment and did not say why."),
    _("Ask your bank, or use another card."),
)
_TYPED_WRONG = Decline(_("A number of the card was not right."), _("Type it again, or use another card."))
_NO_SUCH_USE = Decline(
    _("This card cannot be used for this kind of payment."), _("Use another card, or ask your bank.")
)
_LIMIT = Decline(
    _("The card has reached a limit that your bank sets."), _("Try again tomorrow, or use another card.")
)
_PASSING = Decline(
    _("Your bank could not be reached."), _("Try again in a few minutes; nothing was charged.")
)

_DECLINES = {
    "insufficient_funds": Decline(
        _("There was not enough money on the card."),
        _("Try again when there is, or use another card."),
    ),
    "expired_card": Decline(_("The card has expired."), _("Use a card that is still valid.")),
    "authentication_required": Decline(
        _("Your bank wants you to confirm this payment yourself."),
        _("Open the page and confirm it there with your bank."),
    ),
    "payment_intent_authentication_failure": Decline(
        _("The payment was not confirmed with your bank."), _("Try again, or use another card.")
    ),
    "incorrect_cvc": _TYPED_WRONG,
    "invalid_cvc": _TYPED_WRONG,
    "incorrect_number": _TYPED_WRONG,
    "invalid_number": _TYPED_WRONG,
    "invalid_expiry_month": _TYPED_WRONG,
    "invalid_expiry_year": _TYPED_WRONG,
    "card_not_supported": _NO_SUCH_USE,
    "currency_not_supported": _NO_SUCH_USE,
    "transaction_not_allowed": _NO_SUCH_USE,
    "service_not_allowed": _NO_SUCH_USE,
    "card_velocity_exceeded": _LIMIT,
    "withdrawal_count_limit_exceeded": _LIMIT,
    "processing_error": _PASSING,
    "issuer_not_available": _PASSING,
    "try_again_later": _PASSING,
    "reenter_transaction": _PASSING,
}


def explain_decline(code: str) -> Decline:
    """The words for a decline code of the provider; an unknown one is "did not say why"."""
    return _DECLINES.get(code, NO_REASON)
