"""The card "Plan and payments" on the account's page: plan, next charge, card."""

import datetime as dt
from typing import Any

from accounts.models import Account, Member
from accounts.panels import Panel
from billing.coming import is_ended, live_subscription, planned_pauses, unpaid_invoice, waits_for_payment
from billing.dunning_choice import days_to_choose
from billing.dunning_coming import waits_for_owner
from billing.dunning_late import days_just_given_back
from billing.models import Customer, DunningCase, Subscription


def plan_facts(account: Account, member: Member, at: dt.datetime) -> dict[str, Any] | None:
    """What is subscribed, what is charged next, the pause and the card; the money is for payers alone.

    Three queries; four while the days that are paid last longer.
    """
    subscription = live_subscription(account)
    if not member.may_pay:
        return {"subscription": subscription} if subscription else None
    unpaid = unpaid_invoice(account)
    case: DunningCase | None = getattr(unpaid, "dunning_case", None)
    if case is not None:
        case.account = account
    renews_at, customer = subscription.renews_at if subscription else None, _customer(account, subscription)
    return {
        "subscription": subscription,
        "pause": next(iter(planned_pauses(subscription)), None) if subscription else None,
        "customer": customer,
        "unpaid": unpaid,
        "is_blocked": case is not None and (case.blocked_at is not None or case.block_at <= at),
        "is_ended": is_ended(case),
        "wants_customer": case is not None and waits_for_owner(case, customer.card_id if customer else ""),
        "can_choose_day": case is not None and bool(days_to_choose(case, at=at)),
        "waits_for_payment": renews_at is not None and waits_for_payment(case, renews_at),
        "days_back": days_just_given_back(subscription) if subscription and subscription.is_free_time else 0,
    }


def _customer(account: Account, subscription: Subscription | None) -> Customer | None:
    if subscription is None:
        return Customer.objects.filter(account=account, deleted_at=None).first()
    found: Customer | None = getattr(subscription.account, "customer", None)
    return found if found and found.deleted_at is None else None


PLAN_PANEL = Panel(code="billing.plan", order=10, template="billing/panel.html", context=plan_facts)
