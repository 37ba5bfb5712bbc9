"""A subscription is changed, cancelled, resumed: https://docs.stripe.com/api/subscriptions/update."""

from __future__ import annotations

from typing import Any

from sandbox import discounts, invoice_items, prorations
from sandbox.errors import StripeError, invalid
from sandbox.periods import add_interval, next_boundary
from sandbox.store import Doc
from sandbox.subscription_fields import apply_fields
from sandbox.subscription_items import change_items, interval_of, items_of, period_of, set_period
from sandbox.subscription_starts import extra_item, incomplete_error
from sandbox.subscriptions import ENDED, bill_now, bill_period, collect_now, end, is_paused, schedule
from sandbox.webhooks import merge_metadata
from sandbox.world import World


def update(world: World, id: str, params: Doc) -> Doc:
    """Change a subscription (https://docs.stripe.com/billing/subscriptions/prorations)."""
    subscription = world.need("subscription", id)
    if subscription["status"] in ENDED:
        return _update_ended(world, subscription, params)
    strict = params.get("payment_behavior") == "error_if_incomplete"
    if strict:
        with world.savepoint():
            _change(world, subscription, params)
            invoice = world.get(subscription["latest_invoice"])
            if (
                invoice is not None
                and invoice["billing_reason"] == "subscription_update"
                and invoice["status"] == "open"
            ):
                raise incomplete_error(world, invoice)
    else:
        _change(world, subscription, params)
    return subscription


def _update_ended(world: World, subscription: Doc, params: Doc) -> Doc:
    if set(params) - {"metadata", "cancellation_details", "expand"}:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )
    apply_fields(world, subscription, {k: v for k, v in params.items() if k == "cancellation_details"})
    merge_metadata(subscription, params)
    return world.save(subscription, "customer.subscription.updated")


def _change(world: World, subscription: Doc, params: Doc) -> None:
    if "discounts" in params:
        given = params["discounts"] or []
        subscription["discounts"] = discounts.make_all(
            world, subscription["customer"], given, subscription=subscription["id"]
        )
    if "pause_collection" in params:
        subscription["pause_collection"] = _pause(params["pause_collection"])
    merge_metadata(subscription, params)
    now = world.now_for(subscription)
    at = params.get("proration_date") or now
    behavior = params.get("proration_behavior") or "create_prorations"
    before = interval_of(subscription)
    credit = behavior != "none" and subscription["status"] != "trialing"
    trial_end = params.get("trial_end")
    restart = params.get("billing_cycle_anchor") == "now" or (
        trial_end == "now" and subscription["status"] == "trialing"
    )
    added: list[Doc] = []
    if params.get("items"):
        added = change_items(world, subscription, params["items"], at, credit)
        restart = restart or interval_of(subscription) != before
    if isinstance(trial_end, int):
        _move_to_trial(world, subscription, trial_end, now, credit)
    elif restart:
        _restart_period(world, subscription, now, credit)
    elif credit:
        prorations.debit_items(world, subscription, added, at)
    apply_fields(world, subscription, params)
    for entry in params.get("add_invoice_items") or []:
        extra = {
            **extra_item(entry),
            "customer": subscription["customer"],
            "subscription": subscription["id"],
        }
        invoice_items.create(world, extra)
    _keep_end_in_step(subscription)
    if behavior == "always_invoice" and not restart:
        bill_now(world, subscription, off_session=bool(params.get("off_session", True)))
    schedule(world, subscription, "customer.subscription.updated")


def _keep_end_in_step(subscription: Doc) -> None:
    """`cancel_at_period_end` follows the period's end when that moves."""
    if subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = period_of(subscription)[1]


def _pause(given: Any) -> Doc | None:
    return {"behavior": given["behavior"], "resumes_at": given.get("resumes_at")} if given else None


def _move_to_trial(world: World, subscription: Doc, trial_end: int, now: int, credit: bool) -> None:
    """A trial end in the future moves the anchor there; until then nothing is billed."""
    if trial_end <= now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
    if credit:
        prorations.credit_items(world, subscription, items_of(subscription), now)
    start = period_of(subscription)[0] if subscription["status"] == "trialing" else now
    if subscription["status"] != "trialing":
        subscription["trial_start"] = now
    subscription.update(status="trialing", trial_end=trial_end, billing_cycle_anchor=trial_end)
    subscription["_"]["warned"] = False
    set_period(subscription, start, trial_end)
    for item in items_of(subscription):
        item["_"]["debits"] = []


def _restart_period(world: World, subscription: Doc, now: int, credit: bool) -> None:
    """The cycle starts afresh now: unused time is credited, the new period invoiced and charged at once."""
    if credit:
        prorations.credit_items(world, subscription, items_of(subscription), now)
    if subscription["status"] == "trialing":
        subscription.update(status="active", trial_end=now)
    old = period_of(subscription)
    interval, count = interval_of(subscription)
    subscription["billing_cycle_anchor"] = now
    set_period(subscription, now, add_interval(now, interval, count))
    invoice = bill_period(world, subscription, "subscription_update", (old[0], now))
    schedule(world, subscription)
    if invoice["status"] == "draft" and not is_paused(subscription):
        collect_now(world, invoice)


def cancel(world: World, id: str, params: Doc) -> Doc:
    """DELETE: end now, by default without credit and without a final invoice."""
    subscription = world.need("subscription", id)
    if subscription["status"] in ENDED:
        raise StripeError(f"No such subscription: '{id}'", http=404, code="resource_missing", param="id")
    given = params.get("cancellation_details") or {}
    subscription["cancellation_details"].update({k: v or None for k, v in given.items()})
    return end(
        world,
        subscription,
        reason="cancellation_requested",
        prorate=params.get("prorate", False),
        invoice_now=params.get("invoice_now", False),
        canceled_at=world.now_for(subscription),
    )


def resume(world: World, id: str, params: Doc) -> Doc:
    """Wake a subscription that was paused at the end of its trial; its invoice must be paid first."""
    subscription = world.need("subscription", id)
    if subscription["status"] != "paused":
        raise invalid(
            "You can only resume a subscription with the status `paused`. This one is "
            f"`{subscription['status']}`."
        )
    now = world.now_for(subscription)
    interval, count = interval_of(subscription)
    if (params.get("billing_cycle_anchor") or "now") == "now":
        subscription["billing_cycle_anchor"] = now
    set_period(subscription, now, next_boundary(subscription["billing_cycle_anchor"], interval, count, now))
    subscription["_"]["resuming"] = True
    invoice = bill_period(world, subscription, "subscription_update", (now, now))
    schedule(world, subscription)
    collect_now(world, invoice)
    return schedule(world, subscription)


def find_item(world: World, id: str) -> tuple[Doc, Doc]:
    """(subscription, item) of an item's id."""
    for subscription in world.find("subscription"):
        for item in items_of(subscription):
            if item["id"] == id:
                return subscription, item
    raise StripeError(f"No such subscription_item: '{id}'", http=404, code="resource_missing", param="id")


def retrieve_item(world: World, id: str, params: Doc) -> Doc:
    """One item."""
    return find_item(world, id)[1]


def _as_update(params: Doc) -> Doc:
    names = ("proration_behavior", "proration_date", "payment_behavior", "off_session")
    return {name: params[name] for name in names if name in params}


def create_item(world: World, params: Doc) -> Doc:
    """Add an item, as an update of its subscription would."""
    subscription = world.need("subscription", params["subscription"], "subscription")
    entry = {
        k: v for k, v in params.items() if k in ("price", "price_data", "quantity", "tax_rates", "metadata")
    }
    update(world, subscription["id"], {"items": [entry], **_as_update(params)})
    return items_of(subscription)[-1]


def update_item(world: World, id: str, params: Doc) -> Doc:
    """Change an item, as an update of its subscription would."""
    subscription, item = find_item(world, id)
    entry = {
        k: v for k, v in params.items() if k in ("price", "price_data", "quantity", "tax_rates", "metadata")
    }
    update(world, subscription["id"], {"items": [{"id": id, **entry}], **_as_update(params)})
    return item


def delete_item(world: World, id: str, params: Doc) -> Doc:
    """Remove an item, as an update of its subscription would."""
    subscription, _ = find_item(world, id)
    update(world, subscription["id"], {"items": [{"id": id, "deleted": True}], **_as_update(params)})
    return {"id": id, "object": "subscription_item", "deleted": True}
