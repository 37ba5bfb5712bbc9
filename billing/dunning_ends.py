"""What comes when the last attempt has failed: frozen, cancelled, the free plan, or a person."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.events import SYSTEM
from accounts.models import Account, Terms
from billing.invoices import as_paid_invoice
from billing.models import DunningCase, Plan, Subscription
from billing.refund_rules import used_part_of_open_invoice
from billing.subscriptions import start_free_plan, steer_subscription

End = Terms.DunningEnd


def action_of(case: DunningCase) -> str:
    """What the terms say, or frozen where that is not possible: nothing to cancel, no free plan to go to."""
    wanted = str(case.terms.dunning_end)
    subscription = case.invoice.subscription
    if wanted in (End.CANCEL, End.FREE_PLAN) and (subscription is None or not subscription.is_live):
        return End.FREEZE
    if wanted == End.FREE_PLAN and free_plan_of(case.account) is None:
        return End.FREEZE
    return wanted


def free_plan_of(account: Account) -> Plan | None:
    """The free plan that this account can move to."""
    plans = Plan.objects.on_offer(account.currency).filter(amount=0)
    return plans.filter(currency=account.currency).first() or plans.first()


def tell_provider(case: DunningCase, action: str, *, at: dt.datetime) -> None:
    """Cancelled: it ends there now, and the open invoice becomes what the terms say (C6).

    Otherwise nothing more is billed for days without access, until the invoice is paid.
    """
    subscription = case.invoice.subscription
    if subscription is None or not subscription.is_live:
        return
    if action in (End.FREEZE, End.KEEP):
        steer_subscription(subscription, ends=_ends(subscription), is_billing=False, by=SYSTEM, at=at)
    elif action in (End.CANCEL, End.FREE_PLAN):
        unpaid = {case.invoice.provider_id: _what_is_owed(case)}
        steer_subscription(subscription, ends="now", open_invoices=unpaid, by=SYSTEM, at=at)


def bill_again(case: DunningCase, *, at: dt.datetime) -> None:
    """Whoever paid after all is billed again from the next period on."""
    subscription = case.invoice.subscription
    if case.end_action in (End.FREEZE, End.KEEP) and subscription is not None and subscription.is_live:
        steer_subscription(subscription, ends=_ends(subscription), is_billing=True, by=SYSTEM, at=at)


def _ends(subscription: Subscription) -> str:
    return "period_end" if subscription.cancel_at else "never"


def _what_is_owed(case: DunningCase) -> dict[str, Any]:
    """What the accepted terms make of the unpaid invoice: used is what there was access for."""
    invoice, rule = case.invoice, str(case.terms.open_invoice)
    if rule != Terms.OpenInvoice.USED_PART:
        return {"rule": rule, "credit": 0}
    as_paid = as_paid_invoice(invoice, payment="", paid_cash=invoice.amount_paid, refunded=0, disputed=0)
    used = used_part_of_open_invoice(as_paid, int(case.block_at.timestamp())).amount
    return {"rule": rule, "credit": max(0, invoice.amount_remaining - used)}


def ended_by_dunning(subscription: Subscription) -> DunningCase | None:
    """The case that ended this subscription, if one did."""
    rows = DunningCase.objects.filter(invoice__subscription=subscription, status=DunningCase.Status.ENDED)
    return rows.filter(end_action__in=(End.CANCEL, End.FREE_PLAN)).select_related("account").first()


@transaction.atomic
def follow_end(subscription: Subscription, *, at: dt.datetime) -> None:
    """The provider has ended it: where the terms say so, the free plan begins."""
    if subscription.status != Subscription.Status.CANCELED:
        return
    case = ended_by_dunning(subscription)
    if case is None or case.end_action != End.FREE_PLAN:
        return
    account = Account.objects.select_for_update().get(pk=case.account_id)
    plan = free_plan_of(account)
    has_one = Subscription.objects.live().filter(account=account).exists()
    if plan is not None and not has_one and account.state == Account.State.FROZEN:
        start_free_plan(account, plan, by=SYSTEM, at=at)
