"""Coupons put to use: https://docs.stripe.com/api/discounts."""

from __future__ import annotations

from sandbox.catalog import redeem_coupon
from sandbox.errors import invalid
from sandbox.periods import add_interval
from sandbox.store import Doc, new_id
from sandbox.world import World


def make_all(
    world: World,
    customer: str,
    given: list[Doc],
    *,
    subscription: str | None = None,
    invoice: str | None = None,
) -> list[str]:
    """Redeem the coupons of a `discounts` parameter; ids of the Discounts."""
    return [_make(world, customer, entry, n, subscription, invoice) for n, entry in enumerate(given)]


def _make(
    world: World, customer: str, entry: Doc, n: int, subscription: str | None, invoice: str | None
) -> str:
    if entry.get("discount"):
        id: str = world.need("discount", entry["discount"], f"discounts[{n}][discount]")["id"]
        return id
    if not entry.get("coupon"):
        raise invalid("You must specify a coupon or a discount.", f"discounts[{n}]")
    start = world.now_for({"customer": customer})
    coupon = redeem_coupon(world, entry["coupon"], f"discounts[{n}][coupon]", start)
    end = (
        add_interval(start, "month", coupon["duration_in_months"])
        if coupon["duration"] == "repeating"
        else None
    )
    discount: Doc = {
        "id": new_id("di"),
        "object": "discount",
        "checkout_session": None,
        "customer": customer,
        "customer_account": None,
        "end": end,
        "invoice": invoice,
        "invoice_item": None,
        "promotion_code": None,
        "source": {"coupon": coupon["id"], "type": "coupon"},
        "start": start,
        "subscription": subscription,
        "subscription_item": None,
        "_": {"coupon": {k: coupon[k] for k in ("percent_off", "amount_off", "duration", "currency")}},
    }
    world.add(discount)
    if subscription:
        world.emit("customer.discount.created", discount)
    return str(discount["id"])


def coupons_of(world: World, ids: list[str]) -> list[tuple[str, Doc]]:
    """(discount id, coupon) in order, as they were when redeemed."""
    return [(id, world.need("discount", id)["_"]["coupon"]) for id in ids]


def live(world: World, ids: list[str], at: int) -> list[str]:
    """Those still running at a moment."""
    return [id for id in ids if (end := world.need("discount", id)["end"]) is None or at < end]


def after_invoice(world: World, ids: list[str], at: int) -> list[str]:
    """Those that a later invoice may still use: `once` is used up, `repeating` ends with its months."""
    keep = []
    for id in ids:
        discount = world.need("discount", id)
        over = discount["_"]["coupon"]["duration"] == "once" or (
            discount["end"] is not None and at >= discount["end"]
        )
        if not over:
            keep.append(id)
        elif discount["subscription"]:
            world.emit("customer.discount.deleted", discount)
    return keep
