"""What leaving does when billing reports something: connected in `AppConfig.ready`."""

import datetime as dt
from typing import Any

from accounts.events import PROVIDER, SYSTEM, record
from accounts.models import Account, Terms
from billing.dunning_ends import ended_by_dunning
from billing.models import Instruction, Payment, Refund, Subscription
from billing.periods import end_of_local_day
from billing.refunds import make_refund
from billing.renewals import is_given_up
from billing.subscriptions import steer_subscription
from offboarding.declarations import adopt_cancellation, extend_to_what_is_paid, mark_scheduled
from offboarding.models import Cancellation, Closure
from offboarding.retention import Promise, call_off_closure, close_data_many
from offboarding.winback import keep_data_of_who_came_back, settle_earlier_leaving
from offboarding.withdrawals import can_withdraw, withdraw_cancellation


def schedule_when_told(instruction: Instruction, at: dt.datetime, **kwargs: Any) -> None:
    """The provider carried out that nothing renews: the declaration is scheduled."""
    if instruction.kind != Instruction.Kind.SUBSCRIPTION or instruction.desired.get("ends") == "never":
        return
    received = Cancellation.objects.select_related("account").filter(
        status=Cancellation.Status.RECEIVED, subscription__provider_id=instruction.desired["subscription"]
    )
    for cancellation in received:
        mark_scheduled(cancellation, at=at)


def follow_subscription(
    subscription: Subscription, before: dict[str, Any], at: dt.datetime, **kwargs: Any
) -> None:
    """Someone cancelled, kept or came back at the provider's side."""
    if _we_are_telling(subscription):
        return
    declared = Cancellation.objects.exclude(status=Cancellation.Status.WITHDRAWN).filter(
        subscription=subscription
    )
    open_ = declared.open().select_related("account").first()
    if subscription.status == Subscription.Status.CANCELED and before["status"] in Subscription.LIVE:
        if not declared.exists():
            _adopt_end(subscription, at=at)
    elif subscription.is_live and subscription.cancel_at and not before["cancel_at"] and open_ is None:
        via = Cancellation.Via.UNTOLD if is_given_up(subscription) else Cancellation.Via.PROVIDER
        adopt_cancellation(subscription, ends_at=subscription.cancel_at, at=at, via=via)
    elif subscription.is_live and before["cancel_at"] and not subscription.cancel_at and open_ is not None:
        _was_kept_there(subscription, open_, at=at)
    if subscription.status in ("active", "trialing") and before["status"] not in Subscription.LIVE:
        settle_earlier_leaving(subscription, by=PROVIDER, at=at)
        keep_data_of_who_came_back(subscription.account, by=PROVIDER, at=at)


def _adopt_end(subscription: Subscription, *, at: dt.datetime) -> None:
    """It has ended, and nobody declared it here: at the provider's side, or because it was never paid.

    Whoever moved to the free plan then has not left.
    """
    case = ended_by_dunning(subscription)
    if case is None:
        adopt_cancellation(subscription, ends_at=subscription.ended_at or at, at=at)
    elif case.end_action == Terms.DunningEnd.CANCEL:
        adopt_cancellation(
            subscription, ends_at=subscription.ended_at or at, at=at, via=Cancellation.Via.UNPAID
        )


def _was_kept_there(subscription: Subscription, open_: Cancellation, *, at: dt.datetime) -> None:
    """The end was taken away at the provider's side: what no customer has declared can be kept there.

    A customer's own declaration stands: the provider is told again, and staff see it (C7).
    """
    nobodys = (Cancellation.Via.PROVIDER, Cancellation.Via.UNTOLD)
    if open_.via in nobodys and can_withdraw(open_, at=at):
        withdraw_cancellation(open_, by=PROVIDER, at=at)
        return
    record(subscription.account, "billing.drift", by=SYSTEM, at=at, subject=open_.ref)
    steer_subscription(subscription, ends="period_end", at=at, by=SYSTEM)


def _we_are_telling(subscription: Subscription) -> bool:
    """An instruction of ours is on its way: what is seen now may be the state before or after it."""
    return Instruction.objects.open().filter(subject=f"subscription:{subscription.provider_id}").exists()


def follow_payment(payment: Payment, at: dt.datetime, **kwargs: Any) -> None:
    """An invoice that was open at the declaration was paid by the customer's own act (C6)."""
    if payment.invoice is None or payment.invoice.subscription_id is None:
        return
    rows = Cancellation.objects.open().select_related("account", "quote__terms", "subscription")
    cancellation = rows.filter(subscription=payment.invoice.subscription_id, confirmed_at=None).first()
    if cancellation is not None and payment.invoice.created_at <= cancellation.declared_at:
        extend_to_what_is_paid(cancellation, payment.invoice, at=at)


def refund_what_slipped_through(payment: Payment, at: dt.datetime, **kwargs: Any) -> None:
    """A charge for a period after the confirmed end goes back in full, by itself (C5)."""
    if payment.invoice is None or payment.invoice.subscription_id is None:
        return
    left = (
        Cancellation.objects.filter(
            subscription_id=payment.invoice.subscription_id, declared_at__lte=payment.paid_at
        )
        .exclude(status=Cancellation.Status.WITHDRAWN)
        .select_related("account__terms")
        .order_by("-declared_at")
        .first()
    )
    starts = [line.starts_at for line in payment.invoice.lines.all() if not line.is_proration]
    if left is None or not starts or min(starts) < left.billing_ends_at or not payment.left:
        return
    record(
        left.account,
        "payment.slipped_through",
        by=SYSTEM,
        at=at,
        subject=f"payment:{payment.charge_id}",
        amount=payment.amount,
        currency=payment.currency,
    )
    make_refund(
        payment,
        amount=payment.left,
        tax=min(payment.left, payment.invoice.tax),
        basis=Refund.Basis.CORRECTION,
        reason_ref=f"slip:{payment.charge_id}",
        quote_ref="",
        terms=left.account.terms,
        is_voluntary=False,
        by=SYSTEM,
        at=at,
    )


def date_data_of_trials(account_ids: list[int], at: dt.datetime, **kwargs: Any) -> None:
    """Trials that nobody went on with: from now on their data is kept as long as the terms say."""
    rows = Account.objects.filter(pk__in=account_ids).select_related("terms").order_by("pk")
    close_data_many([_promise(account, at) for account in rows], by=SYSTEM, at=at)


def _promise(account: Account, at: dt.datetime) -> Promise:
    zone, terms = account.time_zone, account.terms
    return Promise(
        account.pk,
        None,
        end_of_local_day(at + dt.timedelta(days=terms.retrieval_days), zone),
        end_of_local_day(at + dt.timedelta(days=terms.retention_days), zone),
    )


def keep_data_of_who_is_back(account_ids: list[int], at: dt.datetime, **kwargs: Any) -> None:
    """Access is on again, by whatever way: data that was to go because a trial had ended stays."""
    if not account_ids:
        return
    # A sweep names thousands, in order: a range says them in two values, and few of them have a closure.
    rows = Closure.objects.filter(
        account__gte=account_ids[0],
        account__lte=account_ids[-1],
        account__state__in=Account.OPEN_STATES,
        cancellation=None,
        status=Closure.Status.SCHEDULED,
    )
    named = set(account_ids)
    for closure in rows.select_related("account"):
        if closure.account_id in named:
            call_off_closure(closure, by=SYSTEM, at=at, reason="came_back")
