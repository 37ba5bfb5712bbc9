"""The bank's reason for a decline in plain words, what helps, and whether trying again can.

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

_CONFIRM = Decline(
    _("Your bank wants you to confirm this payment yourself."),
    _("Open the page and confirm it there with your bank."),
)
_STOPPED = Decline(
    _("The permission to charge this card was taken back at your bank."),
    _("Use another card, or ask your bank to allow it again."),
)

_DECLINES = {
    "insufficient_funds": Decline(
        _("There was not enough money on the card."),
        _("Try again when there is, or use another card."),
    ),
    "expired_card": Decline(_("The card has expired."), _("Use a card that is still valid.")),
    "authentication_required": _CONFIRM,
    "invoice_payment_intent_requires_action": _CONFIRM,
    "no_card": Decline(_("There is no card on file."), _("Add a card, and it is done.")),
    "revocation_of_authorization": _STOPPED,
    "revocation_of_all_authorizations": _STOPPED,
    "stop_payment_order": _STOPPED,
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


#: The bank wants the customer: a try without them is refused again.
WANTS_CUSTOMER = frozenset({"authentication_required", "invoice_payment_intent_requires_action"})
#: The card will not work again, or the network says "do not retry": only another card helps.
HARD = frozenset(
    {
        *("lost_card", "stolen_card", "pickup_card", "restricted_card", "expired_card", "fraudulent"),
        *("do_not_try_again", "invalid_account", "incorrect_number", "invalid_number", "not_permitted"),
        *("revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order"),
        *("security_violation", "service_not_allowed", "transaction_not_allowed", "card_not_supported"),
        *("currency_not_supported", "new_account_information_available", "highest_risk_level"),
    }
)


def is_hard(code: str) -> bool:
    """Whether the same card must not be tried again for the same payment (the networks' rules)."""
    return code in HARD


def wants_customer(code: str) -> bool:
    """Whether the customer has to confirm the payment with their bank (3-D Secure)."""
    return code in WANTS_CUSTOMER
