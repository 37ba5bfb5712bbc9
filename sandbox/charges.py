"""Charges: the money itself. https://docs.stripe.com/api/charges."""

from __future__ import annotations

from sandbox import balance, disputes, payment_methods
from sandbox.cards import decline_message
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def _card_details(method: Doc, amount: int) -> Doc:
    card = method["card"]
    return {
        "amount_authorized": amount,
        "authorization_code": None,
        "brand": card["brand"],
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
    }


def _outcome(decline: tuple[str, str | None] | None) -> Doc:
    return {
        "advice_code": "try_again_later" if decline else None,
        "network_advice_code": None,
        "network_decline_code": "05" if decline else None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": (decline[1] or decline[0]) if decline else None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "The bank did not return any further details with this decline."
        if decline
        else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }


def make(world: World, intent: Doc, method: Doc, decline: tuple[str, str | None] | None) -> Doc:
    """Charge a card for a payment intent; a failed one is kept as a failed charge."""
    amount = intent["amount"]
    paid = decline is None
    charge: Doc = {
        "id": new_id("ch"),
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if paid else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "GOOD TERMS SANDBOX",
        "captured": paid,
        "created": world.now_for(intent),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline[0] if decline else None,
        "failure_message": decline_message(*decline) if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": _card_details(method, amount), "type": "card"},
        "presentment_details": None,
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
        "_": {},
    }
    charge["receipt_url"] = f"{world.origin}/receipts/{charge['id']}" if paid else None
    world.add(charge)
    if paid:
        fee = balance.stripe_fee(amount, charge["currency"])
        charge["balance_transaction"] = balance.post(
            world, charge, "charge", amount, fee=fee, description=charge["description"]
        )["id"]
        world.save(charge)
    world.emit("charge.succeeded" if paid else "charge.failed", charge)
    return charge


def after_success(world: World, charge: Doc) -> None:
    """The dispute cards open their dispute as soon as they are charged."""
    method = world.need("payment_method", charge["payment_method"])
    reason = payment_methods.card_of(method).dispute
    if reason:
        disputes.open_dispute(world, charge, reason)


def update(world: World, id: str, params: Doc) -> Doc:
    """Description, receipt e-mail and metadata can change."""
    charge = world.need("charge", id)
    for name in ("description", "receipt_email"):
        if name in params:
            charge[name] = params[name] or None
    merge_metadata(charge, params)
    return world.save(charge, "charge.updated")
