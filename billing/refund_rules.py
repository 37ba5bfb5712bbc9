"""What comes back when someone stops: the refund arithmetic, from plain facts to money and its explanation.

Pure: no database, no clock, no network. Moments are epoch seconds, amounts are minor units of one currency,
fractions are exact until the one rounding at the end, which goes in the customer's favour by less than one
payable unit (`money.smallest_step`).

The order of the rules:

1. The law first: inside the withdrawal period everything comes back, or the unused part where the customer
   asked for an immediate start. Where the terms give more than the law, they get that.
2. The terms: everything within the days after a renewal or first payment, afterwards the unused part or
   nothing; at most one voluntary refund in so many months, for the customer and for the card.
3. Never more than what is left: the payment method gets back at most what it paid and has not got back yet or
   disputed; what was paid from the balance goes back to the balance.

Everything is measured at `declared_at`, the moment of the declaration (C11); no time that passes afterwards
counts against the customer.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import floor

from billing import money, periods
from billing.refund_facts import (
    After,
    Basis,
    ExplainLine,
    PaidInvoice,
    PaidLine,
    RefundFacts,
    RefundPart,
    RefundResult,
    RefundTerms,
    Rule,
    UsedPart,
    paid_share,
    unused_seconds,
    unused_share,
    used_seconds,
)
from billing.refund_settlement import correction, currency_of, in_whole_units, settle, tax_within, times_of

__all__ = [
    "After",
    "Basis",
    "ExplainLine",
    "MoreThanLeftError",
    "PaidInvoice",
    "PaidLine",
    "RefundFacts",
    "RefundPart",
    "RefundResult",
    "RefundTerms",
    "Rule",
    "UsedPart",
    "full_refund_deadline",
    "goodwill_refund",
    "is_better_or_equal",
    "paid_share",
    "refund_by_law",
    "refund_by_terms",
    "refund_for_stopping_now",
    "unused_seconds",
    "unused_share",
    "used_part_of_open_invoice",
    "used_seconds",
    "voluntary_refund_allowed_from",
    "withdrawal_deadline",
]


class MoreThanLeftError(ValueError):
    """A discretionary refund asks for more than the payments have left."""


def full_refund_deadline(
    terms: RefundTerms, renewal_at: int, zone: str, *, paid_at: int | None = None
) -> int:
    """Last second of the full refund, inclusive: 23:59:59 of the `full_days`-th local day after the payment.

    The day of the payment is day 0; it is never before the day of the renewal. Without such days it was over
    before.
    """
    return _end_of_nth_day(max(renewal_at, paid_at or renewal_at), terms.full_days, zone)


def withdrawal_deadline(concluded_at: int, days: int, zone: str) -> int:
    """Last second of the legal withdrawal period, inclusive: the end of the `days`-th local day.

    Rule eu-withdrawal: the day the contract was concluded is not counted. Without such days it was over
    before the contract.
    """
    return _end_of_nth_day(concluded_at, days, zone)


def _end_of_nth_day(start: int, days: int, zone: str) -> int:
    if days <= 0:
        return start - 1
    last_day = periods.local_date(_moment(start), zone) + timedelta(days=days)
    return int(periods.end_of_date(last_day, zone).timestamp())


def voluntary_refund_allowed_from(terms: RefundTerms, last_refund_at: int | None, zone: str) -> str:
    """First local date (ISO) of the next voluntary refund; "" where nothing stands in its way.

    Counted in calendar months from the local date of the last one, whole days in the customer's favour.
    """
    if not terms.once_per_months or last_refund_at is None:
        return ""
    last = periods.local_date(_moment(last_refund_at), zone)
    return periods.add_months(last, terms.once_per_months).isoformat()


def _moment(epoch: int) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def refund_for_stopping_now(terms: RefundTerms, facts: RefundFacts) -> RefundResult:
    """The refund for ending now, measured at the declaration: the law's, or the terms' where they give more.

    More is more value, then more of it in cash, then keeping access; on a tie the law is the basis.
    """
    by_terms = refund_by_terms(terms, facts)
    by_law = refund_by_law(facts)
    if by_law is None:
        return by_terms
    better = _rank(by_terms) > _rank(by_law)
    chosen = by_terms if better else by_law
    params = {"terms": by_terms.value, "law": by_law.value}
    reason = ExplainLine("terms_give_more" if better else "law_comes_first", params)
    return _with_first_line(chosen, reason)


def refund_by_terms(terms: RefundTerms, facts: RefundFacts) -> RefundResult:
    """What the terms alone give: a voluntary refund, so the limit per so many months applies."""
    currency_of(facts)
    rule, reason, why_none = _rule_of_terms(terms, facts)
    keeps = terms.keep_access and rule is Rule.FULL
    return settle(facts, Basis.TERMS, rule, reason, why_none=why_none, keeps_access=keeps)


def refund_by_law(facts: RefundFacts) -> RefundResult | None:
    """What the law alone gives inside the withdrawal period of the contract; None outside it.

    Everything, or the unused part where an immediate start was asked for; the contract is undone, so access
    ends. Source: Consumer Rights Directive art. 9-16, rule eu-withdrawal.
    """
    currency_of(facts)
    if facts.contract_concluded_at is None:
        return None
    deadline = withdrawal_deadline(facts.contract_concluded_at, facts.withdrawal_days, facts.zone)
    if facts.declared_at > deadline:
        return None
    rule = Rule.PRO_RATA if facts.immediate_start_consented else Rule.FULL
    reason = ExplainLine(f"law_{rule}", {"deadline": deadline, "days": facts.withdrawal_days})
    return settle(facts, Basis.STATUTORY, rule, reason)


def _rule_of_terms(terms: RefundTerms, facts: RefundFacts) -> tuple[Rule, ExplainLine, str]:
    """Which rule of the terms applies, the line that says so, and why nothing comes back if nothing does."""
    own = voluntary_refund_allowed_from(terms, facts.last_voluntary_refund_at, facts.zone)
    card = voluntary_refund_allowed_from(terms, facts.last_card_refund_at, facts.zone)
    today = periods.local_date(_moment(facts.declared_at), facts.zone).isoformat()
    if today < (again := max(own, card)):
        params_once: dict[str, int | str] = {"months": terms.once_per_months, "again_on": again}
        if own == again:
            return Rule.NONE, ExplainLine("terms_once", params_once), "once_per_period"
        return Rule.NONE, ExplainLine("terms_once_card", params_once), "once_per_card"
    params: dict[str, int | str] = {"days": terms.full_days}
    if terms.full_days > 0 and facts.renewal_at is not None:
        params["deadline"] = full_refund_deadline(terms, facts.renewal_at, facts.zone, paid_at=facts.paid_at)
        if facts.declared_at <= int(params["deadline"]):
            return Rule.FULL, ExplainLine("terms_full", params), ""
    if terms.after is After.PRO_RATA:
        return Rule.PRO_RATA, ExplainLine("terms_pro_rata", params), ""
    why_none = "outside_window" if terms.full_days > 0 else "no_refund_in_terms"
    return Rule.NONE, ExplainLine("terms_none", params), why_none


def goodwill_refund(facts: RefundFacts, amount: int) -> RefundResult:
    """A refund at staff's discretion, taken from the newest payment first; access stays.

    Raises MoreThanLeftError above what the payments have left and ValueError for an amount that cannot be
    paid out (zero, negative, not a multiple of the currency's step).
    """
    currency = currency_of(facts)
    step = money.smallest_step(currency)
    if amount <= 0 or amount % step:
        raise ValueError(f"{amount} {currency} cannot be paid out: it must be a positive multiple of {step}")
    newest_first = sorted(facts.invoices, key=lambda invoice: invoice.period_start, reverse=True)
    caps = [money.round_down(invoice.left, step) for invoice in newest_first]
    if amount > sum(caps):
        raise MoreThanLeftError(f"{amount} {currency} is more than the {sum(caps)} that are left")
    parts: list[RefundPart] = []
    rest = amount
    for invoice, cap in zip(newest_first, caps, strict=True):
        if cash := min(rest, cap):
            tax = tax_within(cash, sum(line.tax for line in invoice.lines), invoice.total)
            parts.append(RefundPart(invoice.payment, invoice.invoice, cash, tax, 0))
            rest -= cash
    lines = tuple(ExplainLine("goodwill", invoice=part.invoice, amount=part.amount) for part in parts)
    return RefundResult(
        amount=amount,
        tax=sum(part.tax for part in parts),
        credit=0,
        currency=currency,
        basis=Basis.GOODWILL,
        rule=Rule.NONE,
        keeps_access=True,
        parts=tuple(parts),
        lines=lines,
        why_none="",
    )


def used_part_of_open_invoice(invoice: PaidInvoice, at: int) -> UsedPart:
    """What is owed for the time used by `at` on an invoice not yet paid in full (C6), less what was paid.

    Rounded down, in the customer's favour, so that the used part and the unused part of a refund make up the
    invoice.
    """
    step = money.smallest_step(invoice.currency)
    shares = [1 - unused_share(line, invoice, at) for line in invoice.lines]
    values = [line.gross * share for line, share in zip(invoice.lines, shares, strict=True)]
    exact = floor(sum(values))
    used = money.round_down(max(0, exact), step)
    owed = max(0, used - invoice.paid)
    tax = sum((line.tax * share for line, share in zip(invoice.lines, shares, strict=True)), Fraction(0))
    lines = [
        ExplainLine("line_used", times_of(line, share), invoice.invoice, line.line, -amount)
        for line, share, amount in zip(
            invoice.lines, shares, in_whole_units([-value for value in values]), strict=True
        )
    ]
    lines += correction("nothing_after_credits", -min(0, exact), invoice)
    lines += correction("rounding", used - max(0, exact), invoice)
    lines += correction("already_paid", owed - used, invoice)
    return UsedPart(owed, tax_within(owed, tax, sum(values)), invoice.currency, tuple(lines))


def is_better_or_equal(new: RefundResult, old: RefundResult) -> bool:
    """Whether `new` takes nothing away that `old` promised (C11): value, cash, access, currency."""
    return (
        new.currency == old.currency
        and new.value >= old.value
        and new.amount >= old.amount
        and new.keeps_access >= old.keeps_access
    )


def _rank(result: RefundResult) -> tuple[int, int, bool]:
    return result.value, result.amount, result.keeps_access


def _with_first_line(result: RefundResult, line: ExplainLine) -> RefundResult:
    return replace(result, lines=(line, *result.lines))
