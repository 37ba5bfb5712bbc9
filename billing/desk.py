"""What support's page of an account shows of billing."""

import datetime as dt
import re
from typing import Any

from django.db.models import Q, prefetch_related_objects
from django.utils.translation import gettext_lazy as _

from accounts import desk
from accounts.models import Account
from billing.coming import subscription_entries
from billing.models import Customer, Instruction, Invoice, Refund
from billing.subscriptions import subscriptions_of
from billing.trial_rights import have_had_trial

SHOWN = 12

#: The beginning of a provider's number: where an account with it is found.
NUMBERS = {
    "cus_": "customer__provider_id",
    "sub_": "subscriptions__provider_id",
    "in_": "invoices__provider_id",
    "pi_": "payments__provider_id",
    "ch_": "payments__charge_id",
    "py_": "payments__charge_id",
    "re_": "refunds__provider_id",
    "pyr_": "refunds__provider_id",
    "dp_": "payments__disputes__provider_id",
    "du_": "payments__disputes__provider_id",
}
_NUMBER = re.compile(r"([a-z]+_)[A-Za-z0-9_]+")


def by_provider_number(term: str) -> Q | None:
    """An account by any of the provider's numbers."""
    match = _NUMBER.fullmatch(term)
    field = NUMBERS.get(match.group(1)) if match else None
    return Q(**{field: term}) if field else None


def subscription(account: Account, at: dt.datetime) -> dict[str, Any]:
    """What runs, what ran, and the card. Two queries; the customer comes with the account."""
    found = subscriptions_of(account)
    customer: Customer | None = getattr(account, "customer", None)
    live = [row for row in found if row.is_live]
    prefetch_related_objects(live, "pauses")
    coming = [entry for row in live for entry in subscription_entries(row, at=at)]
    return {"subscriptions": found[:SHOWN], "customer": customer, "coming": coming}


def invoices(account: Account, at: dt.datetime) -> dict[str, Any] | None:
    """The newest invoices. One query."""
    rows = list(Invoice.objects.filter(account=account)[:SHOWN])
    return {"invoices": rows} if rows else None


def refunds(account: Account, at: dt.datetime) -> dict[str, Any] | None:
    """Each refund, its state, and whether it is late. One query."""
    rows = list(Refund.objects.filter(account=account).select_related("payment")[:SHOWN])
    return {"refunds": [{"row": row, "is_late": row.is_late(at)} for row in rows]} if rows else None


def instructions(account: Account, at: dt.datetime) -> dict[str, Any] | None:
    """What we told the provider, newest first. One query."""
    rows = list(Instruction.objects.filter(account=account).order_by("-pk")[:SHOWN])
    return {"instructions": rows} if rows else None


def register_desk() -> None:
    """Called from `AppConfig.ready`."""
    folder = "admin/desk"
    desk.register(
        desk.Section(
            code="billing.subscription",
            order=10,
            title=_("Plan and card"),
            template=f"{folder}/subscription.html",
            context=subscription,
        ),
        load_with=["customer"],
        read_with={"had_trial": lambda at: have_had_trial()},
    )
    for code, order, title, context in (
        ("refunds", 30, _("Refunds"), refunds),
        ("invoices", 40, _("Invoices"), invoices),
        ("instructions", 70, _("What Stripe was told"), instructions),
    ):
        desk.register(
            desk.Section(
                code=f"billing.{code}",
                order=order,
                title=title,
                template=f"{folder}/{code}.html",
                context=context,
            )
        )
    desk.register_finder("billing", by_provider_number)
