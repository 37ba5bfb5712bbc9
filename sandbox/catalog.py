"""Products, prices, coupons and tax rates.

https://docs.stripe.com/api/products, /prices, /coupons, /tax_rates
"""

from __future__ import annotations

from sandbox.errors import StripeError, invalid, missing_param
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def create_product(world: World, params: Doc) -> Doc:
    """A product, with its default price if one is described."""
    id = params.get("id") or new_id("prod", 14)
    if world.get(id):
        raise StripeError(f"Product already exists: {id}", code="resource_already_exists", param="id")
    now = world.now()
    product = world.add(
        {
            "id": id,
            "object": "product",
            "active": params.get("active", True),
            "created": now,
            "default_price": None,
            "description": params.get("description") or None,
            "images": params.get("images") or [],
            "livemode": False,
            "marketing_features": params.get("marketing_features") or [],
            "metadata": params.get("metadata") or {},
            "name": params["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": params.get("statement_descriptor") or None,
            "tax_code": params.get("tax_code") or None,
            "type": params.get("type") or "service",
            "unit_label": params.get("unit_label") or None,
            "updated": now,
            "url": params.get("url") or None,
        },
        "product.created",
    )
    if params.get("default_price_data"):
        price = create_price(world, {**params["default_price_data"], "product": id})
        product["default_price"] = price["id"]
        world.save(product)
    return product


def update_product(world: World, id: str, params: Doc) -> Doc:
    """Change a product."""
    product = world.need("product", id)
    for name in (
        "active",
        "name",
        "description",
        "default_price",
        "images",
        "unit_label",
        "statement_descriptor",
        "url",
        "tax_code",
    ):
        if name in params:
            product[name] = params[name] if params[name] != "" else None
    merge_metadata(product, params)
    product["updated"] = world.now()
    return world.save(product, "product.updated")


def delete_product(world: World, id: str, params: Doc) -> Doc:
    """Only a product without prices can be deleted."""
    product = world.need("product", id)
    if world.find("price", product=id):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    return world.remove(product, "product.deleted")


def create_price(world: World, params: Doc) -> Doc:
    """A price per unit; recurring where an interval is given."""
    product = _product_of(world, params)
    amount = _unit_amount(params)
    recurring = params.get("recurring")
    if params.get("lookup_key"):
        _claim_lookup_key(world, params)
    return world.add(
        {
            "id": new_id("price"),
            "object": "price",
            "active": params.get("active", True),
            "billing_scheme": params.get("billing_scheme") or "per_unit",
            "created": world.now(),
            "currency": params["currency"].lower(),
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": params.get("lookup_key") or None,
            "metadata": params.get("metadata") or {},
            "nickname": params.get("nickname") or None,
            "product": product,
            "recurring": {
                "interval": recurring["interval"],
                "interval_count": recurring.get("interval_count", 1),
                "meter": None,
                "trial_period_days": recurring.get("trial_period_days"),
                "usage_type": recurring.get("usage_type") or "licensed",
            }
            if recurring
            else None,
            "tax_behavior": params.get("tax_behavior") or "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        },
        "price.created",
    )


def _product_of(world: World, params: Doc) -> str:
    if params.get("product_data"):
        id: str = create_product(world, params["product_data"])["id"]
        return id
    if not params.get("product"):
        raise missing_param("product")
    product: str = world.need("product", params["product"], "product")["id"]
    return product


def _unit_amount(params: Doc) -> int:
    if params.get("billing_scheme") == "tiered" or params.get("tiers"):
        raise invalid("The sandbox has no tiered prices.", "tiers")
    if "unit_amount" in params:
        amount: int = params["unit_amount"]
    elif "unit_amount_decimal" in params and str(params["unit_amount_decimal"]).isdigit():
        amount = int(params["unit_amount_decimal"])
    else:
        raise missing_param("unit_amount")
    if amount < 0:
        raise invalid(
            "This value must be greater than or equal to 0.", "unit_amount", "parameter_invalid_integer"
        )
    return amount


def _claim_lookup_key(world: World, params: Doc) -> None:
    for other in world.find("price"):
        if other["lookup_key"] != params["lookup_key"]:
            continue
        if not params.get("transfer_lookup_key"):
            raise invalid(f"A price (`{other['id']}`) already uses that lookup key.", "lookup_key")
        other["lookup_key"] = None
        world.save(other, "price.updated")


def update_price(world: World, id: str, params: Doc) -> Doc:
    """Only what does not change the money."""
    price = world.need("price", id)
    if params.get("lookup_key"):
        _claim_lookup_key(world, params)
    for name in ("active", "nickname", "lookup_key", "tax_behavior"):
        if name in params:
            price[name] = params[name] if params[name] != "" else None
    merge_metadata(price, params)
    return world.save(price, "price.updated")


def plan_of(price: Doc) -> Doc:
    """The legacy `plan` hash that items still carry."""
    recurring = price["recurring"]
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": price["billing_scheme"],
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": recurring["trial_period_days"],
        "usage_type": recurring["usage_type"],
    }


def create_coupon(world: World, params: Doc) -> Doc:
    """Percent or amount off, once, for some months, or for ever."""
    id = params.get("id") or new_id("c", 8)[2:]
    if world.get(id):
        raise StripeError("Coupon already exists.", code="resource_already_exists", param="id")
    if not params.get("percent_off") and not params.get("amount_off"):
        raise invalid("Must provide percent_off or amount_off.")
    if params.get("percent_off") and params.get("amount_off"):
        raise invalid("You may only specify one of these parameters: percent_off, amount_off.")
    if params.get("amount_off") and not params.get("currency"):
        raise invalid("Must provide currency when passing amount_off.", "currency")
    duration = params.get("duration") or "once"
    if duration == "repeating" and not params.get("duration_in_months"):
        raise invalid("Must provide duration_in_months when duration is repeating.", "duration_in_months")
    return world.add(
        {
            "id": id,
            "object": "coupon",
            "amount_off": params.get("amount_off"),
            "created": world.now(),
            "currency": (params.get("currency") or "").lower() or None if params.get("amount_off") else None,
            "duration": duration,
            "duration_in_months": params.get("duration_in_months"),
            "livemode": False,
            "max_redemptions": params.get("max_redemptions"),
            "metadata": params.get("metadata") or {},
            "name": params.get("name") or None,
            "percent_off": params.get("percent_off"),
            "redeem_by": params.get("redeem_by"),
            "times_redeemed": 0,
            "valid": True,
        },
        "coupon.created",
    )


def update_coupon(world: World, id: str, params: Doc) -> Doc:
    """Name and metadata."""
    coupon = world.need("coupon", id)
    if "name" in params:
        coupon["name"] = params["name"] or None
    merge_metadata(coupon, params)
    return world.save(coupon, "coupon.updated")


def delete_coupon(world: World, id: str, params: Doc) -> Doc:
    """No new redemptions; existing discounts keep working (they carry what they need)."""
    coupon = world.need("coupon", id)
    coupon["_"] = {"gone": True}
    coupon["valid"] = False
    world.save(coupon)
    world.emit("coupon.deleted", coupon)
    return {"id": id, "object": "coupon", "deleted": True}


def redeem_coupon(world: World, id: str, param: str, now: int) -> Doc:
    """Use a coupon once more, if it still may be used."""
    coupon = world.need("coupon", id, param)
    spent = coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]
    late = coupon["redeem_by"] is not None and coupon["redeem_by"] < now
    if coupon.get("_", {}).get("gone"):
        raise StripeError(f"No such coupon: '{id}'", code="resource_missing", param=param)
    if spent or late:
        coupon["valid"] = False
        world.save(coupon)
        raise invalid(f"Coupon expired: {id}", param, "coupon_expired")
    coupon["times_redeemed"] += 1
    coupon["valid"] = (
        coupon["max_redemptions"] is None or coupon["times_redeemed"] < coupon["max_redemptions"]
    )
    return world.save(coupon)


def create_tax_rate(world: World, params: Doc) -> Doc:
    """A percentage, inclusive or on top."""
    if not 0 <= params["percentage"] <= 100:
        raise invalid("Percentage must be between 0 and 100.", "percentage")
    return world.add(
        {
            "id": new_id("txr"),
            "object": "tax_rate",
            "active": params.get("active", True),
            "country": params.get("country") or None,
            "created": world.now(),
            "description": params.get("description") or None,
            "display_name": params["display_name"],
            "effective_percentage": None,
            "flat_amount": None,
            "inclusive": params["inclusive"],
            "jurisdiction": params.get("jurisdiction") or None,
            "jurisdiction_level": None,
            "livemode": False,
            "metadata": params.get("metadata") or {},
            "percentage": params["percentage"],
            "rate_type": "percentage",
            "state": params.get("state") or None,
            "tax_type": params.get("tax_type") or None,
        },
        "tax_rate.created",
    )


def update_tax_rate(world: World, id: str, params: Doc) -> Doc:
    """Names and whether it may still be used; never the percentage."""
    rate = world.need("tax_rate", id)
    for name in ("active", "country", "description", "display_name", "jurisdiction", "state", "tax_type"):
        if name in params:
            rate[name] = params[name] if params[name] != "" else None
    merge_metadata(rate, params)
    return world.save(rate, "tax_rate.updated")
