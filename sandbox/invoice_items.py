"""Pending invoice items: https://docs.stripe.com/api/invoiceitems."""

from __future__ import annotations

from sandbox import drafts
from sandbox.catalog import create_price
from sandbox.errors import invalid, missing_param
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def create(world: World, params: Doc) -> Doc:
    """An amount, or a price, that the next invoice of the customer (or a given draft) will carry."""
    if not params.get("customer"):
        raise missing_param("customer")
    customer = world.need("customer", params["customer"], "customer")
    price, quantity = _price(world, params), params.get("quantity", 1)
    if price is None and "amount" not in params and "unit_amount_decimal" not in params:
        raise missing_param("amount")
    unit = price["unit_amount"] if price else int(params.get("unit_amount_decimal") or 0)
    now = world.now_for(customer)
    item = make(
        world,
        customer=customer["id"],
        amount=params["amount"] if "amount" in params else unit * quantity,
        currency=(price["currency"] if price else params.get("currency") or "usd").lower(),
        description=params.get("description")
        or (price and world.need("product", price["product"])["name"])
        or None,
        period=params.get("period") or {"start": now, "end": now},
        price=price,
        quantity=quantity,
        subscription=params.get("subscription"),
        discountable=params.get("discountable", True),
        tax_rates=[world.need("tax_rate", id, "tax_rates") for id in params.get("tax_rates") or []],
        metadata=params.get("metadata") or {},
    )
    if params.get("invoice"):
        _put_on_draft(world, item, params["invoice"])
    return item


def _price(world: World, params: Doc) -> Doc | None:
    if params.get("price_data"):
        return create_price(world, params["price_data"])
    id = (params.get("pricing") or {}).get("price")
    return world.need("price", id, "pricing[price]") if id else None


def _put_on_draft(world: World, item: Doc, invoice_id: str) -> None:
    invoice = world.need("invoice", invoice_id, "invoice")
    if invoice["status"] != "draft":
        raise invalid("This invoice is no longer editable", "invoice", "invoice_not_editable")
    drafts.add_items(world, invoice, [item])
    drafts.compute(world, invoice)
    world.save(invoice, "invoice.updated")


def make(
    world: World,
    *,
    customer: str,
    amount: int,
    currency: str,
    description: str | None,
    period: Doc,
    price: Doc | None = None,
    quantity: int = 1,
    subscription: str | None = None,
    subscription_item: str | None = None,
    proration: bool = False,
    credited: Doc | None = None,
    discountable: bool = True,
    tax_rates: list[Doc] | None = None,
    metadata: Doc | None = None,
) -> Doc:
    """The object, with its event."""
    parent = {
        "subscription_details": {"subscription": subscription, "subscription_item": subscription_item},
        "type": "subscription_details",
    }
    unit = price["unit_amount_decimal"] if price else str(amount // quantity if quantity else amount)
    return world.add(
        {
            "id": new_id("ii"),
            "object": "invoiceitem",
            "amount": amount,
            "currency": currency,
            "customer": customer,
            "customer_account": None,
            "date": world.now_for({"customer": customer}),
            "description": description,
            "discountable": discountable,
            "discounts": [],
            "invoice": None,
            "livemode": False,
            "metadata": metadata or {},
            "net_amount": amount,
            "parent": parent if subscription else None,
            "period": period,
            "pricing": {
                "price_details": {"price": price["id"], "product": price["product"]} if price else None,
                "type": "price_details",
                "unit_amount_decimal": unit,
            }
            if price
            else None,
            "proration": proration,
            "proration_details": {"credited_items": credited, "discount_amounts": []} if proration else None,
            "quantity": quantity,
            "quantity_decimal": str(quantity),
            "tax_rates": tax_rates or [],
            "test_clock": world.clock_of({"customer": customer}),
            "_": {},
        },
        "invoiceitem.created",
    )


def update(world: World, id: str, params: Doc) -> Doc:
    """Change a pending item."""
    item = world.need("invoiceitem", id)
    if item["invoice"] is not None:
        raise invalid("This invoice item is attached to an invoice and can no longer be modified.")
    for name in ("amount", "description", "discountable"):
        if name in params:
            item[name] = params[name]
    item["net_amount"] = item["amount"]
    merge_metadata(item, params)
    return world.save(item)


def delete(world: World, id: str, params: Doc) -> Doc:
    """Take a pending item, or one on a draft, away."""
    item = world.need("invoiceitem", id)
    invoice = world.get(item["invoice"])
    if invoice is not None:
        if invoice["status"] != "draft":
            raise invalid(
                "You can't delete an invoice item that's attached to a finalized invoice.",
                code="invoice_not_editable",
            )
        invoice["lines"]["data"] = [line for line in invoice["lines"]["data"] if line["_"].get("item") != id]
        drafts.compute(world, invoice)
        world.save(invoice, "invoice.updated")
    return world.remove(item, "invoiceitem.deleted")


def pending(world: World, customer: str, subscription: str | None, currency: str) -> list[Doc]:
    """What the next invoice takes along: items of this subscription and those of no subscription."""
    found = []
    for item in world.find("invoiceitem", customer=customer):
        parent = (item["parent"] or {}).get("subscription_details") or {}
        own = parent.get("subscription")
        if item["invoice"] is None and item["currency"] == currency and own in (None, subscription):
            found.append(item)
    return found
