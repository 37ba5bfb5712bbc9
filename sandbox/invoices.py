"""Invoices from draft to paid or closed: https://docs.stripe.com/invoicing/overview#invoice-lifecycle."""

from __future__ import annotations

from collections.abc import Callable

from sandbox import customers, payment_intents
from sandbox.drafts import balance_applied, compute, subscription_of
from sandbox.errors import StripeError
from sandbox.periods import DAY
from sandbox.store import Doc, new_id
from sandbox.world import World

# Subscriptions listen here: (world, invoice).
on_paid: list[Callable[[World, Doc], None]] = []
on_payment_failed: list[Callable[[World, Doc], None]] = []
on_closed: list[Callable[[World, Doc], None]] = []


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
        applied = balance_applied(world, invoice)
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


def settle_off_stripe(world: World, invoice: Doc) -> Doc:
    """Paid by cash or a transfer that Stripe never sees."""
    _cancel_payment(world, invoice, "automatic")
    _mark_paid(world, invoice, 0, off_stripe=invoice["amount_remaining"])
    return invoice


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
