"""A subscription begins, with its first invoice: https://docs.stripe.com/api/subscriptions/create."""

from __future__ import annotations

from sandbox import discounts, drafts, invoice_items, invoices, prorations, setup_intents
from sandbox.errors import StripeError, invalid, missing_param
from sandbox.periods import DAY, next_boundary
from sandbox.store import Doc, new_id
from sandbox.subscription_fields import apply_fields, payment_settings
from sandbox.subscription_items import check_items, interval_of, items_of, make_item, period_of, set_period
from sandbox.subscriptions import WARN_BEFORE, after_billing, draft, period_line, schedule, take_pending
from sandbox.world import World

NO_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a "
    "default payment "
    "method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
    "#payment-method-priority."
)


def create(world: World, params: Doc) -> Doc:
    """Start a subscription: trial, first invoice, first payment, as `payment_behavior` says."""
    if not params.get("customer"):
        raise missing_param("customer")
    customer = world.need("customer", params["customer"], "customer")
    if not params.get("items"):
        raise missing_param("items")
    subscription = _document(world, customer, params)
    behavior = params.get("payment_behavior") or "allow_incomplete"
    if behavior == "pending_if_incomplete":
        raise invalid(
            "You cannot set `payment_behavior` to `pending_if_incomplete` when creating a subscription.",
            "payment_behavior",
        )
    world.add(subscription)
    for entry in params.get("add_invoice_items") or []:
        invoice_items.create(
            world, {**extra_item(entry), "customer": customer["id"], "subscription": subscription["id"]}
        )
    first = _first_invoice(world, customer, subscription, params)
    _refuse_without_method(world, first, behavior)
    subscription["latest_invoice"] = first["id"]
    if first["amount_due"] > 0 and subscription["collection_method"] == "charge_automatically":
        subscription["status"] = "incomplete"
    schedule(world, subscription)
    world.emit("customer.subscription.created", subscription)
    drafts.store_draft(world, first)
    after_billing(world, subscription, first)
    invoices.finalize(world, first)
    if first["status"] == "open":
        _pay_first(world, subscription, first, behavior, off_session=bool(params.get("off_session")))
    _maybe_setup_intent(world, customer, subscription, first)
    _warn_if_close(world, subscription)
    return schedule(world, subscription)


def extra_item(entry: Doc) -> Doc:
    """An entry of `add_invoice_items` as an invoice item."""
    plain = {k: v for k, v in entry.items() if k in ("quantity", "tax_rates", "price_data", "metadata")}
    return plain | ({"pricing": {"price": entry["price"]}} if entry.get("price") else {})


def _document(world: World, customer: Doc, params: Doc) -> Doc:
    now = world.now_for(customer)
    id = new_id("sub")
    items = [make_item(world, id, entry, n, now) for n, entry in enumerate(params["items"])]
    check_items(items)
    trial_end = _trial_end(params, now)
    anchor = trial_end or params.get("billing_cycle_anchor") or now
    if params.get("billing_cycle_anchor") and params["billing_cycle_anchor"] <= now:
        raise invalid("billing_cycle_anchor must be in the future.", "billing_cycle_anchor")
    interval, count = (
        items[0]["price"]["recurring"]["interval"],
        items[0]["price"]["recurring"]["interval_count"],
    )
    subscription: Doc = {
        "id": id,
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": anchor,
        "billing_cycle_anchor_config": None,
        "billing_mode": _billing_mode(params),
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": params.get("collection_method") or "charge_automatically",
        "created": now,
        "currency": items[0]["price"]["currency"],
        "customer": customer["id"],
        "customer_account": None,
        "days_until_due": params.get("days_until_due"),
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": params.get("description") or None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": {
            "object": "list",
            "data": items,
            "has_more": False,
            "total_count": len(items),
            "url": f"/v1/subscription_items?subscription={id}",
        },
        "latest_invoice": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": params.get("metadata") or {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": payment_settings(params),
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": now,
        "status": "trialing" if trial_end else "active",
        "test_clock": customer["test_clock"],
        "transfer_data": None,
        "trial_end": trial_end,
        "trial_settings": params.get("trial_settings")
        or {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": now if trial_end else None,
        "_": {"clock": customer["test_clock"], "due": None},
    }
    set_period(subscription, now, trial_end or next_boundary(anchor, interval, count, now))
    apply_fields(world, subscription, params)
    subscription["discounts"] = discounts.make_all(
        world, customer["id"], params.get("discounts") or [], subscription=id
    )
    return subscription


def _billing_mode(params: Doc) -> Doc:
    given = params.get("billing_mode") or {}
    if given.get("type") == "classic":
        return {"flexible": None, "type": "classic"}
    return {
        "flexible": {
            "proration_discounts": (given.get("flexible") or {}).get("proration_discounts") or "included"
        },
        "type": "flexible",
    }


def _trial_end(params: Doc, now: int) -> int | None:
    if params.get("trial_end") == "now":
        return None
    if params.get("trial_end"):
        if params["trial_end"] <= now:
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", "trial_end")
        end: int = params["trial_end"]
        return end
    return now + params["trial_period_days"] * DAY if params.get("trial_period_days") else None


def _first_invoice(world: World, customer: Doc, subscription: Doc, params: Doc) -> Doc:
    start = period_of(subscription)[0]
    invoice = draft(world, customer, subscription, "subscription_create", (start, start))
    trial = subscription["status"] == "trialing"
    share = params.get("proration_behavior") or "create_prorations"
    for item in items_of(subscription):
        amount = item["price"]["unit_amount"] * item["quantity"]
        if not trial and params.get("billing_cycle_anchor"):
            amount = (
                prorations.partial_first(subscription, interval_of(subscription), amount)
                if share != "none"
                else 0
            )
        invoice["lines"]["data"].append(
            period_line(world, invoice, subscription, item, 0 if trial else amount, trial)
        )
    take_pending(world, invoice, subscription)
    keeps = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    invoice["_"]["saves_method"] = keeps or params.get("payment_behavior") == "default_incomplete"
    drafts.compute(world, invoice)
    return invoice


def _refuse_without_method(world: World, invoice: Doc, behavior: str) -> None:
    needs = invoice["amount_due"] > 0 and invoice["collection_method"] == "charge_automatically"
    if needs and behavior != "default_incomplete" and invoices.method_for(world, invoice) is None:
        raise StripeError(NO_METHOD, code="resource_missing")


def _pay_first(world: World, subscription: Doc, invoice: Doc, behavior: str, *, off_session: bool) -> None:
    if invoice["collection_method"] == "send_invoice":
        return
    if behavior == "default_incomplete":
        _prepare_intent(world, invoice)
        return
    invoices.collect(world, invoice, off_session=off_session)
    if invoice["status"] != "paid" and behavior == "error_if_incomplete":
        raise incomplete_error(world, invoice)


def _prepare_intent(world: World, invoice: Doc) -> None:
    method, intent = invoices.method_for(world, invoice), invoices.intent_of(world, invoice)
    if method is not None and intent is not None:
        intent.update(payment_method=method["id"], status="requires_confirmation")
        world.save(intent)


def incomplete_error(world: World, invoice: Doc) -> StripeError:
    """`error_if_incomplete`: 402, and nothing of the request remains."""
    intent = invoices.intent_of(world, invoice) or {}
    last = intent.get("last_payment_error") or {}
    if intent.get("status") == "requires_action":
        return StripeError(
            "Payment for this subscription requires additional user action before it can be completed "
            "successfully. Payment "
            "can be completed using the PaymentIntent associated with subscription.latest_invoice.",
            http=402, type="card_error", code="subscription_payment_intent_requires_action",
        )  # fmt: skip
    return StripeError(
        last.get("message") or "Your card was declined.",
        http=402, type="card_error", code=last.get("code") or "card_declined",
        decline_code=last.get("decline_code"),
    )  # fmt: skip


def _maybe_setup_intent(world: World, customer: Doc, subscription: Doc, invoice: Doc) -> None:
    """Where nothing is due now and no card is known, a SetupIntent waits for one."""
    if subscription["status"] == "trialing" and invoices.method_for(world, invoice) is None:
        intent = setup_intents.make(world, customer["id"])
        intent["_"]["subscription"] = subscription["id"]
        world.save(intent)
        subscription["pending_setup_intent"] = intent["id"]


def _warn_if_close(world: World, subscription: Doc) -> None:
    """A trial shorter than three days is announced at once."""
    if (
        subscription["status"] == "trialing"
        and subscription["trial_end"] - world.now_for(subscription) <= WARN_BEFORE
    ):
        subscription["_"]["warned"] = True
        world.save(subscription)
        world.emit("customer.subscription.trial_will_end", subscription)
