"""The card to charge: asked for on the provider's form, adopted when the provider has it."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.events import PROVIDER, By
from accounts.models import Account
from billing.customers import ensure_customer
from billing.instructions import instruct
from billing.models import Customer, Instruction, Plan, Subscription
from billing.outgoing import send_while_waiting
from billing.stripe_api import StripeUnavailable, calling, id_of, metadata_of
from billing.subscriptions import desired_subscription, free_until
from billing.sync import sync_customer


def start_card(account: Account, *, by: By, at: dt.datetime, plan: Plan | None = None) -> str:
    """A form at the provider for a new card; returns its client secret, which is not stored.

    With `plan`, the saved card starts that plan with the free days that come with it.
    """
    customer = ensure_customer(account, by=by, at=at)
    instruction = instruct(
        account,
        kind=Instruction.Kind.SETUP,
        subject=f"card_form:{customer.provider_id}",
        desired={
            "customer": customer.provider_id,
            "account": account.public_id,
            "plan": plan.code if plan else "",
        },
        at=at,
        by=by,
    )
    send_while_waiting(instruction.pk, at=at)
    instruction.refresh_from_db()
    if instruction.status != Instruction.Status.DONE:
        raise StripeUnavailable("setup")
    with calling() as stripe:
        return str(stripe.v1.setup_intents.retrieve(instruction.answer["setup_intent"]).client_secret)


def adopt_saved_card(customer: Customer, setup_intent: str, *, at: dt.datetime) -> None:
    """A card was saved on our form: charge it from now on, and start the plan it was saved for.

    One saved elsewhere is left alone. News that comes late never brings an older card back.
    """
    with calling() as stripe:
        intent = stripe.v1.setup_intents.retrieve(setup_intent)
    method, metadata = id_of(intent.payment_method), metadata_of(intent)
    is_ours = metadata.get("good_terms_account") == customer.account.public_id
    if intent.status != "succeeded" or not is_ours or id_of(intent.customer) != customer.provider_id:
        return
    _adopt(customer, method, metadata.get("good_terms_plan", ""), saved=int(intent.created), at=at)


@transaction.atomic
def _adopt(customer: Customer, method: str, plan_code: str, *, saved: int, at: dt.datetime) -> None:
    Account.objects.select_for_update().get(pk=customer.account_id)
    subject = f"card:{customer.provider_id}"
    newest = Instruction.objects.filter(subject=subject).order_by("-version").first()
    if newest is not None and (
        newest.desired["payment_method"] == method or newest.desired.get("saved", 0) > saved
    ):
        return
    live = Subscription.objects.live().exclude(provider_id=None).filter(account=customer.account).first()
    instruct(
        customer.account,
        kind=Instruction.Kind.CARD,
        subject=subject,
        at=at,
        by=PROVIDER,
        desired={
            "customer": customer.provider_id,
            "payment_method": method,
            "subscription": live.provider_id if live else None,
            "saved": saved,
        },
    )
    plan = Plan.objects.filter(code=plan_code).first() if plan_code and live is None else None
    if plan is not None:
        _start_plan(customer, plan, method, at=at)


def _start_plan(customer: Customer, plan: Plan, method: str, *, at: dt.datetime) -> None:
    wanted: dict[str, Any] = desired_subscription(
        customer,
        plan,
        default_payment_method=method,
        trial_end=free_until(customer.account, plan, at=at),
    )
    instruct(
        customer.account,
        kind=Instruction.Kind.SUBSCRIBE,
        subject=f"subscribe:{customer.account.public_id}",
        desired=wanted,
        at=at,
        by=PROVIDER,
    )


def refresh_card(account: Account, *, at: dt.datetime) -> None:
    """Read the card and the credit again from the provider."""
    if customer := Customer.objects.filter(account=account, deleted_at=None).first():
        sync_customer(customer, at=at)
