"""Payments in steps: https://docs.stripe.com/api/payment_intents."""

from __future__ import annotations

from collections.abc import Callable

from sandbox import charges, intents, payment_methods
from sandbox.errors import StripeError, invalid
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World, public

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")

# Invoices listen here: (world, intent) after success, failure and a demand for authentication.
on_success: list[Callable[[World, Doc], None]] = []
on_failure: list[Callable[[World, Doc], None]] = []
on_action: list[Callable[[World, Doc], None]] = []


def create(world: World, params: Doc) -> Doc:
    """A PaymentIntent, confirmed at once if asked."""
    if params["amount"] <= 0:
        raise invalid("This value must be greater than or equal to 1.", "amount", "parameter_invalid_integer")
    customer = params.get("customer") or None
    if customer:
        world.need("customer", customer, "customer")
    intent = make(
        world, customer, params["amount"], params["currency"].lower(), metadata=params.get("metadata") or {}
    )
    for name in (
        "description",
        "receipt_email",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
    ):
        intent[name] = params.get(name) or None
    intent["_"]["return_url"] = params.get("return_url")
    method = intents.method_from(world, intent, params)
    if method is not None:
        intents.check_owner(intent, method)
        intent["payment_method"], intent["status"] = method["id"], "requires_confirmation"
    world.save(intent)
    world.emit("payment_intent.created", intent)
    if params.get("confirm"):
        return confirm(
            world, intent["id"], {k: v for k, v in params.items() if k in ("return_url", "off_session")}
        )
    return intent


def make(
    world: World, customer: str | None, amount: int, currency: str, *, metadata: Doc | None = None
) -> Doc:
    """The object itself; the caller tells about it."""
    id = new_id("pi")
    return world.add(
        {
            "id": id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": intents.client_secret(id),
            "confirmation_method": "automatic",
            "created": world.now_for({"customer": customer}),
            "currency": currency,
            "customer": customer,
            "customer_account": None,
            "description": None,
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": metadata or {},
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {
                    "installments": None,
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
            "_": {},
        }
    )


def update(world: World, id: str, params: Doc) -> Doc:
    """Change an unfinished intent."""
    intent = world.need("payment_intent", id)
    if intent["status"] in ("succeeded", "canceled") and set(params) - {"metadata", "description", "expand"}:
        raise intents.wrong_state("payment_intent", intent, "update", OPEN)
    for name in ("amount", "currency", "setup_future_usage"):
        if params.get(name):
            intent[name] = params[name]
    for name in ("description", "receipt_email"):
        if name in params:
            intent[name] = params[name] or None
    if params.get("customer"):
        intent["customer"] = world.need("customer", params["customer"], "customer")["id"]
    if params.get("payment_method"):
        method = payment_methods.resolve(world, params["payment_method"])
        intents.check_owner(intent, method)
        intent["payment_method"], intent["status"] = method["id"], "requires_confirmation"
    merge_metadata(intent, params)
    return world.save(intent)


def confirm(world: World, id: str, params: Doc) -> Doc:
    """Try to take the money. A decline is a 402 whose effects (failed charge, events) stay."""
    intent = world.need("payment_intent", id)
    if intent["status"] not in OPEN:
        raise intents.wrong_state("payment_intent", intent, "confirm", OPEN)
    method = intents.method_from(world, intent, params)
    if method is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the "
            "PaymentIntent with a payment method and then confirm it again, or confirm it again "
            "directly with a payment "
            "method or ConfirmationToken.",
            code="payment_intent_unexpected_state",
        )
    if params.get("setup_future_usage"):
        intent["setup_future_usage"] = params["setup_future_usage"]
    return attempt(
        world,
        intent,
        method,
        off_session=bool(params.get("off_session")),
        return_url=params.get("return_url") or intent["_"].get("return_url"),
    )


def attempt(
    world: World,
    intent: Doc,
    method: Doc,
    *,
    off_session: bool,
    return_url: str | None = None,
    by_invoice: bool = False,
) -> Doc:
    """One attempt with one card; Billing's own ones wait in `requires_action` when asked to authenticate."""
    intents.check_owner(intent, method)
    intent["payment_method"] = method["id"]
    if intents.needs_authentication(method, off_session):
        if off_session and not by_invoice:
            return _fail(world, intent, method, ("authentication_required", "authentication_required"))
        intent["status"] = "requires_action"
        intent["_"]["return_url"] = return_url
        intent["next_action"] = intents.next_action(intent, world.origin, return_url)
        world.save(intent)
        world.emit("payment_intent.requires_action", intent)
        for listener in on_action:
            listener(world, intent)
        return intent
    return _charge(world, intent, method)


def finish_authentication(world: World, intent: Doc, *, passed: bool) -> Doc:
    """The buyer came back from the 3-D Secure page."""
    if intent["status"] != "requires_action":
        return intent
    method = world.need("payment_method", intent["payment_method"])
    if passed:
        method["_"]["is_set_up"] = method["_"].get("is_set_up") or bool(intent["setup_future_usage"])
        world.save(method)
        try:
            return _charge(world, intent, method)
        except StripeError:
            return intent
    error = StripeError(
        "We are unable to authenticate your payment method. Please choose a different payment method "
        "and try again.",
        http=402, code="payment_intent_authentication_failure",
    )  # fmt: skip
    _record_failure(world, intent, method, error)
    return intent


def _charge(world: World, intent: Doc, method: Doc) -> Doc:
    card = payment_methods.card_of(method)
    if card.decline:
        return _fail(world, intent, method, card.decline)
    if intent["customer"] and intent["setup_future_usage"]:
        payment_methods.attach_to(world, method, world.need("customer", intent["customer"]))
        method["_"]["is_set_up"] = True
    if method["customer"] is None:
        method["_"]["used"] = True
    world.save(method)
    charge = charges.make(world, intent, method, None)
    intent.update(
        status="succeeded",
        amount_received=intent["amount"],
        latest_charge=charge["id"],
        next_action=None,
        last_payment_error=None,
    )
    world.save(intent)
    world.emit("payment_intent.succeeded", intent)
    for listener in on_success:
        listener(world, intent)
    charges.after_success(world, charge)
    return intent


def _fail(world: World, intent: Doc, method: Doc, decline: tuple[str, str | None]) -> Doc:
    charge = charges.make(world, intent, method, decline)
    intent["latest_charge"] = charge["id"]
    error = payment_methods.declined(decline, charge=charge["id"])
    _record_failure(world, intent, method, error)
    error.extra.update(payment_intent=public(intent), payment_method=public(method))
    raise error


def _record_failure(world: World, intent: Doc, method: Doc, error: StripeError) -> None:
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        next_action=None,
        last_payment_error=intents.error_hash(error, method),
    )
    world.save(intent)
    world.emit("payment_intent.payment_failed", intent)
    for listener in on_failure:
        listener(world, intent)


def cancel(world: World, id: str, params: Doc) -> Doc:
    """Give up an unfinished intent; an invoice's intent is cancelled by voiding the invoice."""
    intent = world.need("payment_intent", id)
    if intent["_"].get("invoice"):
        raise invalid(
            "You cannot cancel this PaymentIntent because it is associated with an invoice. Void the "
            "invoice instead.",
            code="payment_intent_unexpected_state",
        )
    if intent["status"] not in OPEN:
        raise intents.wrong_state("payment_intent", intent, "cancel", OPEN)
    return cancel_intent(world, intent, params.get("cancellation_reason"))


def cancel_intent(world: World, intent: Doc, reason: str | None) -> Doc:
    """Cancel whatever is still open of it."""
    if intent["status"] in OPEN:
        intent.update(
            status="canceled", canceled_at=world.now_for(intent), cancellation_reason=reason, next_action=None
        )
        world.save(intent)
        world.emit("payment_intent.canceled", intent)
    return intent
