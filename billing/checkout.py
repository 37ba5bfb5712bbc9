"""Starting to pay: on the provider's form, or with the card that is on file."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account
from billing.cards import start_card
from billing.customers import ensure_customer
from billing.instructions import instruct
from billing.models import Customer, Instruction, Invoice, Plan, Subscription
from billing.outgoing import send_while_waiting
from billing.stripe_api import StripeUnavailable, calling, id_of, optional
from billing.subscriptions import desired_subscription, free_until
from billing.sync import sync_subscription
from billing.sync_invoices import sync_invoice


@dataclass(frozen=True)
class Checkout:
    """What the pay page needs to let the customer confirm: the intent's kind and its client secret."""

    kind: str
    client_secret: str


@dataclass(frozen=True)
class PayOutcome:
    """What came of a payment.

    paid, declined (with the bank's code), action (the bank wants a confirmation), unpaid, or checking
    (no answer yet).
    """

    code: str
    decline: str = ""


def start_checkout(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Checkout:
    """A form to start this plan with; asking twice gives the same subscription.

    Where free days come first only the card is asked for, and the subscription is made when the
    provider has it: nobody gets a trial that needs a card without one. Raises `WrongState` where the
    account pays already, `StripeUnavailable` where no answer came; either way nothing is charged.
    """
    _refuse_second(account, plan)
    if free_until(account, plan, at=at) is not None:
        return Checkout("setup", start_card(account, plan=plan, by=by, at=at))
    customer = ensure_customer(account, by=by, at=at)
    return _form_of(_begin(customer, plan, by=by, at=at))


def start_with_card_on_file(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> PayOutcome:
    """Start this plan and pay it with the card on file, without any form."""
    _refuse_second(account, plan)
    customer = ensure_customer(account, by=by, at=at)
    if not customer.has_card:
        raise WrongState("There is no card on file.")
    provider_id = _begin(
        customer,
        plan,
        by=by,
        at=at,
        default_payment_method=customer.card_id,
        trial_end=free_until(account, plan, at=at),
    )
    subscription = Subscription.objects.get(provider_id=provider_id)
    if subscription.is_live:
        return PayOutcome("paid")
    sync_invoice(customer, _latest_invoice(provider_id), at=at)
    invoice = Invoice.objects.unpaid().filter(subscription=subscription).first()
    return pay_invoice(invoice, by=by, at=at) if invoice else PayOutcome("checking")


def pay_invoice(invoice: Invoice, *, by: By, at: dt.datetime, return_url: str = "") -> PayOutcome:
    """Pay an open invoice with the card on file: the customer's own act, told to the provider at once.

    Where the bank wants a confirmation it is prepared, if there is a `return_url` to come back to;
    `bank_address` says where it is given.
    """
    customer = Customer.objects.filter(account=invoice.account, deleted_at=None).first()
    if customer is None or not customer.has_card:
        raise WrongState("There is no card on file.")
    if invoice.status != Invoice.Status.OPEN:
        raise WrongState("This invoice is not open.")
    instruction = instruct(
        invoice.account,
        kind=Instruction.Kind.PAY,
        subject=f"pay:{invoice.provider_id}",
        desired={
            "invoice": invoice.provider_id,
            "payment_method": customer.card_id,
            "return_url": return_url,
        },
        at=at,
        by=by,
    )
    send_while_waiting(instruction.pk, at=at)
    instruction.refresh_from_db()
    return _outcome(instruction)


def bank_address(invoice: Invoice) -> str:
    """Where the bank asks the customer to confirm the payment of this invoice, or ""; it is not stored."""
    with calling() as stripe:
        made = stripe.v1.invoice_payments.list(
            params={
                "invoice": invoice.provider_id,
                "status": "open",
                "expand": ["data.payment.payment_intent"],
            }
        )
        intents: list[Any] = [p.payment.payment_intent for p in made.data if p.payment.payment_intent]
    for intent in intents:
        leads = optional(intent.next_action, "redirect_to_url") if intent.next_action else None
        if intent.status == "requires_action" and leads:
            return str(leads.url)
    return ""


def invoice_form(invoice: Invoice) -> Checkout:
    """A form to pay an open invoice with another card, or to confirm a payment with the bank."""
    with calling() as stripe:
        fetched = stripe.v1.invoices.retrieve(invoice.provider_id, params={"expand": ["confirmation_secret"]})
    secret = fetched.confirmation_secret
    return Checkout("payment", secret.client_secret) if secret else Checkout("none", "")


def _refuse_second(account: Account, plan: Plan) -> None:
    if plan.is_free:
        raise ValueError("The free plan needs no payment.")
    if Subscription.objects.live().filter(account=account).exclude(provider_id=None).exists():
        raise WrongState("This account has a subscription already.")


def _begin(
    customer: Customer,
    plan: Plan,
    *,
    by: By,
    at: dt.datetime,
    default_payment_method: str = "",
    trial_end: dt.datetime | None = None,
) -> str:
    """The provider's id of a subscription to this plan: one that waits already, else a new one."""
    account = customer.account
    waiting = Subscription.objects.filter(
        account=account, plan=plan, status=Subscription.Status.INCOMPLETE
    ).first()
    if waiting is not None and trial_end is None:
        return str(waiting.provider_id)
    instruction = _unanswered(account, plan) or instruct(
        account,
        kind=Instruction.Kind.SUBSCRIBE,
        subject=f"subscribe:{account.public_id}",
        desired=desired_subscription(
            customer, plan, default_payment_method=default_payment_method, trial_end=trial_end
        ),
        at=at,
        by=by,
    )
    send_while_waiting(instruction.pk, at=at)
    instruction.refresh_from_db()
    if instruction.status != Instruction.Status.DONE:
        raise StripeUnavailable("subscribe")
    provider_id = str(instruction.answer["subscription"])
    sync_subscription(customer, provider_id, at=at)
    return provider_id


def _unanswered(account: Account, plan: Plan) -> Instruction | None:
    """An earlier wish for the same plan that is still under way: asked again, it is the same wish."""
    open_ones = Instruction.objects.open().filter(subject=f"subscribe:{account.public_id}")
    return open_ones.filter(desired__price=plan.provider_price).order_by("-version").first()


def _form_of(provider_id: str) -> Checkout:
    with calling() as stripe:
        fetched: Any = stripe.v1.subscriptions.retrieve(
            provider_id, params={"expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"]}
        )
    if fetched.pending_setup_intent:
        return Checkout("setup", fetched.pending_setup_intent.client_secret)
    secret = fetched.latest_invoice.confirmation_secret if fetched.latest_invoice else None
    return Checkout("payment", secret.client_secret) if secret else Checkout("none", "")


def _latest_invoice(provider_id: str) -> str:
    with calling() as stripe:
        return id_of(stripe.v1.subscriptions.retrieve(provider_id).latest_invoice)


def _outcome(instruction: Instruction) -> PayOutcome:
    if instruction.status != Instruction.Status.DONE:
        return PayOutcome("checking")
    status = instruction.answer.get("status")
    if status == "action":
        return PayOutcome("action")
    if status == "declined":
        return PayOutcome("declined", str(instruction.answer.get("decline", "")))
    return PayOutcome("paid" if status == "paid" else "unpaid")
