"""Customers and their cards, as they are said to Stripe; a customer may have a test clock of its own."""

from typing import Any

from billing.models import Instruction
from billing.provider_answers import Answer, key_of_state
from billing.stripe_api import Client, StripeRefused, calling, keyed, metadata_of


def write_customer(stripe: Client, instruction: Instruction) -> Answer:
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


def write_setup(stripe: Client, instruction: Instruction) -> Answer:
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
        options=keyed(key_of_state(instruction)),
    )
    return Answer({"setup_intent": made.id})


def write_card(stripe: Client, instruction: Instruction) -> Answer:
    """Charge this card from now on: for the customer, and for the subscription where there is one."""
    desired, key = instruction.desired, key_of_state(instruction)
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


def delete_customer(stripe: Client, instruction: Instruction) -> Answer:
    """Delete the customer at the provider; one that is gone already is deleted."""
    customer = instruction.desired["customer"]
    try:
        with calling() as inner:
            inner.v1.customers.delete(customer)
    except StripeRefused as error:
        if error.code != "resource_missing":
            raise
    return Answer({"customer": customer})
