"""Chargebacks: https://docs.stripe.com/api/disputes."""

from __future__ import annotations

from sandbox import balance
from sandbox.errors import invalid
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World

FEE = 1500
EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation",
    "duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt",
    "refund_policy", "refund_policy_disclosure", "refund_refusal_explanation", "service_date",
    "service_documentation", "shipping_address", "shipping_carrier", "shipping_date",
    "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip
OPEN = ("needs_response", "warning_needs_response", "under_review", "warning_under_review")


def open_dispute(world: World, charge: Doc, reason: str) -> Doc:
    """The bank takes the unrefunded amount back (an inquiry takes nothing yet)."""
    inquiry = reason == "inquiry"
    amount = charge["amount"] - charge["amount_refunded"]
    now = world.now_for(charge)
    dispute: Doc = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": now + 7 * 86400,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": charge["payment_method_details"]["card"]["brand"],
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": charge["payment_method_details"]["card"]["network"],
                "network_reason_code": "83",
            },
            "type": "card",
        },
        "reason": "general" if inquiry else reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
        "_": {"clock": world.clock_of(charge)},
    }
    charge["disputed"] = True
    charge["_"]["refundable_dispute"] = inquiry
    world.save(charge)
    world.add(dispute)
    if not inquiry:
        _book(world, dispute, -amount, FEE, f"Chargeback withdrawal for {charge['id']}")
    world.emit("charge.dispute.created", dispute)
    if not inquiry:
        world.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def _book(world: World, dispute: Doc, amount: int, fee: int, text: str) -> None:
    category = "dispute" if amount < 0 else "dispute_reversal"
    transaction = balance.post(
        world, dispute, "adjustment", amount, fee=fee, description=text, category=category
    )
    dispute["balance_transactions"].append({k: v for k, v in transaction.items() if k != "_"})
    world.save(dispute)


def update(world: World, id: str, params: Doc) -> Doc:
    """Evidence and metadata; submitting sends it to the bank. Stripe's test evidence decides it."""
    dispute = world.need("dispute", id)
    dispute["evidence"].update({k: v or None for k, v in (params.get("evidence") or {}).items()})
    dispute["evidence_details"]["has_evidence"] = any(dispute["evidence"].get(name) for name in EVIDENCE)
    merge_metadata(dispute, params)
    if params.get("submit", True) and params.get("evidence"):
        dispute["evidence_details"]["submission_count"] += 1
        dispute["status"] = (
            "warning_under_review" if dispute["status"].startswith("warning") else "under_review"
        )
    world.save(dispute, "charge.dispute.updated")
    verdict = dispute["evidence"].get("uncategorized_text")
    if verdict in ("winning_evidence", "losing_evidence") and dispute["status"] in OPEN:
        decide(world, dispute, won=verdict == "winning_evidence")
    return dispute


def close(world: World, id: str, params: Doc) -> Doc:
    """Accept the dispute: lost."""
    dispute = world.need("dispute", id)
    if dispute["status"] not in OPEN:
        raise invalid("This dispute is already closed.", code="dispute_already_closed")
    return decide(world, dispute, won=False)


def decide(world: World, dispute: Doc, *, won: bool) -> Doc:
    """The bank's verdict; a won chargeback brings the money (not the fee) back."""
    if dispute["status"] not in OPEN:
        return dispute
    was_inquiry = dispute["status"].startswith("warning")
    dispute["status"] = "warning_closed" if was_inquiry else ("won" if won else "lost")
    world.save(dispute)
    if won and not was_inquiry:
        _book(world, dispute, dispute["amount"], 0, f"Chargeback reversal for {dispute['charge']}")
        world.emit("charge.dispute.funds_reinstated", dispute)
    world.emit("charge.dispute.closed", dispute)
    return dispute
