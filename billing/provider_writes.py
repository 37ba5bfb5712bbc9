"""How each kind of instruction is said to Stripe. Network only: rows are read here, never written.

The calls are in `billing.provider_subscriptions`, `_invoices`, `_refunds` and `_customers`. Several calls of
one instruction use keys derived from its own, so that each is repeated safely.
"""

from collections.abc import Callable

from billing import provider_customers, provider_invoices, provider_refunds, provider_subscriptions
from billing.models import Instruction
from billing.provider_answers import Answer, Unresolved
from billing.stripe_api import Client, calling


def write(instruction: Instruction) -> Answer:
    """Say it, under the stored key."""
    with calling() as stripe:
        return _WRITES[instruction.kind](stripe, instruction)


def adopt(instruction: Instruction) -> Answer:
    """Read what an earlier sending did, by our id in the provider's metadata, and take that as the answer."""
    if instruction.kind == Instruction.Kind.REFUND:
        with calling() as stripe:
            found = provider_refunds.find_refund(stripe, instruction.desired)
        if found is None:
            raise Unresolved("refund_not_found_after_23_hours")
        return Answer({"refund": found.id}, refund=found)
    if instruction.kind == Instruction.Kind.SUBSCRIBE:
        with calling() as stripe:
            known = provider_subscriptions.find_subscription(stripe, instruction.desired)
        if not known:
            raise Unresolved("subscription_not_found_after_23_hours")
        return Answer({"subscription": known})
    if instruction.kind == Instruction.Kind.CREDIT:
        mark = {"good_terms_instruction": instruction.public_id}
        with calling() as stripe:
            entry = provider_refunds.find_entry(stripe, instruction.desired["customer"], mark)
        if not entry:
            raise Unresolved("credit_not_found_after_23_hours")
        return Answer({"balance_transaction": entry})
    if instruction.kind == Instruction.Kind.RETRY:
        return provider_invoices.read_invoice(instruction)
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
        return provider_invoices.read_invoice(instruction)
    if instruction.kind != Instruction.Kind.SUBSCRIPTION:
        return write(instruction)
    with calling() as stripe:
        stripe.v1.subscriptions.retrieve(instruction.desired["subscription"])
    return Answer({"superseded": True})


_WRITES: dict[str, Callable[[Client, Instruction], Answer]] = {
    Instruction.Kind.CUSTOMER: provider_customers.write_customer,
    Instruction.Kind.SETUP: provider_customers.write_setup,
    Instruction.Kind.SUBSCRIBE: provider_subscriptions.write_new_subscription,
    Instruction.Kind.CARD: provider_customers.write_card,
    Instruction.Kind.PAY: provider_invoices.write_payment,
    Instruction.Kind.RETRY: provider_invoices.write_retry,
    Instruction.Kind.WRITE_OFF: provider_invoices.write_off,
    Instruction.Kind.SUBSCRIPTION: provider_subscriptions.write_subscription,
    Instruction.Kind.REFUND: provider_refunds.write_refund,
    Instruction.Kind.CREDIT: provider_refunds.write_credit,
    Instruction.Kind.DELETE_CUSTOMER: provider_customers.delete_customer,
}
