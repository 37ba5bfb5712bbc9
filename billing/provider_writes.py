"""How each kind of instruction is said to Stripe. Network only: rows are read here, never written.

Several calls of one instruction use keys derived from its own, so that each is repeated safely.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billing.declines import wants_customer
from billing.models import DunningCase, Instruction, Subscription
from billing.stripe_api import Client, ProviderRefund, StripeRefused, calling, id_of, keyed, metadata_of

#: Marks a draft that is on its way to being voided.
TO_VOID = "good_terms_void"


class Unresolved(Exception):
    """What happened cannot be found out by reading: a person looks."""


@dataclass(frozen=True)
class Answer:
    """What came of it: ids and codes to keep, and the provider's refund where it was one."""

    ids: dict[str, Any] = field(default_factory=dict)
    refund: ProviderRefund | None = None


def write(instruction: Instruction) -> Answer:
    """Say it, under the stored key."""
    with calling() as stripe:
        return _WRITES[instruction.kind](stripe, instruction)


def adopt(instruction: Instruction) -> Answer:
    """Read what an earlier sending did, by our id in the provider's metadata, and take that as the answer."""
    if instruction.kind == Instruction.Kind.REFUND:
        with calling() as stripe:
            found = _find_refund(stripe, instruction.desired)
        if found is None:
            raise Unresolved("refund_not_found_after_23_hours")
        return Answer({"refund": found.id}, refund=found)
    if instruction.kind == Instruction.Kind.SUBSCRIBE:
        with calling() as stripe:
            known = _find_subscription(stripe, instruction.desired)
        if not known:
            raise Unresolved("subscription_not_found_after_23_hours")
        return Answer({"subscription": known})
    if instruction.kind == Instruction.Kind.CREDIT:
        mark = {"good_terms_instruction": instruction.public_id}
        with calling() as stripe:
            entry = _find_entry(stripe, instruction.desired["customer"], mark)
        if not entry:
            raise Unresolved("credit_not_found_after_23_hours")
        return Answer({"balance_transaction": entry})
    if instruction.kind == Instruction.Kind.RETRY:
        return _read_invoice(instruction)
    if instruction.kind in (
        Instruction.Kind.SUBSCRIPTION,
        Instruction.Kind.DELETE_CUSTOMER,
        Instruction.Kind.CARD,
        Instruction.Kind.PAY,
        Instruction.Kind.WRITE_OFF,
    ):
        return write(instruction)  # these state what should be, or read: saying it again changes nothing
    raise Unresolved("unknown_after_23_hours")


def is_superseded(instruction: Instruction) -> bool:
    """Whether a newer version about the same subject waits behind this one."""
    return Instruction.objects.filter(subject=instruction.subject, version__gt=instruction.version).exists()


def read_instead(instruction: Instruction) -> Answer:
    """Outcome unknown and something newer is wanted: read, so that the newer one starts from the truth."""
    if instruction.kind == Instruction.Kind.RETRY:
        return _read_invoice(instruction)
    if instruction.kind != Instruction.Kind.SUBSCRIPTION:
        return write(instruction)
    with calling() as stripe:
        stripe.v1.subscriptions.retrieve(instruction.desired["subscription"])
    return Answer({"superseded": True})


# --- Subscriptions ----------------------------------------------------------------------------


def _write_subscription(stripe: Client, instruction: Instruction) -> Answer:
    """Bring the subscription into the desired state: `ends` is never, period_end, now, or as it is."""
    desired, key = instruction.desired, _key_of_state(instruction)
    provider_id = desired["subscription"]
    current = stripe.v1.subscriptions.retrieve(provider_id)
    if current.status in ("canceled", "incomplete_expired"):
        if desired["ends"] == "never":
            raise StripeRefused("already_ended")
    elif desired["ends"] == "now":
        _clear_what_waits(stripe, provider_id, key)
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
        _settle_invoice(stripe, invoice_id, choice, key)
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


def _key_of_state(instruction: Instruction) -> str:
    """The key for calls that say what should be, after what is there was read; a new one each time.

    The provider keeps a 500 under its key and would answer it for a day. What creates something
    never uses this: it is looked for by our id, and made under the stored key.
    """
    key = str(instruction.idempotency_key)
    return key if instruction.attempts <= 1 else f"{key}:{instruction.attempts}"


def _cancel(stripe: Client, provider_id: str) -> None:
    """End it now. An earlier call that was slow may have done so a moment ago: then it is as it should be."""
    try:
        with calling() as inner:
            inner.v1.subscriptions.cancel(provider_id, params={"prorate": False, "invoice_now": False})
    except StripeRefused:
        if stripe.v1.subscriptions.retrieve(provider_id).status != "canceled":
            raise


def _clear_what_waits(stripe: Client, provider_id: str, key: str) -> None:
    """Nothing that waits may still be charged (C5): the provider keeps drafts and pending items on cancel."""
    current = stripe.v1.subscriptions.retrieve(provider_id)
    customer = str(current.customer)
    for item in stripe.v1.invoice_items.list(
        params={"customer": customer, "pending": True}
    ).auto_paging_iter():
        parent = item.parent
        if parent and parent.subscription_details and parent.subscription_details.subscription == provider_id:
            stripe.v1.invoice_items.delete(item.id)
    for invoice in stripe.v1.invoices.list(params={"subscription": provider_id}).auto_paging_iter():
        if invoice.status == "draft" or metadata_of(invoice).get(TO_VOID):
            _void_draft(stripe, customer, str(invoice.id), str(invoice.status), key)


def _void_draft(stripe: Client, customer: str, invoice_id: str, status: str, key: str) -> None:
    """Make a draft into nothing: a subscription's draft cannot be deleted, so it is issued and voided.

    It is marked first, so that a crash between the steps leaves one that the next attempt finds.
    Credit that issuing it used up goes back.
    """
    invoices = stripe.v1.invoices
    if status == "draft":
        invoices.update(
            invoice_id,
            params={"auto_advance": False, "metadata": {TO_VOID: "yes"}},
            options=keyed(f"{key}:mark:{invoice_id}"),
        )
        invoices.finalize_invoice(
            invoice_id, params={"auto_advance": False}, options=keyed(f"{key}:finalize:{invoice_id}")
        )
    issued = invoices.retrieve(invoice_id)
    if issued.status == "open":
        invoices.void_invoice(invoice_id, options=keyed(f"{key}:void:{invoice_id}"))
    used = (issued.ending_balance or 0) - issued.starting_balance
    mark = {"good_terms_for": invoice_id}
    if issued.status == "paid" and used > 0 and not _find_entry(stripe, customer, mark):
        stripe.v1.customers.balance_transactions.create(
            customer,
            params={"amount": -used, "currency": issued.currency, "metadata": mark},
            options=keyed(f"{key}:give_back:{invoice_id}"),
        )


def _keyed_by(params: dict[str, Any], key: str) -> Any:
    """The key for a write whose parameters depend on what is there: the same only for the same wish."""
    wish = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
    return keyed(f"{key}:{wish[:12]}")


def _settle_invoice(stripe: Client, invoice_id: str, choice: dict[str, Any], key: str) -> None:
    """What the terms decide for an unpaid invoice (C6); from now on only the customer's own act collects.

    `resume` takes the hold away again, for someone who stays.
    """
    invoice = stripe.v1.invoices.retrieve(invoice_id)
    if invoice.status != "open":
        return
    if choice["rule"] == "void":
        stripe.v1.invoices.void_invoice(invoice_id, options=keyed(f"{key}:void:{invoice_id}"))
        return
    stays = choice["rule"] == "resume"
    stripe.v1.invoices.update(
        invoice_id,
        params={"auto_advance": stays},
        options=keyed(f"{key}:{'resume' if stays else 'hold'}:{invoice_id}"),
    )
    if choice["rule"] == "used_part" and choice["credit"] > 0:
        _credit_invoice(stripe, invoice_id, choice["credit"], key)


def _credit_invoice(stripe: Client, invoice_id: str, amount: int, key: str) -> None:
    """Lower an open invoice to what was used; a credit note of ours is there once (looked for first)."""
    for note in stripe.v1.credit_notes.list(params={"invoice": invoice_id}).auto_paging_iter():
        if metadata_of(note).get("good_terms_for") == invoice_id and note.status != "void":
            return
    stripe.v1.credit_notes.create(
        params={
            "invoice": invoice_id,
            "amount": amount,
            "reason": "order_change",
            "metadata": {"good_terms_for": invoice_id},
        },
        options=keyed(f"{key}:credit:{invoice_id}"),
    )


# --- Refunds and credit -----------------------------------------------------------------------


def _write_refund(stripe: Client, instruction: Instruction) -> Answer:
    desired = instruction.desired
    if instruction.attempts > 1 and (found := _find_refund(stripe, desired)) is not None:
        return Answer({"refund": found.id}, refund=found)
    made = stripe.v1.refunds.create(
        params={
            "payment_intent": desired["payment_intent"],
            "amount": desired["amount"],
            "reason": "requested_by_customer",
            "metadata": {"good_terms_refund": desired["refund"]},
        },
        options=keyed(instruction.idempotency_key),
    )
    return Answer({"refund": made.id}, refund=made)


def _find_refund(stripe: Client, desired: dict[str, Any]) -> ProviderRefund | None:
    """The provider's refund that carries our id, if there is one."""
    listed = stripe.v1.refunds.list(params={"payment_intent": desired["payment_intent"], "limit": 100})
    for refund in listed.auto_paging_iter():
        if metadata_of(refund).get("good_terms_refund") == desired["refund"]:
            return refund
    return None


def _write_credit(stripe: Client, instruction: Instruction) -> Answer:
    """Give back as credit what was paid with credit: a negative amount on the customer's balance."""
    desired = instruction.desired
    mark = {"good_terms_instruction": instruction.public_id}
    if instruction.attempts > 1 and (found := _find_entry(stripe, desired["customer"], mark)):
        return Answer({"balance_transaction": found})
    made = stripe.v1.customers.balance_transactions.create(
        desired["customer"],
        params={
            "amount": -desired["amount"],
            "currency": desired["currency"].lower(),
            "metadata": {"good_terms_for": desired["for"]} | mark,
        },
        options=keyed(instruction.idempotency_key),
    )
    return Answer({"balance_transaction": made.id})


def _find_entry(stripe: Client, customer: str, mark: dict[str, str]) -> str:
    """The entry on a customer's balance that carries this metadata of ours, or ""."""
    listed = stripe.v1.customers.balance_transactions.list(customer, params={"limit": 100})
    for entry in listed.auto_paging_iter():
        if mark.items() <= metadata_of(entry).items():
            return str(entry.id)
    return ""


# --- Customers, cards, new subscriptions ------------------------------------------------------


def _write_customer(stripe: Client, instruction: Instruction) -> Answer:
    """A new customer; on a test clock of its own where the demo or a test wants to turn time."""
    desired, key = instruction.desired, instruction.idempotency_key
    if instruction.attempts > 1 and (found := _find_customer(stripe, desired)) is not None:
        return found
    params: dict[str, Any] = {
        "name": desired["name"],
        "email": desired["email"],
        "preferred_locales": [desired["language"]],
        "metadata": {"good_terms_account": desired["account"]},
    }
    clock = ""
    if desired.get("clock"):
        clock = next(iter(_find_clocks(stripe, desired)), "") if instruction.attempts > 1 else ""
        params["test_clock"] = clock = clock or _make_clock(stripe, desired, key)
    customer = stripe.v1.customers.create(params=params, options=keyed(key))  # type: ignore[arg-type]
    return Answer({"customer": customer.id, "clock": clock})


def _make_clock(stripe: Client, desired: dict[str, Any], key: str) -> str:
    made = stripe.v1.test_helpers.test_clocks.create(
        params={"frozen_time": desired["clock"], "name": desired["account"]},
        options=keyed(f"{key}:clock"),
    )
    return str(made.id)


def _find_clocks(stripe: Client, desired: dict[str, Any]) -> list[str]:
    """The test clocks that an earlier sending made for this account."""
    listed = stripe.v1.test_helpers.test_clocks.list(params={"limit": 100})
    return [str(clock.id) for clock in listed.auto_paging_iter() if clock.name == desired["account"]]


def _find_customer(stripe: Client, desired: dict[str, Any]) -> Answer | None:
    """The customer that an earlier sending made, by our id in its metadata."""
    # The provider lists those on a test clock by their clock only.
    clocks = _find_clocks(stripe, desired) if desired.get("clock") else [""]
    for clock in clocks:
        params: dict[str, Any] = {"test_clock": clock} if clock else {"email": desired["email"]}
        for customer in stripe.v1.customers.list(params=params | {"limit": 100}).auto_paging_iter():  # type: ignore[arg-type]
            if metadata_of(customer).get("good_terms_account") == desired["account"]:
                return Answer({"customer": customer.id, "clock": clock})
    return None


def _write_setup(stripe: Client, instruction: Instruction) -> Answer:
    """A form for a card that may be charged later without the customer present.

    One that nobody was shown does nothing, so another is made where no answer came.
    """
    desired = instruction.desired
    made = stripe.v1.setup_intents.create(
        params={
            "customer": desired["customer"],
            "usage": "off_session",
            "automatic_payment_methods": {"enabled": True},
            "metadata": {
                "good_terms_account": desired["account"],
                "good_terms_plan": desired.get("plan", ""),
            },
        },
        options=keyed(_key_of_state(instruction)),
    )
    return Answer({"setup_intent": made.id})


def _write_new_subscription(stripe: Client, instruction: Instruction) -> Answer:
    """A new subscription; its first invoice waits for the customer's own confirmation on the pay page.

    One that is there already is taken: an account never has two, whatever became of an earlier call.
    """
    desired = instruction.desired
    if known := _find_subscription(stripe, desired):
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


def _find_subscription(stripe: Client, desired: dict[str, Any]) -> str:
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


def _write_payment(stripe: Client, instruction: Instruction) -> Answer:
    """Pay an open invoice with the card on file while the customer waits.

    Only the first sending charges. Whoever pressed the button has gone by the time of a second one,
    and a charge then would be a surprise: it reads what became of the first.
    """
    desired = instruction.desired
    provider_id = desired["invoice"]
    seen = str(stripe.v1.invoices.retrieve(provider_id).status)
    if seen != "open" or instruction.attempts > 1:
        return Answer({"invoice": provider_id, "status": seen})
    answer = _pay(instruction, off_session=False)
    if desired.get("return_url") and wants_customer(str(answer.ids.get("decline", ""))):
        return _prepare_confirmation(stripe, instruction)
    return answer


def _prepare_confirmation(stripe: Client, instruction: Instruction) -> Answer:
    """The bank wants the customer: make the address at which they confirm, and come back from."""
    desired = instruction.desired
    made = stripe.v1.invoice_payments.list(params={"invoice": desired["invoice"], "status": "open"})
    intent = next((id_of(p.payment.payment_intent) for p in made.data if p.payment.payment_intent), "")
    if not intent:
        return Answer({"invoice": desired["invoice"], "status": "open"})
    try:
        with calling() as inner:
            asked = inner.v1.payment_intents.confirm(
                intent,
                params={"payment_method": desired["payment_method"], "return_url": desired["return_url"]},
                options=keyed(f"{instruction.idempotency_key}:confirm"),
            )
    except StripeRefused as error:
        if not error.by_bank:
            raise
        code = error.decline or error.code
        return Answer({"invoice": desired["invoice"], "status": "declined", "decline": code})
    status = "action" if asked.status == "requires_action" else "paid"
    return Answer({"invoice": desired["invoice"], "status": status})


def _pay(instruction: Instruction, *, off_session: bool) -> Answer:
    """Ask for the money; what the bank says is an answer, anything else that is refused is our fault."""
    desired = instruction.desired
    provider_id = desired["invoice"]
    try:
        with calling() as inner:
            paid = inner.v1.invoices.pay(
                provider_id,
                params={"payment_method": desired["payment_method"], "off_session": off_session},
                options=keyed(instruction.idempotency_key),
            )
    except StripeRefused as error:
        if not error.by_bank:
            raise
        return Answer({"invoice": provider_id, "status": "declined", "decline": error.decline or error.code})
    return Answer({"invoice": provider_id, "status": str(paid.status)})


def _write_retry(stripe: Client, instruction: Instruction) -> Answer:
    """Charge an unpaid invoice again, without the customer; never for someone who paid or is leaving.

    Sent again after a lost answer it is the same charge, by its key.
    """
    provider_id = instruction.desired["invoice"]
    seen = str(stripe.v1.invoices.retrieve(provider_id).status)
    if seen != "open" or not DunningCase.objects.unpaid().filter(invoice__provider_id=provider_id).exists():
        return Answer({"invoice": provider_id, "status": seen})
    return _pay(instruction, off_session=True)


def _read_invoice(instruction: Instruction) -> Answer:
    """What became of an attempt to charge: read, never charged again."""
    provider_id = instruction.desired["invoice"]
    with calling() as stripe:
        return Answer(
            {"invoice": provider_id, "status": str(stripe.v1.invoices.retrieve(provider_id).status)}
        )


def _write_off(stripe: Client, instruction: Instruction) -> Answer:
    """Mark an open invoice as uncollectible; one that is not open any more stays as it is."""
    provider_id = instruction.desired["invoice"]
    seen = str(stripe.v1.invoices.retrieve(provider_id).status)
    if seen == "open":
        key = _key_of_state(instruction)
        seen = str(stripe.v1.invoices.mark_uncollectible(provider_id, options=keyed(key)).status)
    return Answer({"invoice": provider_id, "status": seen})


def _write_card(stripe: Client, instruction: Instruction) -> Answer:
    """Charge this card from now on: for the customer, and for the subscription where there is one."""
    desired, key = instruction.desired, _key_of_state(instruction)
    stripe.v1.customers.update(
        desired["customer"],
        params={"invoice_settings": {"default_payment_method": desired["payment_method"]}},
        options=keyed(f"{key}:customer"),
    )
    if desired.get("subscription"):
        stripe.v1.subscriptions.update(
            desired["subscription"],
            params={"default_payment_method": desired["payment_method"]},
            options=keyed(f"{key}:subscription"),
        )
    return Answer({"payment_method": desired["payment_method"]})


def _delete_customer(stripe: Client, instruction: Instruction) -> Answer:
    """Delete the customer at the provider; one that is gone already is deleted."""
    customer = instruction.desired["customer"]
    try:
        with calling() as inner:
            inner.v1.customers.delete(customer)
    except StripeRefused as error:
        if error.code != "resource_missing":
            raise
    return Answer({"customer": customer})


_WRITES: dict[str, Callable[[Client, Instruction], Answer]] = {
    Instruction.Kind.CUSTOMER: _write_customer,
    Instruction.Kind.SETUP: _write_setup,
    Instruction.Kind.SUBSCRIBE: _write_new_subscription,
    Instruction.Kind.CARD: _write_card,
    Instruction.Kind.PAY: _write_payment,
    Instruction.Kind.RETRY: _write_retry,
    Instruction.Kind.WRITE_OFF: _write_off,
    Instruction.Kind.SUBSCRIPTION: _write_subscription,
    Instruction.Kind.REFUND: _write_refund,
    Instruction.Kind.CREDIT: _write_credit,
    Instruction.Kind.DELETE_CUSTOMER: _delete_customer,
}
