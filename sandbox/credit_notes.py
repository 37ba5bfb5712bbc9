"""Credit notes: https://docs.stripe.com/api/credit_notes."""

from __future__ import annotations

from sandbox import customers, invoices, payment_intents, refunds
from sandbox.errors import invalid
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def create(world: World, params: Doc) -> Doc:
    """Lower an open invoice, or give money of a paid one back: as refund, as credit, or outside Stripe."""
    invoice = world.need("invoice", params["invoice"], "invoice")
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise invalid(
            "You can only create credit notes for open, paid or uncollectible invoices. This one is "
            f"{invoice['status']}."
        )
    lines = _lines(world, invoice, params)
    amount = sum(line["amount"] for line in lines)
    _check_amount(invoice, amount)
    note = _document(world, invoice, params, lines, amount)
    if invoice["status"] == "paid":
        _give_back(world, invoice, note, params, amount)
    else:
        _lower(world, invoice, amount)
    world.save(invoice, "invoice.updated")
    return world.add(note, "credit_note.created")


def _lines(world: World, invoice: Doc, params: Doc) -> list[Doc]:
    if not params.get("lines"):
        amount = params.get("amount")
        if amount is None:
            amount = (
                (params.get("refund_amount") or 0)
                + (params.get("credit_amount") or 0)
                + (params.get("out_of_band_amount") or 0)
            )
            amount += sum(entry.get("amount_refunded") or 0 for entry in params.get("refunds") or [])
        return [_line("custom_line_item", amount, None, f"Credit for {invoice['number']}")]
    made = []
    for n, entry in enumerate(params["lines"]):
        if entry["type"] == "custom_line_item":
            amount = (entry.get("quantity") or 1) * (entry.get("unit_amount") or 0)
            made.append(_line("custom_line_item", amount, None, entry.get("description")))
            continue
        found = [line for line in invoice["lines"]["data"] if line["id"] == entry.get("invoice_line_item")]
        if not found:
            raise invalid(
                f"No such invoice line item: '{entry.get('invoice_line_item')}'",
                f"lines[{n}][invoice_line_item]",
                "resource_missing",
            )
        amount = entry.get("amount", found[0]["amount"])
        made.append(_line("invoice_line_item", amount, found[0]["id"], found[0]["description"]))
    return made


def _line(type: str, amount: int, source: str | None, description: str | None) -> Doc:
    return {
        "id": new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        **({"invoice_line_item": source} if source else {}),
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": type,
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def _check_amount(invoice: Doc, amount: int) -> None:
    given = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    if amount <= 0 or amount > invoice["total"] - given:
        raise invalid(
            "The credit note amount must be positive and at most what is left of the invoice "
            f"({invoice['total'] - given}).",
            "amount",
        )


def _document(world: World, invoice: Doc, params: Doc, lines: list[Doc], amount: int) -> Doc:
    id, paid = new_id("cn"), invoice["status"] == "paid"
    count = len(world.find("credit_note", invoice=invoice["id"])) + 1
    return {
        "id": id,
        "object": "credit_note",
        "amount": amount,
        "amount_shipping": 0,
        "created": world.now_for(invoice),
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": world.now_for(invoice),
        "invoice": invoice["id"],
        "lines": {"object": "list", "data": lines, "has_more": False, "url": f"/v1/credit_notes/{id}/lines"},
        "livemode": False,
        "memo": params.get("memo") or None,
        "metadata": params.get("metadata") or {},
        "number": f"{invoice['number']}-CN-{count:02d}",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"{world.origin}/i/{invoice['id']}/credit_notes/{id}",
        "post_payment_amount": amount if paid else 0,
        "pre_payment_amount": 0 if paid else amount,
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": amount,
        "subtotal_excluding_tax": amount,
        "total": amount,
        "total_excluding_tax": amount,
        "total_taxes": [],
        "type": "post_payment" if paid else "pre_payment",
        "voided_at": None,
    }


def _give_back(world: World, invoice: Doc, note: Doc, params: Doc, amount: int) -> None:
    """Refund, credit and out-of-band amounts must add up to the note."""
    linked = params.get("refunds") or []
    refund_amount, credit = params.get("refund_amount") or 0, params.get("credit_amount") or 0
    outside = params.get("out_of_band_amount") or 0
    if (
        refund_amount + credit + outside + sum(entry.get("amount_refunded") or 0 for entry in linked)
        != amount
    ):
        raise invalid(
            "The sum of credit amount, refund amount and out of band amount must equal the credit "
            f"note amount ({amount})."
        )
    if refund_amount:
        intent = invoices.intent_of(world, invoice)
        if intent is None:
            raise invalid("This invoice was not paid through Stripe and cannot be refunded.", "refund_amount")
        made = refunds.create(world, {"payment_intent": intent["id"], "amount": refund_amount})
        linked = [*linked, {"refund": made["id"], "amount_refunded": refund_amount}]
    note["refunds"] = [
        {
            "amount_refunded": e.get("amount_refunded"),
            "payment_record_refund": None,
            "refund": e["refund"],
            "type": "refund",
        }
        for e in linked
    ]
    if credit:
        _credit(world, invoice, note, credit)
    invoice["post_payment_credit_notes_amount"] += amount


def _credit(world: World, invoice: Doc, note: Doc, amount: int) -> None:
    customer = world.need("customer", invoice["customer"])
    booked = customers.change_balance(
        world,
        customer,
        -amount,
        type="credit_note",
        invoice=invoice["id"],
        currency=invoice["currency"],
        credit_note=note["id"],
    )
    world.save(customer, "customer.updated")
    note["customer_balance_transaction"] = booked["id"] if booked else None


def _lower(world: World, invoice: Doc, amount: int) -> None:
    invoice["pre_payment_credit_notes_amount"] += amount
    invoice["amount_due"] = max(invoice["amount_due"] - amount, 0)
    invoice["amount_remaining"] = max(invoice["amount_remaining"] - amount, 0)
    intent = invoices.intent_of(world, invoice)
    if intent is not None and intent["status"] in payment_intents.OPEN:
        if invoice["amount_remaining"]:
            intent["amount"] = invoice["amount_remaining"]
            world.save(intent)
        else:
            invoices.settle_without_payment(world, invoice)


def update(world: World, id: str, params: Doc) -> Doc:
    """Memo and metadata."""
    note = world.need("credit_note", id)
    if "memo" in params:
        note["memo"] = params["memo"] or None
    merge_metadata(note, params)
    return world.save(note, "credit_note.updated")


def void(world: World, id: str, params: Doc) -> Doc:
    """Only a note on an invoice that is still open can be taken back."""
    note = world.need("credit_note", id)
    invoice = world.need("invoice", note["invoice"])
    if note["status"] == "void" or invoice["status"] != "open":
        raise invalid("This credit note cannot be voided: its invoice is not open.")
    note.update(status="void", voided_at=world.now_for(invoice))
    invoice["pre_payment_credit_notes_amount"] -= note["amount"]
    invoice["amount_due"] += note["amount"]
    invoice["amount_remaining"] += note["amount"]
    intent = invoices.intent_of(world, invoice)
    if intent is not None:
        intent["amount"] = invoice["amount_remaining"]
        world.save(intent)
    world.save(invoice, "invoice.updated")
    return world.save(note, "credit_note.voided")
