"""Credits for unused time and debits for remaining time, on integer seconds.

https://docs.stripe.com/billing/subscriptions/prorations. In flexible billing mode (the default of this API
version) a credit is a share of what was really debited for the item, discounts taken off; in classic mode a
share of its current price.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sandbox import discounts, invoice_items, pricing
from sandbox.balance import money
from sandbox.periods import next_boundary, previous_boundary
from sandbox.store import Doc
from sandbox.world import World


def partial_first(subscription: Doc, interval: tuple[int, int] | tuple[str, int], amount: int) -> int:
    """The share of a first period that is cut short by a later anchor."""
    name, count = str(interval[0]), interval[1]
    anchor, now = subscription["billing_cycle_anchor"], subscription["created"]
    start = previous_boundary(anchor, name, count, now)
    end = next_boundary(anchor, name, count, now)
    return pricing.prorate(amount, start, end, now)


def _name(world: World, item: Doc) -> str:
    product = world.get(item["price"]["product"]) or {}
    return str(product.get("name") or item["price"]["nickname"] or item["price"]["id"])


def _counted(world: World, item: Doc) -> str:
    many = f"{item['quantity']} × " if item["quantity"] != 1 else ""
    return f"{many}{_name(world, item)}"


def describe(world: World, item: Doc, *, trial: bool) -> str:
    """As on Stripe's invoices, `... Gold (at $10.00 / month)`, or `Trial period for Gold`."""
    if trial:
        return f"Trial period for {_name(world, item)}"
    recurring = item["price"]["recurring"]
    every = (
        recurring["interval"]
        if recurring["interval_count"] == 1
        else f"every {recurring['interval_count']} {recurring['interval']}s"
    )
    each = money(item["price"]["unit_amount"], item["price"]["currency"])
    return f"{item['quantity']} × {_name(world, item)} (at {each} / {every})"


def debits_on(invoice: Doc, item: Doc) -> list[Doc]:
    """What an invoice debits for an item's period, discounts taken off."""
    found = []
    for line in invoice["lines"]["data"]:
        details = line["parent"].get("subscription_item_details") or {}
        if details.get("subscription_item") != item["id"] or details["proration"] or line["amount"] <= 0:
            continue
        net = line["amount"] - sum(cut["amount"] for cut in line["discount_amounts"])
        found.append(
            {"amount": net, **line["period"], "invoice": invoice["id"], "line": line["id"], "item": None}
        )
    return found


def _debits(subscription: Doc, item: Doc) -> list[Doc]:
    if subscription["billing_mode"]["type"] == "flexible":
        return list(item["_"]["debits"])
    amount = item["price"]["unit_amount"] * item["quantity"]
    period = {"start": item["current_period_start"], "end": item["current_period_end"]}
    known = item["_"]["debits"][0] if item["_"]["debits"] else {"invoice": None, "line": None, "item": None}
    return [{**known, "amount": amount, **period}] if subscription["status"] != "trialing" else []


def _after(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %Y")


def credit_items(world: World, subscription: Doc, items: list[Doc], at: int) -> None:
    """Give back the unused share of what the items were debited, as pending invoice items."""
    for item in items:
        for debit in _debits(subscription, item):
            amount = pricing.prorate(debit["amount"], debit["start"], debit["end"], at)
            if amount:
                _credit(world, subscription, item, debit, amount, at)
        item["_"]["debits"] = []


def _credit(world: World, subscription: Doc, item: Doc, debit: Doc, amount: int, at: int) -> None:
    invoiced = {"invoice": debit["invoice"], "invoice_line_items": [debit["line"]]}
    credited = {
        "invoice_item": debit["item"],
        "invoice_line_item_details": invoiced if debit["line"] else None,
        "type": "invoice_line_items" if debit["line"] else "invoice_item",
    }
    invoice_items.make(
        world,
        customer=subscription["customer"],
        amount=-amount,
        currency=subscription["currency"],
        description=f"Unused time on {_counted(world, item)} after {_after(at)}",
        period={"start": at, "end": debit["end"]},
        price=item["price"],
        quantity=item["quantity"],
        subscription=subscription["id"],
        subscription_item=item["id"],
        proration=True,
        credited=credited,
        discountable=False,
        tax_rates=item["tax_rates"],
        metadata=dict(subscription["metadata"]),
    )


def debit_items(world: World, subscription: Doc, items: list[Doc], at: int) -> None:
    """Owe the remaining share of the items' new price, discounts taken off, as pending invoice items."""
    for item in items:
        start, end = item["current_period_start"], item["current_period_end"]
        price = item["price"]["unit_amount"] * item["quantity"]
        amount = _discounted(world, subscription, pricing.prorate(price, start, end, at))
        made = invoice_items.make(
            world,
            customer=subscription["customer"],
            amount=amount,
            currency=subscription["currency"],
            description=f"Remaining time on {_counted(world, item)} after {_after(at)}",
            period={"start": at, "end": end},
            price=item["price"],
            quantity=item["quantity"],
            subscription=subscription["id"],
            subscription_item=item["id"],
            proration=True,
            discountable=False,
            tax_rates=item["tax_rates"],
            metadata=dict(subscription["metadata"]),
        )
        item["_"]["debits"] = [
            {"amount": amount, "start": at, "end": end, "invoice": None, "line": None, "item": made["id"]}
        ]


def _discounted(world: World, subscription: Doc, amount: int) -> int:
    """Percentages apply to prorations; amounts off were given with the period's invoice."""
    ids = discounts.live(world, subscription["discounts"], world.now_for(subscription))
    for _, coupon in discounts.coupons_of(world, ids):
        if coupon["percent_off"]:
            amount -= pricing.percentage_of(amount, coupon["percent_off"])
    return amount
