"""Starting, changing and steering a subscription."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record
from accounts.models import Account
from accounts.states import move_account
from billing.customers import ensure_customer
from billing.instructions import instruct
from billing.models import Instruction, Plan, Subscription
from billing.outgoing import send_instruction
from billing.stripe_api import StripeUnavailable, calling
from billing.sync import sync_subscription


@dataclass(frozen=True)
class Checkout:
    """What the pay page needs to let the customer confirm: the intent's kind and its client secret."""

    kind: str
    client_secret: str


@transaction.atomic
def start_free_plan(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Subscription:
    """The free plan: never billed, never expiring, never frozen. Needs nobody at the provider."""
    if not plan.is_free:
        raise ValueError("This plan has a price.")
    if Subscription.objects.live().filter(account=account).exists():
        raise WrongState("There is a subscription already.")
    subscription = Subscription.objects.create(
        account=account, plan=plan, status=Subscription.Status.ACTIVE, started_at=at
    )
    record(account, "subscription.active", by=by, at=at, subject=f"subscription:{subscription.public_id}")
    if account.state != Account.State.ACTIVE:
        move_account(account, Account.State.ACTIVE, by=by, at=at, reason="free_plan", access_ends_at=None)
    return subscription


def put_on_free_plan(account: Account, at: dt.datetime, **_signal: Any) -> None:
    """A new account starts on the free plan of its currency, where there is one (`account_opened`)."""
    plans = Plan.objects.on_offer(account.currency).filter(amount=0)
    plan = plans.filter(currency=account.currency).first() or plans.first()
    if plan is not None:
        start_free_plan(account, plan, by=SYSTEM, at=at)


@transaction.atomic
def start_trial(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Subscription:
    """A trial without card: known to us alone, ends by itself, converts never."""
    if plan.trial_needs_card or not plan.trial_days:
        raise ValueError("This plan has no trial without a card.")
    Subscription.objects.live().filter(account=account, provider_id=None, plan__amount=0).update(
        status=Subscription.Status.CANCELED, ended_at=at
    )
    ends = at + dt.timedelta(days=plan.trial_days)
    subscription = Subscription.objects.create(
        account=account,
        plan=plan,
        status=Subscription.Status.TRIALING,
        started_at=at,
        period_start=at,
        period_end=ends,
        trial_end=ends,
    )
    record(account, "subscription.trialing", by=by, at=at, subject=f"subscription:{subscription.public_id}")
    if account.state != Account.State.TRIALING:
        move_account(account, Account.State.TRIALING, by=by, at=at, reason="trial")
    return subscription


def start_checkout(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Checkout:
    """A subscription that waits for the customer's confirmation; asking twice gives the same one.

    Raises `WrongState` where the account pays already, `StripeUnavailable` where no answer came.
    """
    if plan.is_free:
        raise ValueError("The free plan needs no payment.")
    if Subscription.objects.live().filter(account=account).exclude(provider_id=None).exists():
        raise WrongState("This account has a subscription already.")
    customer = ensure_customer(account, by=by, at=at)
    waiting = Subscription.objects.filter(
        account=account, plan=plan, status=Subscription.Status.INCOMPLETE
    ).first()
    if waiting is None:
        desired: dict[str, Any] = {
            "customer": customer.provider_id,
            "price": plan.provider_price,
            "account": account.public_id,
            "default_payment_method": customer.card_id or None,
        }
        if (
            plan.trial_days
            and not Subscription.objects.filter(account=account).exclude(trial_end=None).exists()
        ):
            desired["trial_end"] = int((at + dt.timedelta(days=plan.trial_days)).timestamp())
        instruction = instruct(
            account,
            kind=Instruction.Kind.SUBSCRIBE,
            subject=f"subscribe:{account.public_id}",
            desired=desired,
            at=at,
            by=by,
        )
        send_instruction(instruction.pk, at=at)
        instruction.refresh_from_db()
        if instruction.status != Instruction.Status.DONE:
            raise StripeUnavailable("subscribe")
        sync_subscription(customer, instruction.answer["subscription"], at=at)
        provider_id = instruction.answer["subscription"]
    else:
        provider_id = str(waiting.provider_id)
    return _checkout(provider_id)


def _checkout(provider_id: str) -> Checkout:
    with calling() as stripe:
        fetched: Any = stripe.v1.subscriptions.retrieve(
            provider_id, params={"expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"]}
        )
    if fetched.pending_setup_intent:
        return Checkout("setup", fetched.pending_setup_intent.client_secret)
    secret = fetched.latest_invoice.confirmation_secret if fetched.latest_invoice else None
    return Checkout("payment", secret.client_secret) if secret else Checkout("none", "")


@transaction.atomic
def steer_subscription(
    subscription: Subscription,
    *,
    ends: str,
    at: dt.datetime,
    by: By,
    paid_end: dt.datetime | Literal["now"] | None = None,
    open_invoices: dict[str, Any] | None = None,
    price: str = "",
) -> Instruction | None:
    """Tell the provider what should be: `ends` is never, period_end or now.

    `paid_end` moves the end of what is paid (no proration, nothing charged before it; "now" charges now);
    `open_invoices` says what becomes of each unpaid invoice. What an earlier instruction wanted and
    could not yet say is carried on. A local subscription needs nothing said: None.
    """
    if subscription.is_local:
        return None
    subject = f"subscription:{subscription.provider_id}"
    unsaid = Instruction.objects.open().filter(subject=subject).order_by("-version").first()
    desired: dict[str, Any] = dict(unsaid.desired) if unsaid else {}
    desired |= {"subscription": subscription.provider_id, "ends": ends}
    if paid_end is not None:
        desired["trial_end"] = paid_end if paid_end == "now" else int(paid_end.timestamp())
    if open_invoices:
        desired["open_invoices"] = open_invoices
    if price:
        desired["price"] = price
    return instruct(
        subscription.account,
        kind=Instruction.Kind.SUBSCRIPTION,
        subject=subject,
        desired=desired,
        at=at,
        by=by,
    )


@transaction.atomic
def change_plan(subscription: Subscription, plan: Plan, *, by: By, at: dt.datetime) -> None:
    """Another plan from the next renewal on; the paid period stays as it was paid.

    To the free plan it is a local change once the paid period is over, which leaving decides.
    """
    if (
        not subscription.is_live
        or subscription.is_local
        or plan.is_free
        or plan.currency != subscription.plan.currency
    ):
        raise WrongState("This subscription cannot be moved to that plan.")
    record(
        subscription.account,
        "subscription.plan_changed",
        by=by,
        at=at,
        subject=f"subscription:{subscription.public_id}",
        plan=plan.code,
    )
    steer_subscription(
        subscription,
        ends="period_end" if subscription.cancel_at else "never",
        price=plan.provider_price,
        at=at,
        by=by,
    )


@transaction.atomic
def end_local(subscription: Subscription, *, at: dt.datetime, reason: str) -> None:
    """End a subscription that only we know of."""
    changed = (
        Subscription.objects.live()
        .filter(pk=subscription.pk, provider_id=None)
        .update(status=Subscription.Status.CANCELED, ended_at=at, cancel_at=at)
    )
    if changed:
        record(
            subscription.account,
            "subscription.canceled",
            by=SYSTEM,
            at=at,
            subject=f"subscription:{subscription.public_id}",
            reason=reason,
        )


def move_local_end(subscription: Subscription, ends: dt.datetime) -> None:
    """Move the end of a trial that only we know of."""
    Subscription.objects.live().filter(pk=subscription.pk, provider_id=None).update(
        trial_end=ends, period_end=ends
    )
