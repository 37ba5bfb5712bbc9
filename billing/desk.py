"""What support's page of an account shows of billing."""

import datetime as dt
import re
from typing import Any

from django.db.models import FilteredRelation, Q, prefetch_related_objects
from django.utils.translation import gettext_lazy as _

from accounts import desk
from accounts.calendar import CalendarEntry
from accounts.models import Account
from accounts.sharing import shared
from billing.coming import subscription_entries
from billing.dunning_coming import case_entries
from billing.models import Customer, DunningCase, Instruction, Invoice, Refund, TrialRequest
from billing.subscriptions import subscriptions_of
from billing.trial_rights import have_had_trial

SHOWN = 12
OPEN_REQUEST = Q(trial_requests__state=TrialRequest.State.OPEN)

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
    """What runs, what ran, what is chased, and the card. Two queries, one more on trial; the customer
    comes with the account, the case with the invoices."""
    found = subscriptions_of(account)
    customer: Customer | None = getattr(account, "customer", None)
    case = chased(account)
    live = [row for row in found if row.is_live]
    prefetch_related_objects(live, "pauses")
    coming: list[CalendarEntry] = []
    for row in live:
        row.account = account
        coming += subscription_entries(row, at=at, case=case)
    if case is not None:
        card_id = customer.card_id if customer else ""
        coming += case_entries(case, account.time_zone, card_id=card_id, at=at)
    request: TrialRequest | None = getattr(account, "open_request", None)
    return {"subscriptions": found[:SHOWN], "customer": customer, "coming": coming, "request": request}


def _invoices(account: Account) -> list[Invoice]:
    """The newest ones, with their cases. One query, shared by the parts of a page."""
    rows = Invoice.objects.filter(account=account).select_related("dunning_case__terms")[:SHOWN]
    return shared(account, "billing.newest_invoices", lambda: list(rows))


def chased(account: Account) -> DunningCase | None:
    """The case of the newest invoice that is owed."""
    cases = (getattr(row, "dunning_case", None) for row in _invoices(account) if row.status == "open")
    return next((case for case in cases if case is not None), None)


def invoices(account: Account, at: dt.datetime) -> dict[str, Any] | None:
    """The newest invoices. No query of its own."""
    rows = _invoices(account)
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
        load_with=["customer", "open_request"],
        read_with={
            "had_trial": lambda at: have_had_trial(),
            "open_request": lambda at: FilteredRelation("trial_requests", condition=OPEN_REQUEST),
        },
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
