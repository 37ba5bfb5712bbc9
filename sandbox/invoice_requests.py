"""The endpoints of invoices: https://docs.stripe.com/api/invoices."""

from __future__ import annotations

from typing import Any

from sandbox import discounts, invoice_items, invoices, payment_intents, payment_methods
from sandbox.drafts import FINALIZE_AFTER, add_items, compute, draft, subscription_of
from sandbox.errors import StripeError, invalid, missing_param
from sandbox.store import Doc
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def create(world: World, params: Doc) -> Doc:
    """A draft by hand, for a customer or a subscription, with pending items if asked."""
    if not params.get("customer") and not params.get("subscription"):
        raise missing_param("customer")
    subscription = (
        world.need("subscription", params["subscription"], "subscription")
        if params.get("subscription")
        else None
    )
    customer = world.need("customer", params.get("customer") or (subscription or {})["customer"], "customer")
    currency = (
        params.get("currency") or (subscription or {}).get("currency") or customer["currency"] or "usd"
    ).lower()
    invoice = draft(
        world,
        customer,
        reason="manual",
        currency=currency,
        subscription=subscription,
        auto_advance=params.get("auto_advance", False),
    )
    _apply(world, invoice, params)
    take = params.get("pending_invoice_items_behavior") or ("include" if subscription else "exclude")
    world.add(invoice)
    if take != "exclude":
        add_items(
            world, invoice, invoice_items.pending(world, customer["id"], params.get("subscription"), currency)
        )
    compute(world, invoice)
    world.save(invoice)
    world.emit("invoice.created", invoice)
    return invoice


def _apply(world: World, invoice: Doc, params: Doc) -> None:
    for name in ("description", "footer", "collection_method", "due_date", "number", "statement_descriptor"):
        if name in params:
            invoice[name] = params[name] or None
    if params.get("default_payment_method"):
        method = payment_methods.resolve(world, params["default_payment_method"], "default_payment_method")
        invoice["default_payment_method"] = method["id"]
    if "default_tax_rates" in params:
        invoice["default_tax_rates"] = [
            world.need("tax_rate", id, "default_tax_rates") for id in params["default_tax_rates"] or []
        ]
    if "discounts" in params:
        invoice["_"]["discounts"] = discounts.make_all(
            world, invoice["customer"], params["discounts"] or [], invoice=invoice["id"]
        )
    if "days_until_due" in params:
        invoice["_"]["days_until_due"] = params["days_until_due"]
    if "auto_advance" in params:
        _set_auto_advance(world, invoice, params["auto_advance"])
    merge_metadata(invoice, params)


def _set_auto_advance(world: World, invoice: Doc, value: bool) -> None:
    invoice["auto_advance"] = value
    if invoice["status"] == "draft":
        at = world.now_for(invoice) + FINALIZE_AFTER if value else None
        invoice["automatically_finalizes_at"] = invoice["_"]["due"] = invoice["next_payment_attempt"] = at
    elif not value:
        invoice["next_payment_attempt"] = invoice["_"]["due"] = None


def update(world: World, id: str, params: Doc) -> Doc:
    """A draft can be edited; a finalised invoice only in a few fields."""
    invoice = world.need("invoice", id)
    free = {"metadata", "auto_advance", "default_payment_method", "payment_settings", "expand", "description"}
    if invoice["status"] != "draft" and set(params) - free:
        raise invalid("Finalized invoices can't be updated in this way", code="invoice_not_editable")
    _apply(world, invoice, params)
    if invoice["status"] == "draft":
        compute(world, invoice)
    return world.save(invoice, "invoice.updated")


def need_status(invoice: Doc, *allowed: str, message: str) -> None:
    """Refuse a step that the invoice's status does not allow."""
    if invoice["status"] not in allowed:
        raise invalid(message, code="invoice_not_editable" if "draft" in allowed else None)


def finalize_invoice(world: World, id: str, params: Doc) -> Doc:
    """Finalise now; with `auto_advance` the payment is tried an hour later by the clock."""
    invoice = world.need("invoice", id)
    need_status(
        invoice,
        "draft",
        message="This invoice is already finalized, you can't re-finalize a non-draft invoice.",
    )
    if "auto_advance" in params:
        invoice["auto_advance"] = params["auto_advance"]
    invoices.finalize(world, invoice)
    if (
        invoice["status"] == "open"
        and invoice["auto_advance"]
        and invoice["collection_method"] == "charge_automatically"
    ):
        invoice["next_payment_attempt"] = invoice["_"]["due"] = world.now_for(invoice) + FINALIZE_AFTER
        world.save(invoice)
    return invoice


def pay(world: World, id: str, params: Doc) -> Doc:
    """Pay now: with a given card, the default one, or outside Stripe. Effects of a decline stay."""
    invoice = world.need("invoice", id)
    if invoice["status"] == "paid":
        raise invalid("Invoice is already paid")
    if invoice["status"] == "void":
        raise invalid("Invoice has been voided and can't be paid")
    if invoice["status"] == "draft":
        invoices.finalize(world, invoice)
        if invoice["status"] == "paid":
            return invoice
    if params.get("paid_out_of_band"):
        return invoices.settle_off_stripe(world, invoice)
    given = params.get("payment_method")
    method = payment_methods.resolve(world, given) if given else invoices.method_for(world, invoice)
    if method is None:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
            "`default_payment_method`.",
            code="resource_missing",
        )
    intent = invoices.intent_of(world, invoice)
    assert intent is not None
    if method["customer"] is None:
        payment_methods.attach_to(world, method, world.need("customer", invoice["customer"]))
    payment_intents.attempt(
        world, intent, method, off_session=params.get("off_session", True), by_invoice=True
    )
    if intent["status"] == "requires_action":
        raise StripeError(
            "This payment requires additional user action before it can be completed successfully. "
            "Payment can be completed "
            "using the PaymentIntent associated with this invoice.",
            http=402, type="card_error", code="invoice_payment_intent_requires_action", keeps_effects=True,
        )  # fmt: skip
    return invoice


def void(world: World, id: str, params: Doc) -> Doc:
    """Cancel an open or uncollectible invoice for good."""
    invoice = world.need("invoice", id)
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(
            f"You can only pass in open invoices. This invoice isn't open. (status: {invoice['status']})"
        )
    return invoices.close(world, invoice, "void")


def mark_uncollectible(world: World, id: str, params: Doc) -> Doc:
    """Write an open invoice off."""
    invoice = world.need("invoice", id)
    if invoice["status"] != "open":
        raise invalid("You can only mark an open invoice as uncollectible.")
    return invoices.close(world, invoice, "uncollectible")


def delete_draft(world: World, id: str, params: Doc) -> Doc:
    """Only a draft made by hand can be deleted; its items become pending again."""
    invoice = world.need("invoice", id)
    if invoice["status"] != "draft":
        raise invalid(
            "You can only delete draft invoices. To cancel a finalized invoice, void it instead.",
            code="invoice_not_editable",
        )
    if subscription_of(invoice) and invoice["billing_reason"] != "manual":
        raise invalid("You can only delete one-off invoices. This invoice belongs to a subscription.")
    for item in world.find("invoiceitem", invoice=id):
        item["invoice"] = None
        world.save(item)
    return world.remove(invoice, "invoice.deleted")


def send(world: World, id: str, params: Doc) -> Doc:
    """Finalise if need be; the sandbox sends no mail."""
    invoice = world.need("invoice", id)
    if invoice["status"] == "draft":
        invoices.finalize(world, invoice)
    world.emit("invoice.sent", invoice)
    return invoice


def list_lines(world: World, id: str) -> list[Any]:
    """All lines of an invoice."""
    lines: list[Any] = world.need("invoice", id)["lines"]["data"]
    return lines
