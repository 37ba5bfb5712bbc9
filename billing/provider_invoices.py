"""Invoices, as they are said to Stripe: paid, settled as the terms say, written off, or never charged."""

from typing import Any

from billing.declines import wants_customer
from billing.models import DunningCase, Instruction
from billing.provider_answers import Answer, key_of_state
from billing.provider_refunds import find_entry
from billing.stripe_api import Client, StripeRefused, calling, id_of, keyed, metadata_of

#: Marks a draft that is on its way to being voided.
TO_VOID = "good_terms_void"


def write_payment(stripe: Client, instruction: Instruction) -> Answer:
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


def write_retry(stripe: Client, instruction: Instruction) -> Answer:
    """Charge an unpaid invoice again, without the customer; never for someone who paid or is leaving.

    Sent again after a lost answer it is the same charge, by its key.
    """
    provider_id = instruction.desired["invoice"]
    seen = str(stripe.v1.invoices.retrieve(provider_id).status)
    if seen != "open" or not DunningCase.objects.unpaid().filter(invoice__provider_id=provider_id).exists():
        return Answer({"invoice": provider_id, "status": seen})
    return _pay(instruction, off_session=True)


def read_invoice(instruction: Instruction) -> Answer:
    """What became of an attempt to charge: read, never charged again."""
    provider_id = instruction.desired["invoice"]
    with calling() as stripe:
        return Answer(
            {"invoice": provider_id, "status": str(stripe.v1.invoices.retrieve(provider_id).status)}
        )


def write_off(stripe: Client, instruction: Instruction) -> Answer:
    """Mark an open invoice as uncollectible; one that is not open any more stays as it is."""
    provider_id = instruction.desired["invoice"]
    seen = str(stripe.v1.invoices.retrieve(provider_id).status)
    if seen == "open":
        key = key_of_state(instruction)
        seen = str(stripe.v1.invoices.mark_uncollectible(provider_id, options=keyed(key)).status)
    return Answer({"invoice": provider_id, "status": seen})


def settle_invoice(stripe: Client, invoice_id: str, choice: dict[str, Any], key: str) -> None:
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


def clear_what_waits(stripe: Client, provider_id: str, key: str) -> None:
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
    if issued.status == "paid" and used > 0 and not find_entry(stripe, customer, mark):
        stripe.v1.customers.balance_transactions.create(
            customer,
            params={"amount": -used, "currency": issued.currency, "metadata": mark},
            options=keyed(f"{key}:give_back:{invoice_id}"),
        )
