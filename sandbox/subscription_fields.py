"""What a request may say of a subscription, new or old: its card, its end, its payment settings."""

from __future__ import annotations

from typing import Any

from sandbox import payment_methods
from sandbox.errors import invalid
from sandbox.store import Doc
from sandbox.subscription_items import period_of
from sandbox.world import World


def apply_fields(world: World, subscription: Doc, params: Doc) -> None:
    """The parameters that only store something."""
    for name in ("description", "days_until_due", "collection_method"):
        if name in params:
            subscription[name] = params[name] or None
    if "default_payment_method" in params:
        subscription["default_payment_method"] = _method_id(
            world, subscription, params["default_payment_method"]
        )
    if "default_tax_rates" in params:
        rates = params["default_tax_rates"] or []
        subscription["default_tax_rates"] = [world.need("tax_rate", id, "default_tax_rates") for id in rates]
    if "cancellation_details" in params:
        given = params["cancellation_details"]
        subscription["cancellation_details"].update(
            {k: v or None for k, v in given.items() if k in ("comment", "feedback")}
        )
    if params.get("trial_settings"):
        subscription["trial_settings"] = params["trial_settings"]
    if "payment_settings" in params:
        subscription["payment_settings"] = {**subscription["payment_settings"], **payment_settings(params)}
    _apply_end(world, subscription, params)


def payment_settings(params: Doc) -> Doc:
    """How it is paid, with what was left out."""
    given = params.get("payment_settings") or {}
    return {
        "payment_method_options": None,
        "payment_method_types": given.get("payment_method_types") or None,
        "save_default_payment_method": given.get("save_default_payment_method") or "off",
    }


def _method_id(world: World, subscription: Doc, id: str) -> str | None:
    if not id:
        return None
    method = payment_methods.resolve(world, id, "default_payment_method")
    if method["customer"] != subscription["customer"]:
        raise invalid(
            f"The customer does not have a payment method with the ID {method['id']}. The payment "
            "method must be attached to "
            "the customer.",
            "default_payment_method",
            "resource_missing",
        )
    found: str = method["id"]
    return found


def _apply_end(world: World, subscription: Doc, params: Doc) -> None:
    """`cancel_at_period_end` and `cancel_at`: an announced end, which can be taken back."""
    if "cancel_at_period_end" in params and params.get("cancel_at"):
        raise invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.")
    now = world.now_for(subscription)
    if "cancel_at_period_end" in params:
        wanted = params["cancel_at_period_end"]
        if wanted != subscription["cancel_at_period_end"]:
            subscription["cancel_at_period_end"] = wanted
            _announce_end(subscription, period_of(subscription)[1] if wanted else None, now)
    if "cancel_at" in params:
        subscription["cancel_at_period_end"] = False
        _announce_end(subscription, _cancel_moment(subscription, params["cancel_at"], now), now)
        subscription["_"]["cancel_prorates"] = (
            params.get("proration_behavior") or "create_prorations"
        ) != "none"


def _cancel_moment(subscription: Doc, given: Any, now: int) -> int | None:
    if given == "":
        return None
    if given in ("min_period_end", "max_period_end"):
        return period_of(subscription)[1]
    if not isinstance(given, int):
        raise invalid("The sandbox does not know this value.", "cancel_at")
    if given <= now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "cancel_at")
    return given


def _announce_end(subscription: Doc, at: int | None, now: int) -> None:
    subscription["cancel_at"] = at
    subscription["canceled_at"] = now if at is not None else None
    subscription["cancellation_details"]["reason"] = "cancellation_requested" if at is not None else None
