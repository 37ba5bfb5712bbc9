"""Subscriptions, as they are said to Stripe: a new one, and what is wanted of one that is there."""

import hashlib
import json
from typing import Any

from billing.models import Instruction, Subscription
from billing.provider_answers import Answer, Unresolved, key_of_state
from billing.provider_invoices import clear_what_waits, settle_invoice
from billing.stripe_api import Client, StripeRefused, calling, keyed


def write_subscription(stripe: Client, instruction: Instruction) -> Answer:
    """Bring the subscription into the desired state: `ends` is never, period_end, now, or as it is."""
    desired, key = instruction.desired, key_of_state(instruction)
    provider_id = desired["subscription"]
    current = stripe.v1.subscriptions.retrieve(provider_id)
    if current.status in ("canceled", "incomplete_expired"):
        if desired["ends"] == "never":
            raise StripeRefused("already_ended")
    elif desired["ends"] == "now":
        clear_what_waits(stripe, provider_id, key)
        _cancel(stripe, provider_id)
    else:
        params: dict[str, Any] = {}
        if desired["ends"] != Instruction.AS_IS:
            params["cancel_at_period_end"] = desired["ends"] == "period_end"
        item = current["items"].data[0]
        if desired.get("price") and _is_price_for(item, desired.get("price_if")):
            params |= {"items": [{"id": item.id, "price": desired["price"]}], "proration_behavior": "none"}
        if "is_billing" in desired:
            params |= {"pause_collection": "" if desired["is_billing"] else {"behavior": "void"}}
        params |= _end_of_what_is_paid(desired, current)
        if params:
            stripe.v1.subscriptions.update(provider_id, params=params, options=_keyed_by(params, key))  # type: ignore[arg-type]
    for invoice_id, choice in desired.get("open_invoices", {}).items():
        settle_invoice(stripe, invoice_id, choice, key)
    if _is_overtaken(desired, current):
        raise Unresolved("charged_before_it_was_moved")
    return Answer({"subscription": provider_id})


def _end_of_what_is_paid(desired: dict[str, Any], current: Any) -> dict[str, Any]:
    """What to say about it, where anything is."""
    wanted = desired.get("trial_end")
    if wanted == "now":
        # One that has ended already is left alone: saying it again would charge again.
        return {"trial_end": "now"} if current.status == "trialing" else {}
    if not wanted or wanted == current.trial_end or _is_overtaken(desired, current):
        return {}
    return {"trial_end": wanted, "proration_behavior": "none"}


def _is_overtaken(desired: dict[str, Any], current: Any) -> bool:
    """A charge was to come later, and came before this was sent: moved now, the next would come earlier."""
    if not desired.get("only_later") or current.status in ("canceled", "incomplete_expired"):
        return False
    return bool(desired["trial_end"] < current["items"].data[0].current_period_end)


def _is_price_for(item: Any, condition: dict[str, Any] | None) -> bool:
    """Whether a price may still be set. One that is for a single renewal is not for the next: it is left out
    where that renewal was charged, or moved, meanwhile, and where somebody has chosen another plan."""
    if condition is None:
        return True
    return bool(item.current_period_end == condition["renews"] and item.price.id in condition["instead_of"])


def _keyed_by(params: dict[str, Any], key: str) -> Any:
    """The key for a write whose parameters depend on what is there: the same only for the same wish."""
    wish = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    return keyed(f"{key}:{wish[:12]}")


def _cancel(stripe: Client, provider_id: str) -> None:
    """End it now. An earlier call that was slow may have done so a moment ago: then it is as it should be."""
    try:
        with calling() as inner:
            inner.v1.subscriptions.cancel(provider_id, params={"prorate": False, "invoice_now": False})
    except StripeRefused:
        if stripe.v1.subscriptions.retrieve(provider_id).status != "canceled":
            raise


def write_new_subscription(stripe: Client, instruction: Instruction) -> Answer:
    """A new subscription; its first invoice waits for the customer's own confirmation on the pay page.

    One that is there already is taken: an account never has two, whatever became of an earlier call.
    """
    desired = instruction.desired
    if known := find_subscription(stripe, desired):
        return Answer({"subscription": known})
    params: dict[str, Any] = {
        "customer": desired["customer"],
        "items": [{"price": desired["price"]}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "metadata": {"good_terms_account": desired["account"]},
    }
    for name in ("trial_end", "default_payment_method"):
        if desired.get(name):
            params[name] = desired[name]
    made = stripe.v1.subscriptions.create(params=params, options=keyed(instruction.idempotency_key))  # type: ignore[arg-type]
    return Answer({"subscription": made.id})


def find_subscription(stripe: Client, desired: dict[str, Any]) -> str:
    """The customer's live subscription, else one that waits for its first payment at this price, else ""."""
    listed = stripe.v1.subscriptions.list(params={"customer": desired["customer"], "limit": 100})
    found = list(listed.auto_paging_iter())
    live = [s.id for s in found if s.status in Subscription.LIVE]
    waiting = [
        s.id
        for s in found
        if s.status == Subscription.Status.INCOMPLETE and s["items"].data[0].price.id == desired["price"]
    ]
    return str(next(iter(live + waiting), ""))
