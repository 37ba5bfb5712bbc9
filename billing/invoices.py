"""Invoices as their page and their table show them."""

import re
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import Account
from billing.models import Invoice, InvoiceLine, Plan, Refund
from billing.models.invoice import InvoiceQuerySet
from billing.plan_choice import price_words
from billing.refund_rules import PaidInvoice, PaidLine

PAGE = 20


@dataclass(frozen=True)
class InvoicePage:
    """One page of the table, newest first, and the invoice to go on after, or ""."""

    rows: list[Invoice]
    older: str


def list_invoices(account: Account, *, after: str = "", size: int = PAGE) -> InvoicePage:
    """Invoices that were issued, drafts left out; `after` is the last one of the page before."""
    found = issued(account)
    last = found.filter(provider_id=after).first() if after else None
    if last is not None:
        found = found.filter(
            Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
        )
    rows = list(found.select_related("subscription__plan")[: size + 1])
    return InvoicePage(rows[:size], rows[size - 1].provider_id if len(rows) > size else "")


def issued(account: Account) -> InvoiceQuerySet:
    """Every invoice of the account that has a number: it was issued, whatever became of it."""
    return Invoice.objects.filter(account=account).exclude(status=Invoice.Status.DRAFT).exclude(number="")


#: How the provider writes a line that is the plain price of a plan: so many of it, its name, its price.
_PLAIN = re.compile(r"(\d+) × (.+) \(at (\S+) / (month|year)\)")


def lines_of(invoice: Invoice) -> list[tuple[InvoiceLine, str]]:
    """Its lines in order, each with what it is: the plain price of a plan that we know in the reader's
    language, all else in the provider's own words. Two queries."""
    plans = {
        (plan.name_en, plan.amount, plan.interval): plan
        for plan in Plan.objects.filter(currency=invoice.currency)
    }
    return [(line, _line_words(line, plans)) for line in invoice.lines.order_by("starts_at", "pk")]


def _line_words(line: InvoiceLine, plans: dict[tuple[str, int, str], Plan]) -> str:
    found = None if line.is_proration else _PLAIN.fullmatch(line.description)
    if found is None:
        return line.description
    quantity, name, price, interval = found.groups()
    plan = plans.get((name, int(re.sub(r"\D", "", price) or 0), interval))
    if plan is None:
        return line.description
    words = {"quantity": quantity, "plan": plan.name, "price": price_words(plan)}
    return _("%(quantity)s × %(plan)s (%(price)s)") % words


def refunds_of(invoice: Invoice) -> list[Refund]:
    """Refunds on the payments of this invoice, earliest first; those given up are left out."""
    found = Refund.objects.filter(payment__invoice=invoice).exclude(state=Refund.State.ABANDONED)
    return list(found.select_related("payment").order_by("created_at", "pk"))


def as_paid_invoice(
    invoice: Invoice, *, payment: str, paid_cash: int, refunded: int, disputed: int
) -> PaidInvoice:
    """The invoice with its lines as the refund rules read it; moments are epoch seconds."""
    lines = tuple(_line(line) for line in sorted(invoice.lines.all(), key=lambda line: line.pk))
    starts, ends = [line.starts for line in lines], [line.ends for line in lines]
    return PaidInvoice(
        invoice=invoice.provider_id,
        payment=payment,
        currency=invoice.currency,
        lines=lines,
        paid_cash=paid_cash,
        paid_credit=invoice.credit_applied,
        refunded=refunded,
        disputed=disputed,
        period_start=min(starts, default=0),
        period_end=max(ends, default=0),
        extension_seconds=0,
    )


def _line(line: InvoiceLine) -> PaidLine:
    return PaidLine(
        line=line.provider_id,
        net=line.net,
        tax=line.tax,
        starts=int(line.starts_at.timestamp()),
        ends=int(line.ends_at.timestamp()),
    )
