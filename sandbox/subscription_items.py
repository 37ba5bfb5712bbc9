"""What a subscription is for: its items, their prices and their period: https://docs.stripe.com/api/subscription_items."""

from __future__ import annotations

from sandbox import prorations
from sandbox.catalog import create_price, plan_of
from sandbox.errors import StripeError, invalid, missing_param
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def items_of(subscription: Doc) -> list[Doc]:
    """The subscription items."""
    items: list[Doc] = subscription["items"]["data"]
    return items


def interval_of(subscription: Doc) -> tuple[str, int]:
    """(interval, count); all items share it."""
    recurring = items_of(subscription)[0]["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]


def period_of(subscription: Doc) -> tuple[int, int]:
    """The current period, which the API shows on the items."""
    item = items_of(subscription)[0]
    return item["current_period_start"], item["current_period_end"]


def set_period(subscription: Doc, start: int, end: int) -> None:
    """The period that all items run through together."""
    for item in items_of(subscription):
        item["current_period_start"], item["current_period_end"] = start, end


def make_item(world: World, subscription: str, entry: Doc, n: int, now: int) -> Doc:
    """A subscription item from `price` or `price_data`."""
    if entry.get("price_data"):
        price = create_price(world, entry["price_data"])
    elif entry.get("price") or entry.get("plan"):
        price = world.need("price", entry.get("price") or entry["plan"], f"items[{n}][price]")
    else:
        raise missing_param(f"items[{n}][price]")
    _check_price(price, n)
    return {
        "id": new_id("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": now,
        "current_period_end": now,
        "current_period_start": now,
        "discounts": [],
        "metadata": entry.get("metadata") or {},
        "plan": plan_of(price),
        "price": price,
        "quantity": entry.get("quantity", 1),
        "subscription": subscription,
        "tax_rates": [
            world.need("tax_rate", id, f"items[{n}][tax_rates]") for id in entry.get("tax_rates") or []
        ],
        "_": {"debits": []},
    }


def _check_price(price: Doc, n: int) -> None:
    if price["type"] != "recurring":
        raise invalid(
            "The price specified is set to `type=one_time` but this field only accepts prices with "
            "`type=recurring`.",
            f"items[{n}][price]",
        )
    if not price["active"]:
        raise invalid(
            "The price specified is inactive. This field only accepts active prices.", f"items[{n}][price]"
        )


def check_items(items: list[Doc]) -> None:
    """One currency and one interval for all items."""
    if len({item["price"]["currency"] for item in items}) > 1:
        raise invalid("All prices on a subscription must have the same `currency`.", "items")
    kinds = {(i["price"]["recurring"]["interval"], i["price"]["recurring"]["interval_count"]) for i in items}
    if len(kinds) > 1:
        raise invalid(
            "All prices on a subscription must have the same `recurring.interval` and "
            "`recurring.interval_count`. "
            "(The sandbox has no mixed intervals.)",
            "items",
        )
    if len({item["price"]["id"] for item in items}) < len(items):
        raise invalid("Cannot add multiple subscription items with the same price.", "items")


def change_items(world: World, subscription: Doc, entries: list[Doc], at: int, credit: bool) -> list[Doc]:
    """Apply `items`; credits what changed and returns the items whose new price is still to be debited."""
    items = items_of(subscription)
    touched: list[Doc] = []
    for n, entry in enumerate(entries):
        current = _item_named(items, entry, n)
        if current is None:
            start, stop = period_of(subscription)
            current = make_item(world, subscription["id"], entry, n, world.now_for(subscription))
            current.update(current_period_start=start, current_period_end=stop)
            items.append(current)
            touched.append(current)
            continue
        if not _is_changed(current, entry):
            _set_item_fields(world, current, entry, n)
            continue
        if credit:
            prorations.credit_items(world, subscription, [current], at)
        if entry.get("deleted"):
            items.remove(current)
            continue
        _set_item_fields(world, current, entry, n)
        touched.append(current)
    if not items:
        raise invalid("A subscription must have at least one item.", "items")
    check_items(items)
    subscription["items"]["total_count"] = len(items)
    return touched


def _item_named(items: list[Doc], entry: Doc, n: int) -> Doc | None:
    if not entry.get("id"):
        return None
    for item in items:
        if item["id"] == entry["id"]:
            return item
    raise StripeError(
        f"No such subscription_item: '{entry['id']}'", code="resource_missing", param=f"items[{n}][id]"
    )


def _is_changed(item: Doc, entry: Doc) -> bool:
    price = entry.get("price") or entry.get("plan")
    return bool(
        entry.get("deleted")
        or entry.get("price_data")
        or (price and price != item["price"]["id"])
        or ("quantity" in entry and entry["quantity"] != item["quantity"])
    )


def _set_item_fields(world: World, item: Doc, entry: Doc, n: int) -> None:
    if entry.get("price") or entry.get("plan") or entry.get("price_data"):
        fresh = make_item(world, item["subscription"], entry, n, item["created"])
        item.update(price=fresh["price"], plan=fresh["plan"])
    if "quantity" in entry:
        item["quantity"] = entry["quantity"]
    if "tax_rates" in entry:
        item["tax_rates"] = [
            world.need("tax_rate", id, f"items[{n}][tax_rates]") for id in entry["tax_rates"] or []
        ]
    merge_metadata(item, entry)
