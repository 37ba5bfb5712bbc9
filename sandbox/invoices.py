"""Invoices from draft to paid: https://docs.stripe.com/api/invoices, https://docs.stripe.com/invoicing/overview."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import customers, discounts, invoice_items, payment_intents, payment_methods, pricing
from sandbox.errors import StripeError, invalid, missing_param
from sandbox.periods import DAY
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World

FINALIZE_AFTER = 3600

# Subscriptions listen here: (world, invoice).
on_paid: list[Callable[[World, Doc], None]] = []
on_payment_failed: list[Callable[[World, Doc], None]] = []
on_closed: list[Callable[[World, Doc], None]] = []


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
    due = max(invoice["total"] + _balance_applied(world, invoice), 0)
    invoice.update(amount_due=due, amount_remaining=due)


def _balance_applied(world: World, invoice: Doc) -> int:
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


def need_status(invoice: Doc, *allowed: str, message: str) -> None:
    """Refuse a step that the invoice's status does not allow."""
    if invoice["status"] not in allowed:
        raise invalid(message, code="invoice_not_editable" if "draft" in allowed else None)


def finalize(world: World, invoice: Doc) -> Doc:
    """Number it, apply the customer's balance, owe the payment; nothing due means paid."""
    compute(world, invoice)
    customer = world.need("customer", invoice["customer"])
    now = world.now_for(customer)
    _apply_balance(world, invoice, customer)
    invoice.update(
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        status="open",
        effective_at=now,
        automatically_finalizes_at=None,
        hosted_invoice_url=f"{world.origin}/i/{invoice['id']}",
        invoice_pdf=f"{world.origin}/i/{invoice['id']}/pdf",
    )
    invoice["status_transitions"]["finalized_at"] = now
    invoice["_"]["due"] = None
    if invoice["collection_method"] == "send_invoice":
        invoice["due_date"] = invoice["due_date"] or now + (invoice["_"].get("days_until_due") or 30) * DAY
    customer["next_invoice_sequence"] += 1
    customer["currency"] = customer["currency"] or invoice["currency"]
    world.save(customer, "customer.updated")
    intent = _owe_payment(world, invoice) if invoice["amount_due"] > 0 else None
    world.save(invoice)
    world.emit("invoice.finalized", invoice)
    if intent is not None:
        world.emit("payment_intent.created", intent)
    if invoice["amount_due"] == 0:
        _mark_paid(world, invoice, 0)
    return invoice


def _apply_balance(world: World, invoice: Doc, customer: Doc) -> None:
    invoice["starting_balance"] = customer["balance"]
    if invoice["total"] < 0:
        moved, due = invoice["total"], 0
    else:
        applied = _balance_applied(world, invoice)
        moved, due = -applied, invoice["total"] + applied
    customers.change_balance(
        world, customer, moved, type="applied_to_invoice", invoice=invoice["id"], currency=invoice["currency"]
    )
    invoice.update(ending_balance=customer["balance"], amount_due=due, amount_remaining=due)


def _owe_payment(world: World, invoice: Doc) -> Doc:
    """The invoice's default payment and its intent."""
    intent = payment_intents.make(world, invoice["customer"], invoice["amount_due"], invoice["currency"])
    names = {"subscription_create": "Subscription creation", "manual": "Payment for Invoice"}
    intent["description"] = names.get(invoice["billing_reason"], "Subscription update")
    intent["setup_future_usage"] = "off_session" if invoice["_"].get("saves_method") else None
    intent["_"]["invoice"] = invoice["id"]
    world.save(intent)
    world.add(
        {
            "id": new_id("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": world.now_for(invoice),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )
    return intent


def payment_of(world: World, invoice: Doc) -> Doc | None:
    """The open or paid default payment of an invoice."""
    found = [p for p in world.find("invoice_payment", invoice=invoice["id"]) if p["status"] != "canceled"]
    return found[0] if found else None


def intent_of(world: World, invoice: Doc) -> Doc | None:
    """The payment intent behind the default payment."""
    payment = payment_of(world, invoice)
    return world.get(payment["payment"]["payment_intent"]) if payment else None


def method_for(world: World, invoice: Doc) -> Doc | None:
    """Invoice, then subscription, then customer default."""
    subscription = world.get(subscription_of(invoice)) or {}
    settings = (world.get(invoice["customer"]) or {}).get("invoice_settings") or {}
    for id in (
        invoice["default_payment_method"],
        subscription.get("default_payment_method"),
        settings.get("default_payment_method"),
    ):
        method = world.get(id)
        if method is not None:
            return method
    return None


def collect(world: World, invoice: Doc, *, off_session: bool = True) -> Doc:
    """Billing's own attempt: it counts, it may fail, it never raises."""
    if invoice["status"] != "open" or invoice["amount_remaining"] == 0:
        return invoice
    invoice["_"]["automatic"] = True
    invoice["next_payment_attempt"] = invoice["_"]["due"] = None
    method = method_for(world, invoice)
    intent = intent_of(world, invoice)
    try:
        if method is None or intent is None:
            _attempt_failed(world, invoice)
        else:
            payment_intents.attempt(world, intent, method, off_session=off_session, by_invoice=True)
    except StripeError as problem:
        if not problem.keeps_effects:
            _attempt_failed(world, invoice)
    finally:
        invoice["_"].pop("automatic", None)
        world.save(invoice)
    return invoice


def _count_attempt(invoice: Doc) -> None:
    """Any first attempt counts, afterwards only Billing's own do (`attempt_count` in Stripe's reference)."""
    if invoice["_"].get("automatic") or invoice["attempt_count"] == 0:
        invoice["attempt_count"] += 1
    invoice["attempted"] = True


def _attempt_failed(world: World, invoice: Doc) -> None:
    before = invoice["attempt_count"]
    _count_attempt(invoice)
    if invoice["attempt_count"] > before:
        _schedule_retry(world, invoice)
    world.save(invoice, "invoice.updated")
    world.emit("invoice.payment_failed", invoice)
    for listener in on_payment_failed:
        listener(world, invoice)


def _schedule_retry(world: World, invoice: Doc) -> None:
    """The account's `retry_days` (days between attempts); a subscription's first invoice is never retried."""
    days: list[int] = world.setting("retry_days", [])
    done = invoice["attempt_count"] - 1
    retried = (
        invoice["auto_advance"] and invoice["billing_reason"] != "subscription_create" and done < len(days)
    )
    at = world.now_for(invoice) + days[done] * DAY if retried else None
    invoice["next_payment_attempt"] = invoice["_"]["due"] = at
    invoice["_"]["exhausted"] = not retried


def _invoice_of_intent(world: World, intent: Doc) -> Doc | None:
    return world.get(intent["_"].get("invoice"))


def _intent_succeeded(world: World, intent: Doc) -> None:
    invoice = _invoice_of_intent(world, intent)
    if invoice is None or invoice["status"] not in ("open", "uncollectible"):
        return
    _count_attempt(invoice)
    payment = payment_of(world, invoice)
    if payment is not None:
        payment.update(status="paid", amount_paid=intent["amount"])
        payment["status_transitions"]["paid_at"] = world.now_for(intent)
        world.save(payment)
        world.emit("invoice_payment.paid", payment)
    _mark_paid(world, invoice, intent["amount"])


def _intent_failed(world: World, intent: Doc) -> None:
    invoice = _invoice_of_intent(world, intent)
    if invoice is not None and invoice["status"] == "open":
        _attempt_failed(world, invoice)


def _intent_needs_action(world: World, intent: Doc) -> None:
    invoice = _invoice_of_intent(world, intent)
    if invoice is None or invoice["status"] != "open":
        return
    _count_attempt(invoice)
    _schedule_retry(world, invoice)
    world.save(invoice, "invoice.updated")
    world.emit("invoice.payment_action_required", invoice)
    if invoice["_"].get("automatic") and invoice["billing_reason"] != "subscription_create":
        world.emit("invoice.payment_failed", invoice)
        for listener in on_payment_failed:
            listener(world, invoice)


payment_intents.on_success.append(_intent_succeeded)
payment_intents.on_failure.append(_intent_failed)
payment_intents.on_action.append(_intent_needs_action)


def _mark_paid(world: World, invoice: Doc, amount: int, *, off_stripe: int = 0) -> None:
    invoice.update(
        status="paid",
        amount_paid=amount + off_stripe,
        amount_paid_off_stripe=off_stripe,
        amount_remaining=0,
        attempted=True,
        auto_advance=False,
        next_payment_attempt=None,
    )
    invoice["status_transitions"]["paid_at"] = world.now_for(invoice)
    invoice["_"]["due"] = None
    world.save(invoice, "invoice.updated")
    world.emit("invoice.paid", invoice)
    if not off_stripe:
        world.emit("invoice.payment_succeeded", invoice)
    for listener in on_paid:
        listener(world, invoice)


def settle_without_payment(world: World, invoice: Doc) -> None:
    """Credit notes took the whole amount: paid, and nothing left to collect."""
    _cancel_payment(world, invoice, "automatic")
    _mark_paid(world, invoice, 0)


def come_due(world: World, invoice: Doc) -> None:
    """The clock reached the automatic finalisation of a draft, or a retry of an open invoice."""
    if invoice["status"] == "draft":
        finalize(world, invoice)
        if invoice["collection_method"] == "charge_automatically":
            collect(world, invoice)
    elif invoice["status"] == "open":
        collect(world, invoice)
    else:
        invoice["_"]["due"] = None
        world.save(invoice)


# The endpoints


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
    finalize(world, invoice)
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
        finalize(world, invoice)
        if invoice["status"] == "paid":
            return invoice
    if params.get("paid_out_of_band"):
        _cancel_payment(world, invoice, "automatic")
        _mark_paid(world, invoice, 0, off_stripe=invoice["amount_remaining"])
        return invoice
    given = params.get("payment_method")
    method = payment_methods.resolve(world, given) if given else method_for(world, invoice)
    if method is None:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
            "`default_payment_method`.",
            code="resource_missing",
        )
    intent = intent_of(world, invoice)
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


def _cancel_payment(world: World, invoice: Doc, reason: str) -> None:
    payment = payment_of(world, invoice)
    if payment is None or payment["status"] != "open":
        return
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = world.now_for(invoice)
    world.save(payment)
    intent = world.get(payment["payment"]["payment_intent"])
    if intent is not None:
        payment_intents.cancel_intent(world, intent, reason)


def void(world: World, id: str, params: Doc) -> Doc:
    """Cancel an open or uncollectible invoice for good."""
    invoice = world.need("invoice", id)
    if invoice["status"] not in ("open", "uncollectible"):
        raise invalid(
            f"You can only pass in open invoices. This invoice isn't open. (status: {invoice['status']})"
        )
    return close(world, invoice, "void")


def mark_uncollectible(world: World, id: str, params: Doc) -> Doc:
    """Write an open invoice off."""
    invoice = world.need("invoice", id)
    if invoice["status"] != "open":
        raise invalid("You can only mark an open invoice as uncollectible.")
    return close(world, invoice, "uncollectible")


def close(world: World, invoice: Doc, status: str) -> Doc:
    """Void, or mark uncollectible (which can still be paid). Voiding gives the customer's credit back."""
    now = world.now_for(invoice)
    invoice.update(status=status, next_payment_attempt=None, auto_advance=False)
    invoice["_"]["due"] = None
    if status == "void":
        invoice["status_transitions"]["voided_at"] = now
        invoice["amount_remaining"] = invoice["amount_due"]
        _return_balance(world, invoice)
        _cancel_payment(world, invoice, "void_invoice")
    else:
        invoice["status_transitions"]["marked_uncollectible_at"] = now
    world.save(invoice, "invoice.updated")
    world.emit("invoice.voided" if status == "void" else "invoice.marked_uncollectible", invoice)
    for listener in on_closed:
        listener(world, invoice)
    return invoice


def _return_balance(world: World, invoice: Doc) -> None:
    if invoice["ending_balance"] is None:
        return
    customer = world.need("customer", invoice["customer"])
    moved = invoice["ending_balance"] - invoice["starting_balance"]
    if customer.get("deleted") or moved == 0:
        return
    customers.change_balance(
        world,
        customer,
        -moved,
        type="unapplied_from_invoice",
        invoice=invoice["id"],
        currency=invoice["currency"],
    )
    world.save(customer, "customer.updated")


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
        finalize(world, invoice)
    world.emit("invoice.sent", invoice)
    return invoice


def list_lines(world: World, id: str) -> list[Any]:
    """All lines of an invoice."""
    lines: list[Any] = world.need("invoice", id)["lines"]["data"]
    return lines
