"""Refunds and credit, as they are said to Stripe: each is looked for by our id before it is made again."""

from typing import Any

from billing.models import Instruction
from billing.provider_answers import Answer
from billing.stripe_api import Client, ProviderRefund, keyed, metadata_of


def write_refund(stripe: Client, instruction: Instruction) -> Answer:
    """Give this much of a payment back: the one that an earlier sending made, or a new one."""
    desired = instruction.desired
    if instruction.attempts > 1 and (found := find_refund(stripe, desired)) is not None:
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


def find_refund(stripe: Client, desired: dict[str, Any]) -> ProviderRefund | None:
    """The provider's refund that carries our id, if there is one."""
    listed = stripe.v1.refunds.list(params={"payment_intent": desired["payment_intent"], "limit": 100})
    for refund in listed.auto_paging_iter():
        if metadata_of(refund).get("good_terms_refund") == desired["refund"]:
            return refund
    return None


def write_credit(stripe: Client, instruction: Instruction) -> Answer:
    """Give back as credit what was paid with credit: a negative amount on the customer's balance."""
    desired = instruction.desired
    mark = {"good_terms_instruction": instruction.public_id}
    if instruction.attempts > 1 and (found := find_entry(stripe, desired["customer"], mark)):
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


def find_entry(stripe: Client, customer: str, mark: dict[str, str]) -> str:
    """The entry on a customer's balance that carries this metadata of ours, or ""."""
    listed = stripe.v1.customers.balance_transactions.list(customer, params={"limit": 100})
    for entry in listed.auto_paging_iter():
        if mark.items() <= metadata_of(entry).items():
            return str(entry.id)
    return ""
