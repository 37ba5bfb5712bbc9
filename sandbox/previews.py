"""What the next invoice would be: https://docs.stripe.com/api/invoices/create_preview.

The change is really made and billed inside a savepoint, then undone: a preview cannot differ from what would
happen.
"""

from __future__ import annotations

import copy

from sandbox import (
    invoice_items,
    invoice_requests,
    subscription_changes,
    subscription_items,
    subscription_starts,
    subscriptions,
)
from sandbox.errors import invalid
from sandbox.store import Doc
from sandbox.world import World

_FIELDS = (
    "items",
    "cancel_at",
    "cancel_at_period_end",
    "default_tax_rates",
    "proration_behavior",
    "proration_date",
    "trial_end",
    "billing_cycle_anchor",
)


class _Undo(Exception):
    """Ends the savepoint."""


def create(world: World, params: Doc) -> Doc:
    """The next invoice of a subscription, as it is or changed by `subscription_details`, or of a new one."""
    found: list[Doc] = []
    try:
        with world.savepoint():
            found.append(copy.deepcopy(_preview(world, params)))
            raise _Undo
    except _Undo:
        pass
    invoice = found[0]
    invoice.update(
        id=invoice["id"].replace("in_", "upcoming_in_"),
        status="draft",
        number=None,
        hosted_invoice_url=None,
        invoice_pdf=None,
        effective_at=None,
        amount_paid=0,
        attempt_count=0,
        attempted=False,
        amount_remaining=invoice["amount_due"],
    )
    return invoice


def _preview(world: World, params: Doc) -> Doc:
    details = {k: v for k, v in (params.get("subscription_details") or {}).items() if k in _FIELDS}
    for entry in params.get("invoice_items") or []:
        plain = {k: v for k, v in entry.items() if k not in ("invoiceitem", "price", "unit_amount")}
        if entry.get("price"):
            plain["pricing"] = {"price": entry["price"]}
        invoice_items.create(world, {"customer": _customer(world, params), **plain})
    if not params.get("subscription"):
        return _new_subscription(world, params, details)
    subscription = world.need("subscription", params["subscription"], "subscription")
    if subscription["status"] in subscriptions.ENDED:
        raise invalid(
            "You cannot preview the upcoming invoice for a canceled subscription.",
            code="invoice_upcoming_none",
        )
    latest = subscription["latest_invoice"]
    if details:
        subscription_changes.update(world, subscription["id"], details)
        now_billed = subscription["latest_invoice"] != latest
        if now_billed:
            return world.need("invoice", subscription["latest_invoice"])
    return _renewal(world, subscription)


def _customer(world: World, params: Doc) -> str:
    if params.get("customer"):
        return str(params["customer"])
    return str(world.need("subscription", params["subscription"], "subscription")["customer"])


def _renewal(world: World, subscription: Doc) -> Doc:
    """The invoice of the next period; a subscription that ends has only what is pending."""
    ends = subscription["cancel_at"]
    period_end = subscription_items.period_of(subscription)[1]
    with world.at(period_end):
        if ends is not None and ends <= period_end:
            found = subscriptions.bill_now(world, subscription)
            if found is None:
                raise invalid(
                    "No upcoming invoices for customer: the subscription is set to cancel.",
                    code="invoice_upcoming_none",
                )
            return found
        subscriptions.renew(world, subscription)
    return world.need("invoice", subscription["latest_invoice"])


def _new_subscription(world: World, params: Doc, details: Doc) -> Doc:
    if not params.get("customer"):
        raise invalid("You must provide `customer` or `subscription`.", "customer", "parameter_missing")
    if not details.get("items"):
        return _pending_only(world, params)
    fields = {
        k: v
        for k, v in details.items()
        if k in ("items", "trial_end", "default_tax_rates", "billing_cycle_anchor")
    }
    discounts = {"discounts": params["discounts"]} if params.get("discounts") else {}
    made = subscription_starts.create(
        world,
        {"customer": params["customer"], "payment_behavior": "default_incomplete", **fields, **discounts},
    )
    return world.need("invoice", made["latest_invoice"])


def _pending_only(world: World, params: Doc) -> Doc:
    made = invoice_requests.create(
        world, {"customer": params["customer"], "pending_invoice_items_behavior": "include"}
    )
    if not made["lines"]["data"]:
        raise invalid(
            f"No upcoming invoices for customer: {params['customer']}", code="invoice_upcoming_none"
        )
    return made
