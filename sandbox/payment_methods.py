"""Cards on file: https://docs.stripe.com/api/payment_methods."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sandbox import cards
from sandbox.errors import StripeError, invalid, missing_param
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World

NO_ADDRESS: Doc = {
    "city": None,
    "country": None,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}


def billing_details(params: Doc) -> Doc:
    """The hash with every field present."""
    given = params.get("billing_details") or {}
    address = {**NO_ADDRESS, **{k: v or None for k, v in (given.get("address") or {}).items()}}
    names = ("email", "name", "phone", "tax_id")
    return {"address": address, **{name: given.get(name) or None for name in names}}


def card_of(method: Doc) -> cards.Card:
    """How the card behind a PaymentMethod behaves: as its number says, or as the bank does since."""
    card = cards.card_numbered(method["_"]["number"])
    assert card is not None
    if "bank" not in method["_"]:
        return card
    said: str | None = method["_"]["bank"]
    code = said if said in cards.MESSAGES and said != "insufficient_funds" else "card_declined"
    return replace(card, decline=(code, said) if said else None)


def resolve(world: World, id: str, param: str = "payment_method") -> Doc:
    """The PaymentMethod of an id; `pm_card_visa` and the like make a new one, the same within a request."""
    card = cards.card_named(id) if id.startswith("pm_card_") else None
    if card is None:
        return world.need("payment_method", id, param)
    if id not in world.aliases:
        year = datetime.now(UTC).year + 1
        world.aliases[id] = _add(world, card, 12, year, {})["id"]
    return world.need("payment_method", world.aliases[id], param)


def _add(world: World, card: cards.Card, month: int, year: int, params: Doc) -> Doc:
    return world.add(
        {
            "id": new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": params.get("allow_redisplay") or "unspecified",
            "billing_details": billing_details(params),
            "card": cards.card_hash(card, month, year),
            "created": world.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": params.get("metadata") or {},
            "type": "card",
            "_": {"number": card.number},
        }
    )


def create(world: World, params: Doc) -> Doc:
    """A card from test numbers or a `tok_` id."""
    if "type" not in params:
        raise missing_param("type")
    if params["type"] != "card":
        raise invalid(f"The payment method type provided: {params['type']} is invalid.", "type")
    given = params.get("card")
    if not given:
        raise missing_param("card")
    if "token" in given:
        card = cards.card_named(given["token"])
        if card is None:
            raise StripeError(
                f"No such token: '{given['token']}'", code="resource_missing", param="card[token]"
            )
        return _add(world, card, 12, datetime.now(UTC).year + 1, params)
    return _add(world, _card_numbered(given), given["exp_month"], _full_year(given["exp_year"]), params)


def _full_year(year: int) -> int:
    return year + 2000 if year < 100 else year


def _card_error(message: str, code: str, param: str) -> StripeError:
    return StripeError(message, http=402, type="card_error", code=code, param=param)


def _card_numbered(given: Doc) -> cards.Card:
    """The test card with this number; Stripe's messages for impossible ones."""
    number = re.sub(r"[\s-]", "", given.get("number") or "")
    if not number.isdigit() or not 12 <= len(number) <= 19 or not cards.is_luhn_valid(number):
        raise _card_error("Your card number is incorrect.", "incorrect_number", "number")
    year, month = _full_year(given["exp_year"]), given["exp_month"]
    today = datetime.now(UTC)
    if not 1 <= month <= 12:
        raise _card_error("Your card's expiration month is invalid.", "invalid_expiry_month", "exp_month")
    if (year, month) < (today.year, today.month) or year > today.year + 50:
        raise _card_error("Your card's expiration year is invalid.", "invalid_expiry_year", "exp_year")
    cvc = given.get("cvc")
    if cvc is not None and not re.fullmatch(r"\d{3,4}", str(cvc)):
        raise _card_error("Your card's security code is invalid.", "invalid_cvc", "cvc")
    card = cards.card_numbered(number)
    if card is None:
        raise StripeError(
            "Your card was declined. Your request was in test mode, but used a non test card. For a "
            "list of valid "
            "test cards, visit: https://stripe.com/docs/testing.",
            http=402, type="card_error", code="card_declined", decline_code="test_mode_live_card",
        )  # fmt: skip
    return card


def update(world: World, id: str, params: Doc) -> Doc:
    """Billing details, metadata, and a card's new expiry."""
    method = world.need("payment_method", id)
    if method["customer"] is None:
        raise invalid(
            "You must save this PaymentMethod to a customer before you can update it.",
            code="payment_method_unexpected_state",
        )
    if "billing_details" in params:
        merged = {**method["billing_details"], **params["billing_details"]}
        method["billing_details"] = billing_details({"billing_details": merged})
    for name in ("exp_month", "exp_year"):
        if name in (params.get("card") or {}):
            method["card"][name] = params["card"][name]
    if "allow_redisplay" in params:
        method["allow_redisplay"] = params["allow_redisplay"]
    merge_metadata(method, params)
    return world.save(method, "payment_method.updated")


def attach(world: World, id: str, params: Doc) -> Doc:
    """Put a card on file; a card that always declines is refused here already."""
    if "customer" not in params:
        raise missing_param("customer")
    return attach_to(world, resolve(world, id, "id"), world.need("customer", params["customer"], "customer"))


def attach_to(world: World, method: Doc, customer: Doc) -> Doc:
    """Attach unless it is attached already; another customer's card is refused."""
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None:
        raise invalid(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    if method["_"].get("used"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, "
            "and may not be used again.",
            code="payment_method_unexpected_state",
        )
    card = card_of(method)
    if not card.attaches and card.decline:
        raise declined(card.decline)
    method["customer"] = customer["id"]
    return world.save(method, "payment_method.attached")


def declined(decline: tuple[str, str | None], **extra: Any) -> StripeError:
    """The 402 of a card that says no; what happened so far stays."""
    code, decline_code = decline
    return StripeError(
        cards.decline_message(code, decline_code),
        http=402,
        type="card_error",
        code=code,
        decline_code=decline_code,
        keeps_effects=True,
        **extra,
    )


def detach(world: World, id: str, params: Doc) -> Doc:
    """Take a card off file for good, and off the defaults that named it."""
    method = world.need("payment_method", id)
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    customer = world.need("customer", method["customer"])
    method["customer"] = None
    method["_"]["used"] = True
    world.save(method)
    world.emit("payment_method.detached", method, {"customer": customer["id"]})
    if customer.get("invoice_settings", {}).get("default_payment_method") == id:
        customer["invoice_settings"]["default_payment_method"] = None
        world.save(customer, "customer.updated")
    for subscription in world.find("subscription", customer=customer["id"]):
        if subscription["default_payment_method"] == id:
            subscription["default_payment_method"] = None
            world.save(subscription, "customer.subscription.updated")
    return method


def retrieve_of_customer(world: World, customer: str, id: str, params: Doc) -> Doc:
    """A card, only if it is this customer's."""
    world.need("customer", customer)
    method = world.need("payment_method", id)
    if method["customer"] != customer:
        raise StripeError(
            f"No such payment_method: '{id}'", http=404, code="resource_missing", param="payment_method"
        )
    return method
