"""The card to charge: asked for on the provider's form, adopted when the provider has it."""

import datetime as dt
from typing import Any

from accounts.events import PROVIDER, By
from accounts.models import Account
from billing.customers import ensure_customer
from billing.instructions import instruct
from billing.models import Customer, Instruction, Subscription
from billing.outgoing import send_instruction
from billing.stripe_api import StripeUnavailable, calling
from billing.sync import sync_customer


def start_card(account: Account, *, by: By, at: dt.datetime) -> str:
    """A form at the provider for a new card; returns its client secret, which is not stored."""
    customer = ensure_customer(account, by=by, at=at)
    instruction = instruct(
        account,
        kind=Instruction.Kind.SETUP,
        subject=f"card_form:{customer.provider_id}",
        desired={"customer": customer.provider_id, "account": account.public_id},
        at=at,
        by=by,
    )
    send_instruction(instruction.pk, at=at)
    instruction.refresh_from_db()
    if instruction.status != Instruction.Status.DONE:
        raise StripeUnavailable("setup")
    with calling() as stripe:
        return str(stripe.v1.setup_intents.retrieve(instruction.answer["setup_intent"]).client_secret)


def adopt_saved_card(
    customer: Customer, payment_method: str, metadata: dict[str, Any], *, at: dt.datetime
) -> None:
    """A card was saved on our form: charge it from now on. One saved elsewhere is left alone."""
    if metadata.get("good_terms_account") != customer.account.public_id or not payment_method:
        return
    if customer.card_id == payment_method:
        return
    live = Subscription.objects.live().exclude(provider_id=None).filter(account=customer.account).first()
    instruct(
        customer.account,
        kind=Instruction.Kind.CARD,
        subject=f"card:{customer.provider_id}",
        at=at,
        by=PROVIDER,
        desired={
            "customer": customer.provider_id,
            "payment_method": payment_method,
            "subscription": live.provider_id if live else None,
        },
    )


def refresh_card(account: Account, *, at: dt.datetime) -> None:
    """Read the card and the credit again from the provider."""
    if customer := Customer.objects.filter(account=account, deleted_at=None).first():
        sync_customer(customer, at=at)
