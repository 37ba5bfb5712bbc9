"""The life of a subscription: https://docs.stripe.com/api/subscriptions, https://docs.stripe.com/billing/subscriptions/overview."""

from __future__ import annotations

from sandbox import discounts, drafts, invoice_items, invoices, prorations, setup_intents
from sandbox.periods import DAY, next_boundary
from sandbox.store import Doc
from sandbox.subscription_items import interval_of, items_of, period_of, set_period
from sandbox.world import World

ENDED = ("canceled", "incomplete_expired")
WARN_BEFORE = 3 * DAY
INCOMPLETE_SECONDS = 23 * 3600


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


def draft(world: World, customer: Doc, subscription: Doc, reason: str, period: tuple[int, int]) -> Doc:
    """An empty draft for a subscription, with the discounts that hold now."""
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


def period_line(world: World, invoice: Doc, subscription: Doc, item: Doc, amount: int, trial: bool) -> Doc:
    """The line of an item for its period; of a trial for nothing."""
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


def take_pending(world: World, invoice: Doc, subscription: Doc) -> None:
    """Put the items that wait for the next invoice on it."""
    pending = invoice_items.pending(
        world, subscription["customer"], subscription["id"], subscription["currency"]
    )
    drafts.add_items(world, invoice, pending)


def after_billing(world: World, subscription: Doc, invoice: Doc) -> None:
    """Remember what each item was debited, and which discounts are used up."""
    for item in items_of(subscription):
        item["_"]["debits"] = prorations.debits_on(invoice, item)
    subscription["discounts"] = discounts.after_invoice(
        world, subscription["discounts"], world.now_for(subscription)
    )


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
    set_period(
        subscription, old_end, next_boundary(subscription["billing_cycle_anchor"], interval, count, old_end)
    )
    bill_period(world, subscription, "subscription_cycle", (old_start, old_end))
    schedule(world, subscription, "customer.subscription.updated")


def bill_period(world: World, subscription: Doc, reason: str, covers: tuple[int, int]) -> Doc:
    """The current period's invoice, as a draft; paused collection or `unpaid` keeps it from being charged."""
    customer = world.need("customer", subscription["customer"])
    invoice = draft(world, customer, subscription, reason, covers)
    for item in items_of(subscription):
        amount = item["price"]["unit_amount"] * item["quantity"]
        invoice["lines"]["data"].append(period_line(world, invoice, subscription, item, amount, False))
    take_pending(world, invoice, subscription)
    subscription["latest_invoice"] = invoice["id"]
    if subscription["status"] == "unpaid" or is_paused(subscription):
        invoice.update(auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)
        invoice["_"]["due"] = None
    drafts.store_draft(world, invoice)
    after_billing(world, subscription, invoice)
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
    invoice = draft(world, customer, subscription, "subscription_update", period_of(subscription))
    invoice["_"]["discounts"] = []
    subscription["latest_invoice"] = invoice["id"]
    drafts.add_items(world, invoice, pending)
    drafts.store_draft(world, invoice)
    collect_now(world, invoice, off_session=off_session)
    return invoice


def collect_now(world: World, invoice: Doc, *, off_session: bool = True) -> None:
    """Finalise, and charge where that is by itself."""
    invoices.finalize(world, invoice)
    if invoice["collection_method"] == "charge_automatically":
        invoices.collect(world, invoice, off_session=off_session)


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


def _setup_succeeded(world: World, intent: Doc) -> None:
    subscription = world.get(intent["_"].get("subscription"))
    if subscription is not None and subscription["status"] not in ENDED:
        subscription["pending_setup_intent"] = None
        subscription["default_payment_method"] = intent["payment_method"]
        schedule(world, subscription, "customer.subscription.updated")


invoices.on_paid.append(_invoice_paid)
invoices.on_payment_failed.append(_invoice_failed)
invoices.on_closed.append(_invoice_closed)
setup_intents.on_success.append(_setup_succeeded)
