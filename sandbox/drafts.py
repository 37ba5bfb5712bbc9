"""What an invoice is made of before anybody owes it: lines, discounts, taxes, the customer's balance.

https://docs.stripe.com/api/invoices/object, https://docs.stripe.com/invoicing/overview
"""

from __future__ import annotations

from sandbox import discounts, pricing
from sandbox.store import Doc, new_id
from sandbox.world import World

FINALIZE_AFTER = 3600


def subscription_of(invoice: Doc) -> str | None:
    """The subscription that an invoice belongs to."""
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


def make_line(
    invoice: Doc,
    *,
    amount: int,
    description: str | None,
    period: Doc,
    parent: Doc,
    price: Doc | None = None,
    quantity: int = 1,
    discountable: bool = True,
    tax_rates: list[Doc] | None = None,
    metadata: Doc | None = None,
    pricing_hash: Doc | None = None,
) -> Doc:
    """One invoice line; discounts and taxes are written by `compute`."""
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    if price is not None:
        pricing_hash = {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": description,
        "discount_amounts": [],
        "discountable": discountable,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": metadata or {},
        "parent": parent,
        "period": period,
        "pretax_credit_amounts": [],
        "pricing": pricing_hash,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": details.get("subscription"),
        "subtotal": amount,
        "taxes": [],
        "_": {"tax_rates": tax_rates or [], "item": details.get("invoice_item")},
    }


def _item_line(invoice: Doc, item: Doc) -> Doc:
    """The line of an invoice item; a proration keeps its subscription item as parent."""
    parent = (item["parent"] or {}).get("subscription_details") or {}
    credited = (item["proration_details"] or {}).get("credited_items") or {}
    common = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": credited.get("invoice_line_item_details")}
        if item["proration"]
        else None,
        "subscription": parent.get("subscription"),
    }
    if parent.get("subscription_item"):
        details = {"subscription_item_details": {**common, "subscription_item": parent["subscription_item"]}}
    else:
        details = {"invoice_item_details": common}
    return make_line(
        invoice,
        amount=item["amount"],
        description=item["description"],
        period=item["period"],
        parent={
            "invoice_item_details": None,
            "subscription_item_details": None,
            **details,
            "type": next(iter(details)),
        },
        quantity=item["quantity"],
        discountable=item["discountable"],
        tax_rates=item["tax_rates"],
        metadata=item["metadata"],
        pricing_hash=item["pricing"],
    )


def add_items(world: World, invoice: Doc, items: list[Doc]) -> None:
    """Move pending items onto a draft, before the other lines."""
    for item in items:
        item["invoice"] = invoice["id"]
        world.save(item)
    invoice["lines"]["data"] = [*(_item_line(invoice, item) for item in items), *invoice["lines"]["data"]]


def draft(
    world: World,
    customer: Doc,
    *,
    reason: str,
    currency: str,
    subscription: Doc | None = None,
    period: tuple[int, int] | None = None,
    auto_advance: bool = True,
    fields: Doc | None = None,
) -> Doc:
    """A new draft without lines, not stored yet."""
    now = world.now_for(customer)
    id = new_id("in")
    start, end = period or (now, now)
    parent = None
    if subscription is not None:
        details = {
            "metadata": dict(subscription["metadata"]),
            "subscription": subscription["id"],
            "subscription_proration_date": None,
        }
        parent = {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    method = (subscription or {}).get("collection_method") or "charge_automatically"
    invoice: Doc = {
        "id": id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Sandbox",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_paid_off_stripe": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": auto_advance,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": now + FINALIZE_AFTER if auto_advance else None,
        "billing_reason": reason,
        "collection_method": method,
        "created": now,
        "currency": currency,
        "custom_fields": None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer.get("address"),
        "customer_email": customer.get("email"),
        "customer_name": customer.get("name"),
        "customer_phone": customer.get("phone"),
        "customer_shipping": customer.get("shipping"),
        "customer_tax_exempt": customer.get("tax_exempt") or "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": (subscription or {}).get("default_tax_rates") or [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": {"object": "list", "data": [], "has_more": False, "url": f"/v1/invoices/{id}/lines"},
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": now + FINALIZE_AFTER
        if auto_advance and method == "charge_automatically"
        else None,
        "number": None,
        "on_behalf_of": None,
        "parent": parent,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": end,
        "period_start": start,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": customer.get("balance", 0),
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": {
            "finalized_at": None,
            "marked_uncollectible_at": None,
            "paid_at": None,
            "voided_at": None,
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": customer.get("test_clock"),
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
        **(fields or {}),
    }
    invoice["_"] = {
        "clock": customer.get("test_clock"),
        "due": invoice["automatically_finalizes_at"],
        "discounts": [],
    }
    return invoice


def compute(world: World, invoice: Doc) -> None:
    """Discounts, taxes and sums of a draft, from its lines."""
    lines = invoice["lines"]["data"]
    exempt = invoice["customer_tax_exempt"] != "none"
    pricing.discount_lines(lines, discounts.coupons_of(world, invoice["_"]["discounts"]))
    for line in lines:
        rates = line["_"]["tax_rates"] or invoice["default_tax_rates"]
        pricing.tax_line(line, [] if exempt else rates)
        line["subtotal"] = line["amount"]
    invoice.update(pricing.totals(lines))
    invoice["discounts"] = list(invoice["_"]["discounts"])
    due = max(invoice["total"] + balance_applied(world, invoice), 0)
    invoice.update(amount_due=due, amount_remaining=due)


def balance_applied(world: World, invoice: Doc) -> int:
    """The customer's credit (negative) that fits on the invoice, or their whole debt."""
    balance: int = (world.get(invoice["customer"]) or {}).get("balance", 0)
    return max(balance, -max(invoice["total"], 0)) if balance < 0 else balance


def store_draft(world: World, invoice: Doc) -> Doc:
    """Store a finished draft, and tell."""
    world.add(invoice)
    compute(world, invoice)
    world.save(invoice)
    world.emit("invoice.created", invoice)
    return invoice
