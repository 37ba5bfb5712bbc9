"""The life of a subscription: https://docs.stripe.com/api/subscriptions, https://docs.stripe.com/billing/subscriptions/overview."""

from __future__ import annotations

from typing import Any

from sandbox import discounts, drafts, invoice_items, invoices, payment_methods, prorations, setup_intents
from sandbox.catalog import create_price, plan_of
from sandbox.errors import StripeError, invalid, missing_param
from sandbox.periods import DAY, add_interval, next_boundary
from sandbox.store import Doc, new_id
from sandbox.webhooks import merge_metadata
from sandbox.world import World

ENDED = ("canceled", "incomplete_expired")
WARN_BEFORE = 3 * DAY
INCOMPLETE_SECONDS = 23 * 3600
NO_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a "
    "default payment "
    "method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
    "#payment-method-priority."
)


# Reading


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


def _set_period(subscription: Doc, start: int, end: int) -> None:
    for item in items_of(subscription):
        item["current_period_start"], item["current_period_end"] = start, end


def is_paused(subscription: Doc) -> bool:
    """Whether collection (not service) is paused."""
    return subscription["pause_collection"] is not None


def schedule(world: World, subscription: Doc, event: str | None = None) -> Doc:
    """Store the subscription with the next moment at which something happens to it."""
    status = subscription["status"]
    moments: list[int | None] = []
    if status in ("trialing", "active", "past_due", "unpaid"):
        moments += [period_of(subscription)[1], subscription["cancel_at"]]
        moments.append((subscription["pause_collection"] or {}).get("resumes_at"))
    if status == "trialing" and not subscription["_"].get("warned"):
        moments.append(subscription["trial_end"] - WARN_BEFORE)
    if status == "incomplete":
        moments.append(subscription["created"] + INCOMPLETE_SECONDS)
    if status == "paused":
        moments.append(subscription["cancel_at"])
    known = [moment for moment in moments if moment is not None]
    subscription["_"]["due"] = min(known) if known else None
    return world.save(subscription, event)


# Creating


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
            world, {**_extra_item(entry), "customer": customer["id"], "subscription": subscription["id"]}
        )
    first = _first_invoice(world, customer, subscription, params)
    _refuse_without_method(world, first, behavior)
    subscription["latest_invoice"] = first["id"]
    if first["amount_due"] > 0 and subscription["collection_method"] == "charge_automatically":
        subscription["status"] = "incomplete"
    schedule(world, subscription)
    world.emit("customer.subscription.created", subscription)
    drafts.store_draft(world, first)
    _after_billing(world, subscription, first)
    invoices.finalize(world, first)
    if first["status"] == "open":
        _pay_first(world, subscription, first, behavior, off_session=bool(params.get("off_session")))
    _maybe_setup_intent(world, customer, subscription, first)
    _warn_if_close(world, subscription)
    return schedule(world, subscription)


def _extra_item(entry: Doc) -> Doc:
    plain = {k: v for k, v in entry.items() if k in ("quantity", "tax_rates", "price_data", "metadata")}
    return plain | ({"pricing": {"price": entry["price"]}} if entry.get("price") else {})


def _document(world: World, customer: Doc, params: Doc) -> Doc:
    now = world.now_for(customer)
    id = new_id("sub")
    items = [make_item(world, id, entry, n, now) for n, entry in enumerate(params["items"])]
    _check_items(items)
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
        "payment_settings": _payment_settings(params),
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
    _set_period(subscription, now, trial_end or next_boundary(anchor, interval, count, now))
    _apply_fields(world, subscription, params)
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


def _payment_settings(params: Doc) -> Doc:
    given = params.get("payment_settings") or {}
    return {
        "payment_method_options": None,
        "payment_method_types": given.get("payment_method_types") or None,
        "save_default_payment_method": given.get("save_default_payment_method") or "off",
    }


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


def _check_items(items: list[Doc]) -> None:
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
    invoice = _draft(world, customer, subscription, "subscription_create", (start, start))
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
            _period_line(world, invoice, subscription, item, 0 if trial else amount, trial)
        )
    _take_pending(world, invoice, subscription)
    keeps = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    invoice["_"]["saves_method"] = keeps or params.get("payment_behavior") == "default_incomplete"
    drafts.compute(world, invoice)
    return invoice


def _draft(world: World, customer: Doc, subscription: Doc, reason: str, period: tuple[int, int]) -> Doc:
    invoice = drafts.draft(
        world,
        customer,
        reason=reason,
        currency=subscription["currency"],
        subscription=subscription,
        period=period,
    )
    invoice["_"]["discounts"] = discounts.live(world, subscription["discounts"], world.now_for(customer))
    invoice["_"]["days_until_due"] = subscription["days_until_due"]
    return invoice


def _period_line(world: World, invoice: Doc, subscription: Doc, item: Doc, amount: int, trial: bool) -> Doc:
    start, end = item["current_period_start"], item["current_period_end"]
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription["id"],
        "subscription_item": item["id"],
    }
    return drafts.make_line(
        invoice,
        amount=amount,
        description=prorations.describe(world, item, trial=trial),
        period={"start": start, "end": end},
        parent={
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
        price=item["price"],
        quantity=item["quantity"],
        tax_rates=item["tax_rates"],
        metadata=dict(subscription["metadata"]),
    )


def _take_pending(world: World, invoice: Doc, subscription: Doc) -> None:
    pending = invoice_items.pending(
        world, subscription["customer"], subscription["id"], subscription["currency"]
    )
    drafts.add_items(world, invoice, pending)


def _after_billing(world: World, subscription: Doc, invoice: Doc) -> None:
    """Remember what each item was debited, and which discounts are used up."""
    for item in items_of(subscription):
        item["_"]["debits"] = prorations.debits_on(invoice, item)
    subscription["discounts"] = discounts.after_invoice(
        world, subscription["discounts"], world.now_for(subscription)
    )


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
        raise _incomplete_error(world, invoice)


def _prepare_intent(world: World, invoice: Doc) -> None:
    method, intent = invoices.method_for(world, invoice), invoices.intent_of(world, invoice)
    if method is not None and intent is not None:
        intent.update(payment_method=method["id"], status="requires_confirmation")
        world.save(intent)


def _incomplete_error(world: World, invoice: Doc) -> StripeError:
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


# The clock


def come_due(world: World, subscription: Doc) -> None:
    """One thing that is due: expiry, warning, resumption, end, end of trial or renewal."""
    now = world.now_for(subscription)
    status = subscription["status"]
    pause = subscription["pause_collection"] or {}
    if status == "incomplete":
        _expire(world, subscription)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now and status not in ENDED:
        _end_as_scheduled(world, subscription)
    elif pause.get("resumes_at") is not None and pause["resumes_at"] <= now:
        subscription["pause_collection"] = None
        schedule(world, subscription, "customer.subscription.updated")
    elif status == "trialing" and subscription["trial_end"] <= now:
        _end_trial(world, subscription)
    elif status == "trialing" and not subscription["_"].get("warned"):
        subscription["_"]["warned"] = True
        schedule(world, subscription)
        world.emit("customer.subscription.trial_will_end", subscription)
    elif status in ("active", "past_due", "unpaid", "trialing") and period_of(subscription)[1] <= now:
        renew(world, subscription)
    else:
        schedule(world, subscription)


def _expire(world: World, subscription: Doc) -> None:
    """23 hours without the first payment."""
    subscription.update(status="incomplete_expired", ended_at=world.now_for(subscription))
    schedule(world, subscription, "customer.subscription.updated")
    invoice = world.get(subscription["latest_invoice"])
    if invoice is not None and invoice["status"] == "open":
        invoices.close(world, invoice, "void")


def _end_as_scheduled(world: World, subscription: Doc) -> None:
    """`cancel_at` inside a period credits the unused time; at its end there is none."""
    if subscription["cancel_at"] < period_of(subscription)[1] and subscription["_"].get("cancel_prorates"):
        prorations.credit_items(world, subscription, items_of(subscription), subscription["cancel_at"])
    end(world, subscription, reason="cancellation_requested", canceled_at=subscription["canceled_at"])


def _end_trial(world: World, subscription: Doc) -> None:
    missing = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    has_method = bool(_default_method(world, subscription))
    if missing == "cancel" and not has_method:
        end(world, subscription, reason="payment_failed")
        return
    if missing == "pause" and not has_method:
        subscription["status"] = "paused"
        schedule(world, subscription, "customer.subscription.updated")
        world.emit("customer.subscription.paused", subscription)
        return
    subscription["status"] = "active"
    renew(world, subscription)


def _default_method(world: World, subscription: Doc) -> str | None:
    customer = world.get(subscription["customer"]) or {}
    found: str | None = subscription["default_payment_method"] or (
        customer.get("invoice_settings") or {}
    ).get("default_payment_method")
    return found


def renew(world: World, subscription: Doc) -> None:
    """A new period: its invoice is a draft for an hour, then finalised and charged by the clock."""
    old_start, old_end = period_of(subscription)
    interval, count = interval_of(subscription)
    _set_period(
        subscription, old_end, next_boundary(subscription["billing_cycle_anchor"], interval, count, old_end)
    )
    bill_period(world, subscription, "subscription_cycle", (old_start, old_end))
    schedule(world, subscription, "customer.subscription.updated")


def bill_period(world: World, subscription: Doc, reason: str, covers: tuple[int, int]) -> Doc:
    """The current period's invoice, as a draft; paused collection or `unpaid` keeps it from being charged."""
    customer = world.need("customer", subscription["customer"])
    invoice = _draft(world, customer, subscription, reason, covers)
    for item in items_of(subscription):
        amount = item["price"]["unit_amount"] * item["quantity"]
        invoice["lines"]["data"].append(_period_line(world, invoice, subscription, item, amount, False))
    _take_pending(world, invoice, subscription)
    subscription["latest_invoice"] = invoice["id"]
    if subscription["status"] == "unpaid" or is_paused(subscription):
        invoice.update(auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)
        invoice["_"]["due"] = None
    drafts.store_draft(world, invoice)
    _after_billing(world, subscription, invoice)
    if is_paused(subscription):
        _treat_paused(world, subscription, invoice)
    return invoice


def _treat_paused(world: World, subscription: Doc, invoice: Doc) -> None:
    behavior = subscription["pause_collection"]["behavior"]
    if behavior == "keep_as_draft":
        return
    invoices.finalize(world, invoice)
    if invoice["status"] == "open":
        invoices.close(world, invoice, "void" if behavior == "void" else "uncollectible")


# Ending


def end(
    world: World,
    subscription: Doc,
    *,
    reason: str | None,
    prorate: bool = False,
    invoice_now: bool = False,
    canceled_at: int | None = None,
) -> Doc:
    """End now. Pending invoice items stay; open invoices are no longer collected by themselves."""
    now = world.now_for(subscription)
    if prorate:
        prorations.credit_items(world, subscription, items_of(subscription), now)
    if invoice_now:
        bill_now(world, subscription)
    was_incomplete = subscription["status"] == "incomplete"
    subscription.update(
        status="incomplete_expired" if was_incomplete else "canceled",
        canceled_at=canceled_at or subscription["canceled_at"] or now,
        ended_at=now,
        pause_collection=None,
    )
    subscription["cancellation_details"]["reason"] = subscription["cancellation_details"]["reason"] or reason
    schedule(world, subscription)
    world.emit("customer.subscription.deleted", subscription)
    _stop_collecting(world, subscription, was_incomplete)
    return subscription


def _stop_collecting(world: World, subscription: Doc, was_incomplete: bool) -> None:
    for invoice in world.find("invoice", subscription=subscription["id"]):
        if was_incomplete and invoice["status"] == "open":
            invoices.close(world, invoice, "void")
        elif invoice["status"] in ("draft", "open") and invoice["auto_advance"]:
            invoice.update(auto_advance=False, next_payment_attempt=None, automatically_finalizes_at=None)
            invoice["_"]["due"] = None
            world.save(invoice, "invoice.updated")


def bill_now(world: World, subscription: Doc, *, off_session: bool = True) -> Doc | None:
    """Invoice what is pending, at once; None when there is nothing."""
    pending = invoice_items.pending(
        world, subscription["customer"], subscription["id"], subscription["currency"]
    )
    if not pending:
        return None
    customer = world.need("customer", subscription["customer"])
    invoice = _draft(world, customer, subscription, "subscription_update", period_of(subscription))
    invoice["_"]["discounts"] = []
    subscription["latest_invoice"] = invoice["id"]
    drafts.add_items(world, invoice, pending)
    drafts.store_draft(world, invoice)
    _collect_now(world, invoice, off_session=off_session)
    return invoice


def _collect_now(world: World, invoice: Doc, *, off_session: bool = True) -> None:
    invoices.finalize(world, invoice)
    if invoice["collection_method"] == "charge_automatically":
        invoices.collect(world, invoice, off_session=off_session)


# Invoices report back


def _of_invoice(world: World, invoice: Doc) -> Doc | None:
    subscription = world.get(drafts.subscription_of(invoice))
    return None if subscription is None or subscription["status"] in ENDED else subscription


def _invoice_paid(world: World, invoice: Doc) -> None:
    subscription = _of_invoice(world, invoice)
    if subscription is None:
        return
    latest = subscription["latest_invoice"] == invoice["id"]
    if subscription["status"] == "paused" and latest and subscription["_"].get("resuming"):
        subscription["_"].pop("resuming")
        subscription["status"] = "active"
        schedule(world, subscription, "customer.subscription.updated")
        world.emit("customer.subscription.resumed", subscription)
        return
    intent = invoices.intent_of(world, invoice)
    saves = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    if saves and intent is not None and intent["payment_method"]:
        subscription["default_payment_method"] = intent["payment_method"]
    if latest and subscription["status"] in ("incomplete", "past_due", "unpaid"):
        subscription["status"] = "active"
    _set_delinquent(world, subscription, False)
    schedule(world, subscription, "customer.subscription.updated")


def _invoice_failed(world: World, invoice: Doc) -> None:
    subscription = _of_invoice(world, invoice)
    if subscription is None or subscription["status"] == "incomplete":
        return
    if subscription["status"] in ("active", "trialing"):
        subscription["status"] = "past_due"
    _set_delinquent(world, subscription, True)
    after = world.setting("retry_end", "past_due")
    if invoice["_"].get("exhausted") and after == "cancel":
        end(world, subscription, reason="payment_failed")
        return
    if invoice["_"].get("exhausted") and after == "unpaid":
        subscription["status"] = "unpaid"
    schedule(world, subscription, "customer.subscription.updated")


def _invoice_closed(world: World, invoice: Doc) -> None:
    subscription = _of_invoice(world, invoice)
    if subscription is None:
        return
    if invoice["status"] == "void":
        for item in items_of(subscription):
            item["_"]["debits"] = [d for d in item["_"]["debits"] if d["invoice"] != invoice["id"]]
    latest = subscription["latest_invoice"] == invoice["id"]
    if latest and subscription["status"] == "incomplete" and invoice["status"] == "void":
        subscription.update(status="incomplete_expired", ended_at=world.now_for(subscription))
    elif latest and subscription["status"] in ("past_due", "unpaid"):
        subscription["status"] = "active"
        _set_delinquent(world, subscription, False)
    schedule(world, subscription, "customer.subscription.updated")


def _set_delinquent(world: World, subscription: Doc, value: bool) -> None:
    customer = world.need("customer", subscription["customer"])
    if not customer.get("deleted") and customer["delinquent"] != value:
        customer["delinquent"] = value
        world.save(customer, "customer.updated")


invoices.on_paid.append(_invoice_paid)
invoices.on_payment_failed.append(_invoice_failed)
invoices.on_closed.append(_invoice_closed)


def _setup_succeeded(world: World, intent: Doc) -> None:
    subscription = world.get(intent["_"].get("subscription"))
    if subscription is not None and subscription["status"] not in ENDED:
        subscription["pending_setup_intent"] = None
        subscription["default_payment_method"] = intent["payment_method"]
        schedule(world, subscription, "customer.subscription.updated")


setup_intents.on_success.append(_setup_succeeded)


# Changing


def _apply_fields(world: World, subscription: Doc, params: Doc) -> None:
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
        subscription["payment_settings"] = {**subscription["payment_settings"], **_payment_settings(params)}
    _apply_end(world, subscription, params)


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
                raise _incomplete_error(world, invoice)
    else:
        _change(world, subscription, params)
    return subscription


def _update_ended(world: World, subscription: Doc, params: Doc) -> Doc:
    if set(params) - {"metadata", "cancellation_details", "expand"}:
        raise invalid(
            "A canceled subscription can only update its cancellation_details and metadata.",
            code="invalid_canceled_subscription_fields",
        )
    _apply_fields(world, subscription, {k: v for k, v in params.items() if k == "cancellation_details"})
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
        added = _change_items(world, subscription, params["items"], at, credit)
        restart = restart or interval_of(subscription) != before
    if isinstance(trial_end, int):
        _move_to_trial(world, subscription, trial_end, now, credit)
    elif restart:
        _restart_period(world, subscription, now, credit)
    elif credit:
        prorations.debit_items(world, subscription, added, at)
    _apply_fields(world, subscription, params)
    for entry in params.get("add_invoice_items") or []:
        extra = {
            **_extra_item(entry),
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


def _change_items(world: World, subscription: Doc, entries: list[Doc], at: int, credit: bool) -> list[Doc]:
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
    _check_items(items)
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
    _set_period(subscription, start, trial_end)
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
    _set_period(subscription, now, add_interval(now, interval, count))
    invoice = bill_period(world, subscription, "subscription_update", (old[0], now))
    schedule(world, subscription)
    if invoice["status"] == "draft" and not is_paused(subscription):
        _collect_now(world, invoice)


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
    _set_period(subscription, now, next_boundary(subscription["billing_cycle_anchor"], interval, count, now))
    subscription["_"]["resuming"] = True
    invoice = bill_period(world, subscription, "subscription_update", (now, now))
    schedule(world, subscription)
    _collect_now(world, invoice)
    return schedule(world, subscription)


# Subscription items: https://docs.stripe.com/api/subscription_items


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
