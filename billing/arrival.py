"""What became of a payment or a card that someone has just confirmed: read from our own facts."""

from dataclasses import dataclass

from accounts.models import Account
from billing.models import Customer, Invoice, Plan, Subscription


@dataclass(frozen=True)
class Arrival:
    """`state`: waiting, done or failed; `what`: plan, card or invoice, with the rows it is about."""

    what: str
    state: str
    subscription: Subscription | None = None
    plan: Plan | None = None
    invoice: Invoice | None = None


def what_arrived(
    account: Account, *, what: str, plan: str, invoice: str, was: str, has_failed: bool
) -> Arrival:
    """Whether the facts are in. What came back with the address only says whether to go on waiting."""
    if what == "invoice":
        return _invoice(account, invoice, has_failed)
    if what == "card":
        return _card(account, was, has_failed)
    return _plan(account, plan, has_failed)


def _plan(account: Account, code: str, has_failed: bool) -> Arrival:
    plan = Plan.objects.filter(code=code).first()
    found = (
        Subscription.objects.live()
        .filter(account=account)
        .exclude(provider_id=None)
        .select_related("plan")
        .first()
    )
    if found is not None:
        return Arrival("plan", "done", subscription=found, plan=found.plan)
    return Arrival("plan", "failed" if has_failed else "waiting", plan=plan)


def _card(account: Account, was: str, has_failed: bool) -> Arrival:
    customer = Customer.objects.filter(account=account, deleted_at=None).first()
    if customer is not None and customer.has_card and customer.card_id != was:
        return Arrival("card", "done")
    return Arrival("card", "failed" if has_failed else "waiting")


def _invoice(account: Account, provider_id: str, has_failed: bool) -> Arrival:
    found = Invoice.objects.filter(account=account, provider_id=provider_id).first()
    if found is not None and found.status == Invoice.Status.PAID:
        return Arrival("invoice", "done", invoice=found)
    return Arrival("invoice", "failed" if has_failed else "waiting", invoice=found)
