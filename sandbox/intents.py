"""What payment intents and setup intents share: authentication, next actions, error hashes."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox import payment_methods
from sandbox.errors import StripeError, invalid
from sandbox.store import Doc
from sandbox.world import World, public


def client_secret(id: str) -> str:
    """`pi_..._secret_...`, the capability that the browser gets."""
    return f"{id}_secret_{secrets.token_urlsafe(18).replace('-', 'x').replace('_', 'y')}"


def method_from(world: World, intent: Doc, params: Doc) -> Doc | None:
    """The payment method named, described or already set on an intent."""
    if params.get("payment_method_data"):
        return payment_methods.create(world, _card_params(params["payment_method_data"]))
    id = params.get("payment_method") or intent["payment_method"]
    return payment_methods.resolve(world, id) if id else None


def _card_params(data: Doc) -> Doc:
    return {
        "type": data.get("type", "card"),
        **{k: data[k] for k in ("card", "billing_details", "metadata") if k in data},
    }


def check_owner(intent: Doc, method: Doc) -> None:
    """A card on file may only be used with its own customer's intents."""
    owner = method["customer"]
    if owner is not None and owner != intent["customer"]:
        raise invalid(
            f"The provided PaymentMethod {method['id']} belongs to the Customer {owner}. Please "
            "include the Customer in "
            "the `customer` parameter on the PaymentIntent."
            if intent["customer"] is None
            else f"The customer does not have a payment method with the ID {method['id']}. "
            "The payment method must be "
            "attached to the customer.",
            "payment_method",
        )
    if method["_"].get("used") and owner is None:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a "
            "connected account without Customer attachment, or was detached from a Customer. It may "
            "not be used again. To "
            "use a PaymentMethod multiple times, you must attach it to a Customer first.",
            "payment_method",
        )


def needs_authentication(method: Doc, off_session: bool) -> bool:
    """Whether the test card asks for 3-D Secure now (https://docs.stripe.com/testing#authentication-and-setup)."""
    auth = payment_methods.card_of(method).auth
    if auth == "always":
        return True
    if auth == "setup":
        return not (off_session and method["_"].get("is_set_up"))
    return auth == "on_session" and not off_session


def next_action(intent: Doc, origin: str, return_url: str | None) -> Doc:
    """Where the buyer authenticates; the page is served by the sandbox itself."""
    url = f"{origin}/3ds/{intent['id']}?client_secret={intent['client_secret']}"
    if return_url:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def error_hash(error: StripeError, method: Doc | None) -> Doc:
    """`last_payment_error` / `last_setup_error`."""
    body: Doc = error.body()["error"]
    body.pop("payment_intent", None)
    body.pop("setup_intent", None)
    if method is not None:
        body["payment_method"] = public(method)
    return body


def need_by_secret(world: World, kind: str, id: str, secret: str | None) -> Doc:
    """An intent for the browser: only with its client secret."""
    intent = world.need(kind, id, "intent")
    if secret != intent["client_secret"]:
        raise StripeError(
            f"The client_secret provided does not match any associated {kind} on this account. Ensure "
            "the publishable "
            f"key used belongs to the same account that created the {kind}.",
            http=400, code=f"{kind}_invalid_parameter", param="client_secret",
        )  # fmt: skip
    return intent


def wrong_state(kind: str, intent: Doc, verb: str, allowed: Any) -> StripeError:
    """Stripe's answer to a step that the intent's status does not allow."""
    wrong: dict[str, Any] = {kind: public(intent)}
    name = "PaymentIntent" if kind == "payment_intent" else "SetupIntent"
    return StripeError(
        f"You cannot {verb} this {name} because it has a status of {intent['status']}. Only a {name} "
        "with one of the "
        f"following statuses may be {verb}ed: {', '.join(allowed)}.",
        code=f"{kind}_unexpected_state",
        **wrong,
    )
