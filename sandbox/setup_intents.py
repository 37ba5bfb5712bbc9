"""Saving a card for later: https://docs.stripe.com/api/setup_intents."""

from __future__ import annotations

from collections.abc import Callable

from sandbox import intents, payment_methods
from sandbox.errors import StripeError, invalid
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World, public

# Subscriptions with a `pending_setup_intent` listen here: (world, intent).
on_success: list[Callable[[World, Doc], None]] = []

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def create(world: World, params: Doc) -> Doc:
    """A SetupIntent, confirmed at once if asked."""
    customer = params.get("customer") or None
    if customer:
        world.need("customer", customer, "customer")
    intent = make(
        world, customer, usage=params.get("usage") or "off_session", metadata=params.get("metadata") or {}
    )
    intent["description"] = params.get("description") or None
    if params.get("payment_method_types"):
        intent["payment_method_types"] = params["payment_method_types"]
    method = intents.method_from(world, intent, params)
    if method is not None:
        intents.check_owner(intent, method)
        intent["payment_method"], intent["status"] = method["id"], "requires_confirmation"
    world.save(intent)
    if params.get("confirm"):
        return confirm(world, intent["id"], {k: v for k, v in params.items() if k == "return_url"})
    return intent


def make(
    world: World, customer: str | None, *, usage: str = "off_session", metadata: Doc | None = None
) -> Doc:
    """The object itself, with its event."""
    id = new_id("seti")
    return world.add(
        {
            "id": id,
            "object": "setup_intent",
            "application": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "cancellation_reason": None,
            "client_secret": intents.client_secret(id),
            "created": world.now_for({"customer": customer}),
            "customer": customer,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "livemode": False,
            "mandate": None,
            "metadata": metadata or {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
            },
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": usage,
            "_": {},
        },
        "setup_intent.created",
    )


def update(world: World, id: str, params: Doc) -> Doc:
    """Customer, payment method, description, metadata."""
    intent = world.need("setup_intent", id)
    if params.get("customer"):
        intent["customer"] = world.need("customer", params["customer"], "customer")["id"]
    if params.get("payment_method"):
        intent["payment_method"] = payment_methods.resolve(world, params["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
    if "description" in params:
        intent["description"] = params["description"] or None
    merge_metadata(intent, params)
    return world.save(intent)


def confirm(world: World, id: str, params: Doc) -> Doc:
    """Check the card, ask for authentication where it needs it, attach it to the customer."""
    intent = world.need("setup_intent", id)
    if intent["status"] not in OPEN:
        raise intents.wrong_state("setup_intent", intent, "confirm", OPEN)
    method = intents.method_from(world, intent, params)
    if method is None:
        raise invalid(
            "You cannot confirm this SetupIntent because it's missing a payment method. Update the "
            "SetupIntent with a "
            "payment method and then confirm it again.",
            code="setup_intent_unexpected_state",
        )
    intents.check_owner(intent, method)
    intent["payment_method"] = method["id"]
    if payment_methods.card_of(method).auth in ("always", "setup", "on_session"):
        intent["status"] = "requires_action"
        intent["next_action"] = intents.next_action(intent, world.origin, params.get("return_url"))
        intent["_"]["return_url"] = params.get("return_url")
        return world.save(intent, "setup_intent.requires_action")
    return _finish(world, intent, method)


def finish_authentication(world: World, intent: Doc, *, passed: bool) -> Doc:
    """The buyer came back from the 3-D Secure page."""
    if intent["status"] != "requires_action":
        return intent
    method = world.need("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if passed:
        try:
            return _finish(world, intent, method)
        except StripeError:
            return intent
    error = StripeError(
        "We are unable to authenticate your payment method. Please choose a different payment method "
        "and try again.",
        http=402, code="setup_intent_authentication_failure",
    )  # fmt: skip
    return _fail(world, intent, method, error)


def _finish(world: World, intent: Doc, method: Doc) -> Doc:
    card = payment_methods.card_of(method)
    if not card.attaches and card.decline:
        error = payment_methods.declined(card.decline)
        _fail(world, intent, method, error)
        error.extra["setup_intent"] = public(intent)
        raise error
    method["_"]["is_set_up"] = True
    world.save(method)
    if intent["customer"]:
        payment_methods.attach_to(world, method, world.need("customer", intent["customer"]))
    intent["latest_attempt"] = _attempt(world, intent, method, "succeeded")
    intent.update(status="succeeded", next_action=None, last_setup_error=None)
    world.save(intent, "setup_intent.succeeded")
    for listener in on_success:
        listener(world, intent)
    return intent


def _fail(world: World, intent: Doc, method: Doc, error: StripeError) -> Doc:
    intent["latest_attempt"] = _attempt(world, intent, method, "failed")
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_setup_error=intents.error_hash(error, method),
    )
    return world.save(intent, "setup_intent.setup_failed")


def _attempt(world: World, intent: Doc, method: Doc, status: str) -> str:
    card = method["card"]
    details = {
        "brand": card["brand"], "checks": card["checks"], "country": card["country"],
        "exp_month": card["exp_month"], "exp_year": card["exp_year"], "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "last4": card["last4"], "network": card["brand"], "three_d_secure": None, "wallet": None,
    }  # fmt: skip
    attempt = {
        "id": new_id("setatt"),
        "object": "setup_attempt",
        "application": None,
        "created": world.now_for(intent),
        "customer": intent["customer"],
        "customer_account": None,
        "flow_directions": None,
        "livemode": False,
        "on_behalf_of": None,
        "payment_method": method["id"],
        "payment_method_details": {"card": details, "type": "card"},
        "setup_error": None,
        "setup_intent": intent["id"],
        "status": status,
        "usage": intent["usage"],
    }
    id: str = world.add(attempt)["id"]
    return id


def cancel(world: World, id: str, params: Doc) -> Doc:
    """Give up an unfinished SetupIntent."""
    intent = world.need("setup_intent", id)
    if intent["status"] not in OPEN:
        raise intents.wrong_state("setup_intent", intent, "cancel", OPEN)
    intent.update(status="canceled", cancellation_reason=params.get("cancellation_reason"), next_action=None)
    return world.save(intent, "setup_intent.canceled")
