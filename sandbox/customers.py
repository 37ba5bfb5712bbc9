"""Customers and their balance: https://docs.stripe.com/api/customers."""

from __future__ import annotations

import secrets

from sandbox import payment_methods
from sandbox.errors import invalid
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World

PLAIN = ("description", "email", "name", "phone", "business_name", "individual_name")


def create(world: World, params: Doc) -> Doc:
    """A customer; one that is attached to a test clock lives in that clock's time for ever."""
    clock = params.get("test_clock") or None
    if clock:
        world.need("test_helpers.test_clock", clock, "test_clock")
    customer = world.add(_document(params, clock, world.now(clock)))
    if params.get("payment_method"):
        method = payment_methods.resolve(world, params["payment_method"])
        payment_methods.attach_to(world, method, customer)
    _apply_invoice_settings(world, customer, params)
    world.save(customer)
    world.emit("customer.created", customer)
    if params.get("balance"):
        change_balance(world, customer, params["balance"], type="adjustment")
        world.save(customer)
    return customer


def _document(params: Doc, clock: str | None, now: int) -> Doc:
    return {
        "id": new_id("cus", 14),
        "object": "customer",
        "address": _address(params.get("address")),
        "balance": 0,
        "created": now,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description") or None,
        "discount": None,
        "email": params.get("email") or None,
        "invoice_prefix": params.get("invoice_prefix") or secrets.token_hex(4).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": params.get("metadata") or {},
        "name": params.get("name") or None,
        "next_invoice_sequence": params.get("next_invoice_sequence", 1),
        "phone": params.get("phone") or None,
        "preferred_locales": params.get("preferred_locales") or [],
        "shipping": params.get("shipping") or None,
        "tax_exempt": params.get("tax_exempt") or "none",
        "test_clock": clock,
        "_": {"clock": clock},
    }


def _address(given: Doc | str | None) -> Doc | None:
    if not isinstance(given, dict):
        return None
    return {**payment_methods.NO_ADDRESS, **{name: value or None for name, value in given.items()}}


def _apply_invoice_settings(world: World, customer: Doc, params: Doc) -> None:
    settings = params.get("invoice_settings") or {}
    for name in ("custom_fields", "footer", "rendering_options"):
        if name in settings:
            customer["invoice_settings"][name] = settings[name] or None
    if "default_payment_method" not in settings:
        return
    if settings["default_payment_method"] == "":
        customer["invoice_settings"]["default_payment_method"] = None
        return
    param = "invoice_settings[default_payment_method]"
    method = payment_methods.resolve(world, settings["default_payment_method"], param)
    if method["customer"] != customer["id"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {method['id']}. The payment "
            "method must be attached to "
            "the customer.",
            param,
            "resource_missing",
        )
    customer["invoice_settings"]["default_payment_method"] = method["id"]


def update(world: World, id: str, params: Doc) -> Doc:
    """Change a customer."""
    customer = world.need("customer", id)
    _refuse_deleted(customer)
    for name in PLAIN:
        if name in params:
            customer[name] = params[name] or None
    for name in ("preferred_locales", "tax_exempt", "invoice_prefix", "next_invoice_sequence"):
        if name in params:
            customer[name] = params[name]
    if "address" in params:
        customer["address"] = _address(params["address"])
    if "shipping" in params:
        customer["shipping"] = params["shipping"] or None
    _apply_invoice_settings(world, customer, params)
    merge_metadata(customer, params)
    if "balance" in params:
        change_balance(world, customer, params["balance"] - customer["balance"], type="adjustment")
    return world.save(customer, "customer.updated")


def _refuse_deleted(customer: Doc) -> None:
    if customer.get("deleted"):
        raise invalid(f"No such customer: '{customer['id']}'", "id", "resource_missing")


def change_balance(
    world: World,
    customer: Doc,
    amount: int,
    *,
    type: str,
    invoice: str | None = None,
    currency: str | None = None,
    **more: Doc | str | None,
) -> Doc | None:
    """Book credit (negative) or debt (positive, minor units) on the customer's balance."""
    if amount == 0:
        return None
    customer["balance"] += amount
    customer["currency"] = customer["currency"] or currency or "usd"
    return world.add(
        {
            "id": new_id("cbtxn"),
            "object": "customer_balance_transaction",
            "amount": amount,
            "checkout_session": None,
            "created": world.now_for(customer),
            "credit_note": more.get("credit_note"),
            "currency": currency or customer["currency"],
            "customer": customer["id"],
            "customer_account": None,
            "description": more.get("description"),
            "ending_balance": customer["balance"],
            "invoice": invoice,
            "livemode": False,
            "metadata": more.get("metadata") or {},
            "type": type,
        }
    )


def create_balance_transaction(world: World, id: str, params: Doc) -> Doc:
    """Credit or debit the customer's balance by hand."""
    customer = world.need("customer", id)
    _refuse_deleted(customer)
    if params["amount"] == 0:
        raise invalid("The amount must not be zero.", "amount")
    made = change_balance(
        world,
        customer,
        params["amount"],
        type="adjustment",
        currency=params["currency"].lower(),
        description=params.get("description") or None,
        metadata=params.get("metadata") or {},
    )
    world.save(customer, "customer.updated")
    assert made is not None
    return made


def delete(world: World, id: str, params: Doc) -> Doc:
    """Delete for good: subscriptions end at once, cards come off file; the id stays known as deleted."""
    from sandbox import subscriptions

    customer = world.need("customer", id)
    _refuse_deleted(customer)
    for subscription in world.find("subscription", customer=id):
        if subscription["status"] not in subscriptions.ENDED:
            subscriptions.end(world, subscription, reason="cancellation_requested")
    for method in world.find("payment_method", customer=id):
        method["customer"] = None
        method["_"]["used"] = True
        world.save(method)
    world.emit("customer.deleted", customer)
    clock = customer["test_clock"]
    for name in list(customer):
        if name not in ("id", "object"):
            del customer[name]
    customer.update({"deleted": True, "_": {"clock": clock}})
    world.save(customer)
    return {"id": id, "object": "customer", "deleted": True}
