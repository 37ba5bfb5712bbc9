"""From a rule to money that can be paid out: rounding, what is left, cash before credit, and the explanation.

Nothing is decided here but the order of the purses: the payment method first, then the balance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from billing import money
from billing.refund_facts import (
    Basis,
    ExplainLine,
    PaidInvoice,
    PaidLine,
    RefundFacts,
    RefundPart,
    RefundResult,
    Rule,
    paid_share,
    unused_share,
)


def currency_of(facts: RefundFacts) -> str:
    """The one currency of the facts ("" without invoices). Raises ValueError for facts that cannot be."""
    currencies = {invoice.currency for invoice in facts.invoices}
    payments = [invoice.payment for invoice in facts.invoices if invoice.payment]
    invoices = [invoice.invoice for invoice in facts.invoices]
    if len(currencies) > 1:
        raise ValueError(f"one refund is in one currency, not in {sorted(currencies)}")
    if len(set(payments)) < len(payments) or len(set(invoices)) < len(invoices):
        raise ValueError(f"an invoice or payment is listed twice: {invoices} {payments}")
    return currencies.pop() if currencies else ""


@dataclass(frozen=True)
class _Due:
    """The exact value of one line that the rule gives back, before rounding and before what is left.

    `share` is the rule's share of the line, `paid` the share of the invoice that was paid at all.
    """

    invoice: PaidInvoice
    line: PaidLine
    share: Fraction
    paid: Fraction
    value: Fraction
    tax: Fraction


@dataclass(frozen=True)
class _Claim:
    """What one invoice should give back (`wanted`, in payable units) and what it can."""

    invoice: PaidInvoice
    exact: Fraction
    tax: Fraction
    wanted: int
    cash_cap: int
    credit_cap: int


def settle(
    facts: RefundFacts,
    basis: Basis,
    rule: Rule,
    reason: ExplainLine,
    *,
    why_none: str = "",
    keeps_access: bool = False,
) -> RefundResult:
    """Turn a rule into whole units that can be paid out, in cash first, and account for each of them."""
    currency = currency_of(facts)
    step = money.smallest_step(currency)
    dues = [due for invoice in facts.invoices for due in _dues(facts, invoice, basis, rule)]
    claims = [_claim(invoice, dues, step) for invoice in facts.invoices]
    exact = ceil(sum((due.value for due in dues), Fraction(0)))
    due = money.round_up(max(0, exact), step)
    cash = min(due, sum(claim.cash_cap for claim in claims))
    credit = min(due - cash, sum(claim.credit_cap for claim in claims))
    parts = _parts(claims, cash, credit, step)
    lines = [
        reason,
        *_line_lines(dues, rule),
        *correction("nothing_after_credits", -min(0, exact)),
        *correction("rounding", due - max(0, exact)),
        *(ExplainLine("as_credit", invoice=p.invoice, amount=-p.credit) for p in parts if p.credit),
        *_lost_lines(claims, due - cash - credit),
    ]
    if cash or credit:
        why_none = ""
    else:
        why_none = why_none if rule is Rule.NONE and _anything_paid(facts) else _why_none(facts, lines)
    return RefundResult(
        amount=cash,
        tax=sum(part.tax for part in parts),
        credit=credit,
        currency=currency,
        basis=basis,
        rule=rule,
        keeps_access=keeps_access and not why_none,
        parts=tuple(parts),
        lines=tuple(lines),
        why_none=why_none,
    )


def _dues(facts: RefundFacts, invoice: PaidInvoice, basis: Basis, rule: Rule) -> list[_Due]:
    """What the rule gives back of each line, as an exact share of what was paid for it."""
    if rule is Rule.NONE:
        return []
    paid = paid_share(invoice)
    if rule is Rule.PRO_RATA:
        shares = [unused_share(line, invoice, facts.declared_at) for line in invoice.lines]
    else:
        shares = [Fraction(not _is_of_earlier_period(line, facts, basis)) for line in invoice.lines]
    return [_due(invoice, line, share, paid) for line, share in zip(invoice.lines, shares, strict=True)]


def _due(invoice: PaidInvoice, line: PaidLine, share: Fraction, paid: Fraction) -> _Due:
    given = share * paid
    return _Due(invoice, line, share, paid, line.gross * given, line.tax * given)


def _is_of_earlier_period(line: PaidLine, facts: RefundFacts, basis: Basis) -> bool:
    """Whether the line charges in arrears for a period before the renewal, which is not the one being undone.

    The law undoes the whole contract, so there nothing is of an earlier period.
    """
    if basis is Basis.STATUTORY or facts.renewal_at is None:
        return False
    return line.whole_seconds > 0 and line.ends <= facts.renewal_at


def _claim(invoice: PaidInvoice, dues: Sequence[_Due], step: int) -> _Claim:
    own = [due for due in dues if due.invoice is invoice]
    exact = sum((due.value for due in own), Fraction(0))
    wanted = money.round_up(max(0, ceil(exact)), step)
    cash_cap = min(wanted, money.round_down(invoice.left, step))
    credit_cap = min(wanted - cash_cap, invoice.credit_left)
    tax = sum((due.tax for due in own), Fraction(0))
    return _Claim(invoice, exact, tax, wanted, cash_cap, credit_cap)


def _parts(claims: Sequence[_Claim], cash: int, credit: int, step: int) -> list[RefundPart]:
    """Spread cash and credit over the payments in proportion to what each can give; none gives more."""
    in_steps = money.split(cash // step, [claim.cash_cap // step for claim in claims])
    credits = money.split(credit, [claim.credit_cap for claim in claims])
    parts = []
    for claim, steps, part_credit in zip(claims, in_steps, credits, strict=True):
        if steps or part_credit:
            amount = steps * step
            tax = tax_within(amount, claim.tax, claim.exact)
            parts.append(RefundPart(claim.invoice.payment, claim.invoice.invoice, amount, tax, part_credit))
    return parts


def tax_within(amount: int, tax: Fraction | int, gross: Fraction | int) -> int:
    """The tax contained in `amount` at the rate of `tax` in `gross`, to the nearest unit, halves up."""
    if gross <= 0:
        return 0
    nearest = floor(amount * Fraction(tax) / gross + Fraction(1, 2))
    return max(0, min(amount, nearest))


# Explaining it


def _line_lines(dues: Sequence[_Due], rule: Rule) -> list[ExplainLine]:
    """One line of explanation per invoice line; together they are the exact sum, rounded up once."""
    amounts = in_whole_units([due.value for due in dues])
    return [
        ExplainLine(_line_code(due, rule), _line_params(due), due.invoice.invoice, due.line.line, amount)
        for due, amount in zip(dues, amounts, strict=True)
    ]


def _line_code(due: _Due, rule: Rule) -> str:
    if not due.paid:
        return "line_unpaid"
    if due.line.gross < 0:
        return "line_credit_for_change"
    if not due.share:
        return "line_used_up" if rule is Rule.PRO_RATA else "line_earlier_period"
    return "line_full" if rule is Rule.FULL else "line_unused"


def _line_params(due: _Due) -> dict[str, int | str]:
    """The figures behind one line: its price, how much of its time comes back, what was paid of it."""
    params = times_of(due.line, due.share)
    if due.paid < 1:
        params |= {"paid": due.invoice.paid, "billed": due.invoice.total}
    return params


def times_of(line: PaidLine, share: Fraction) -> dict[str, int | str]:
    """The figures of a line of which `share` counts, in whole seconds."""
    seconds = int(line.whole_seconds * share)
    return {"net": line.net, "tax": line.tax, "seconds": seconds, "whole_seconds": line.whole_seconds}


def in_whole_units(values: Sequence[Fraction]) -> list[int]:
    """Whole units that sum to the exact sum rounded up, each within one unit of its value."""
    units = [floor(value) for value in values]
    missing = ceil(sum(values, Fraction(0))) - sum(units)
    by_fraction = sorted(range(len(values)), key=lambda i: units[i] - values[i])
    for i in by_fraction[:missing]:
        units[i] += 1
    return units


def _lost_lines(claims: Sequence[_Claim], lost: int) -> list[ExplainLine]:
    """Why `lost` of what the rule gives cannot go back: refunded before, disputed, or not payable."""
    lines: list[ExplainLine] = []
    for claim in claims:
        here = min(lost, claim.wanted - claim.cash_cap - claim.credit_cap)
        lost -= here
        refunded = min(here, max(0, claim.invoice.refunded) + max(0, claim.invoice.credited))
        disputed = min(here - refunded, max(0, claim.invoice.disputed))
        lines += correction("already_refunded", -refunded, claim.invoice)
        lines += correction("disputed", -disputed, claim.invoice)
        lines += correction("rounding", -(here - refunded - disputed), claim.invoice)
    return lines


def correction(code: str, amount: int, invoice: PaidInvoice | None = None) -> list[ExplainLine]:
    """A line that changes the sum by `amount`, or none where there is nothing to change."""
    return [ExplainLine(code, invoice=invoice.invoice if invoice else "", amount=amount)] if amount else []


def _why_none(facts: RefundFacts, lines: Sequence[ExplainLine]) -> str:
    """The one reason that weighs most where nothing comes back though the rule would give it."""
    if not _anything_paid(facts):
        return "nothing_paid"
    lost = [line for line in lines if line.amount < 0 and line.code in {"disputed", "already_refunded"}]
    if lost:
        return min(lost, key=lambda line: line.amount).code
    if any(line.code == "nothing_after_credits" for line in lines):
        return "nothing_after_credits"
    return "fully_used"


def _anything_paid(facts: RefundFacts) -> bool:
    return any(invoice.paid > 0 for invoice in facts.invoices)
