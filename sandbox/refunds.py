"""Refunds: https://docs.stripe.com/api/refunds and https://docs.stripe.com/refunds."""

from __future__ import annotations

from sandbox import balance, payment_methods
from sandbox.balance import money
from sandbox.errors import StripeError, invalid
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World

SETTLE_SECONDS = 10
DEAD = ("failed", "canceled")


def create(world: World, params: Doc) -> Doc:
    """Send money of a charge back to its card."""
    charge = _charge_of(world, params)
    left = charge["amount"] - charge["amount_refunded"]
    amount = params.get("amount", left)
    _check(charge, left, amount, explicit="amount" in params)
    return make(world, charge, amount, reason=params.get("reason"), metadata=params.get("metadata") or {})


def _charge_of(world: World, params: Doc) -> Doc:
    if params.get("charge"):
        return world.need("charge", params["charge"], "charge")
    if not params.get("payment_intent"):
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
            "payment_intent",
        )
    intent = world.need("payment_intent", params["payment_intent"], "payment_intent")
    if intent["status"] != "succeeded":
        raise invalid(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            "payment_intent",
        )
    return world.need("charge", intent["latest_charge"])


def _check(charge: Doc, left: int, amount: int, *, explicit: bool) -> None:
    if charge["status"] != "succeeded":
        raise invalid(
            f"Charge {charge['id']} is not successful and cannot be refunded.",
            "charge",
            "charge_not_refundable",
        )
    if left == 0:
        raise invalid(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if charge["disputed"] and not charge["_"].get("refundable_dispute"):
        raise invalid(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if amount <= 0:
        raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    if explicit and amount > left:
        raise invalid(
            f"Refund amount ({money(amount, charge['currency'])}) is greater than unrefunded amount on "
            "charge "
            f"({money(left, charge['currency'])})",
            "amount",
        )


def make(world: World, charge: Doc, amount: int, *, reason: str | None, metadata: Doc) -> Doc:
    """The refund, its booking, its events; two test cards take their time or change their mind."""
    method = world.get(charge["payment_method"])
    behaviour = payment_methods.card_of(method).refund if method else "succeeded"
    status = "pending" if behaviour == "pending" else "succeeded"
    now = world.now_for(charge)
    delay = world.setting("refund_settle_seconds", SETTLE_SECONDS)
    refund: Doc = {
        "id": new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {
                "reference": None if status == "pending" else "8923419823412341",
                "reference_status": "pending" if status == "pending" else "available",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
        "_": {
            "clock": world.clock_of(charge),
            "due": None,
            "fate": "succeed" if status == "pending" else "fail",
        },
    }
    if status == "pending":
        refund["pending_reason"] = "processing"
    if behaviour in ("pending", "fails_later") and delay is not None:
        refund["_"]["due"] = now + delay
    world.add(refund)
    text = f"REFUND FOR CHARGE ({charge['description']})" if charge["description"] else "REFUND FOR CHARGE"
    refund["balance_transaction"] = balance.post(world, refund, "refund", -amount, description=text)["id"]
    world.save(refund)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.emit("refund.created", refund)
    world.save(charge, "charge.refunded")
    return refund


def come_due(world: World, refund: Doc) -> None:
    """The bank's answer to a test refund arrives."""
    if refund["_"]["fate"] == "succeed":
        succeed(world, refund)
    else:
        fail(world, refund)


def succeed(world: World, refund: Doc) -> Doc:
    """A pending refund lands."""
    refund["_"]["due"] = None
    if refund["status"] != "pending":
        world.save(refund)
        return refund
    refund["status"] = "succeeded"
    refund.pop("pending_reason", None)
    refund["destination_details"]["card"].update(reference="8923419823412341", reference_status="available")
    before = world.saved(refund)
    world.save(refund, "refund.updated")
    world.emit("charge.refund.updated", refund, before)
    return refund


def fail(world: World, refund: Doc, reason: str = "expired_or_canceled_card") -> Doc:
    """The bank sends the money back to us: it was never refunded, however it looked."""
    refund["_"]["due"] = None
    if refund["status"] in DEAD:
        world.save(refund)
        return refund
    _return_money(world, refund)
    refund.update(status="failed", failure_reason=reason)
    refund.pop("pending_reason", None)
    before = world.saved(refund)
    world.save(refund, "refund.updated")
    world.emit("charge.refund.updated", refund, before)
    world.emit("refund.failed", refund)
    return refund


def _return_money(world: World, refund: Doc) -> None:
    charge = world.need("charge", refund["charge"])
    text = f"REFUND FAILURE ({charge['description']})"
    transaction = balance.post(world, refund, "refund_failure", refund["amount"], description=text)
    refund["failure_balance_transaction"] = transaction["id"]
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    world.save(charge, "charge.updated")


def update(world: World, id: str, params: Doc) -> Doc:
    """Only metadata can change."""
    refund = world.need("refund", id)
    merge_metadata(refund, params)
    return world.save(refund, "refund.updated")


def cancel(world: World, id: str, params: Doc) -> Doc:
    """Only a refund that waits for the customer's action can be cancelled; card refunds never do."""
    refund = world.need("refund", id)
    if refund["status"] != "requires_action":
        raise StripeError(
            f"You cannot cancel this refund because it has a status of {refund['status']}. Only a "
            "refund with the status "
            "requires_action can be canceled.",
            code="resource_missing" if refund["status"] == "canceled" else None,
        )
    _return_money(world, refund)
    refund["status"] = "canceled"
    return world.save(refund, "refund.updated")
