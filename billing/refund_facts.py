"""The plain values of the refund arithmetic: what was paid, the terms, the facts, the result.

Moments are epoch seconds, amounts are minor units of one currency, shares are exact fractions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction


class Basis(StrEnum):
    """Why we refund: we promised it, the law says so, or we want to."""

    TERMS = "terms"
    STATUTORY = "statutory"
    GOODWILL = "goodwill"


class After(StrEnum):
    """What the terms give once the days of the full refund are over."""

    PRO_RATA = "pro_rata"
    NONE = "none"


class Rule(StrEnum):
    """What was applied. Goodwill applies no rule."""

    FULL = "full"
    PRO_RATA = "pro_rata"
    NONE = "none"


@dataclass(frozen=True)
class PaidLine:
    """One invoice line: `net` after discounts and without tax; negative where it credits a change of plan."""

    line: str
    net: int
    tax: int
    starts: int
    ends: int

    @property
    def gross(self) -> int:
        """What the line cost, tax included."""
        return self.net + self.tax

    @property
    def whole_seconds(self) -> int:
        """Length of the period the line paid for; 0 for a one-off."""
        return max(0, self.ends - self.starts)


@dataclass(frozen=True)
class PaidInvoice:
    """An invoice and what became of its money.

    `refunded` is cash refunded or under way (failed refunds excluded), `disputed` under dispute or lost,
    `credited` what already went back to the balance of what the balance paid (`paid_credit`).
    `extension_seconds` is free time we granted inside the period, or time in it without access: it lengthens
    the end and is never used time. It runs from `extension_from`; where that is not known, the reading best
    for the customer counts: it ran first.
    """

    invoice: str
    payment: str
    currency: str
    lines: tuple[PaidLine, ...]
    paid_cash: int
    paid_credit: int
    refunded: int
    disputed: int
    period_start: int
    period_end: int
    extension_seconds: int
    extension_from: int | None = None
    credited: int = 0

    @property
    def total(self) -> int:
        """What the invoice charged for its lines, tax included."""
        return sum(line.gross for line in self.lines)

    @property
    def paid(self) -> int:
        """What was paid, by the payment method and from the balance."""
        return self.paid_cash + self.paid_credit

    @property
    def left(self) -> int:
        """Cash that can still go back to the payment method; 0 where more went back than came (R1)."""
        return max(0, self.paid_cash - self.refunded - self.disputed)

    @property
    def credit_left(self) -> int:
        """What the balance paid and has not got back yet."""
        return max(0, self.paid_credit - self.credited)


@dataclass(frozen=True)
class RefundTerms:
    """The refund rules of one version of the terms.

    `full_days` 0: no full refund. `once_per_months` 0: no limit. `keep_access`: a full refund leaves access
    on to the period's end.
    """

    full_days: int
    after: After
    keep_access: bool
    once_per_months: int


@dataclass(frozen=True)
class RefundFacts:
    """What was true at the declaration. `withdrawal_days` 0: the law gives no right of withdrawal here.

    `last_card_refund_at` is the last voluntary refund of another account to a card that paid here. `paid_at`
    is when the period that began with `renewal_at` was paid.
    """

    invoices: tuple[PaidInvoice, ...]
    declared_at: int
    zone: str
    renewal_at: int | None
    last_voluntary_refund_at: int | None
    contract_concluded_at: int | None
    withdrawal_days: int
    immediate_start_consented: bool
    last_card_refund_at: int | None = None
    paid_at: int | None = None


@dataclass(frozen=True)
class ExplainLine:
    """One step of the reckoning as a code and its figures; the words are made elsewhere, per language."""

    code: str
    params: Mapping[str, int | str] = field(default_factory=dict)
    invoice: str = ""
    line: str = ""
    amount: int = 0


@dataclass(frozen=True)
class RefundPart:
    """What one payment gives back: `amount` in cash (`tax` is contained in it), `credit` to the balance."""

    payment: str
    invoice: str
    amount: int
    tax: int
    credit: int


@dataclass(frozen=True)
class RefundResult:
    """A refund that can be executed as it stands.

    The amounts of `lines` sum to `amount`, so do those of `parts`. `why_none` is a code exactly where neither
    cash nor credit comes back.
    """

    amount: int
    tax: int
    credit: int
    currency: str
    basis: Basis
    rule: Rule
    keeps_access: bool
    parts: tuple[RefundPart, ...]
    lines: tuple[ExplainLine, ...]
    why_none: str

    @property
    def value(self) -> int:
        """What the customer gets in all, as cash and as credit."""
        return self.amount + self.credit


@dataclass(frozen=True)
class UsedPart:
    """What is still owed on an open invoice when only the used part is charged (C6); `tax` is contained."""

    amount: int
    tax: int
    currency: str
    lines: tuple[ExplainLine, ...]


def used_seconds(
    line: PaidLine, at: int, *, extension_seconds: int = 0, extension_from: int | None = None
) -> int:
    """Seconds of the line's period that were used by `at`, free time left out; from 0 to the whole period."""
    free_from = line.starts if extension_from is None else extension_from
    free_to = free_from + max(0, extension_seconds)
    free = max(0, min(at, free_to) - max(line.starts, free_from))
    return min(line.whole_seconds, max(0, at - line.starts - free))


def unused_seconds(
    line: PaidLine, at: int, *, extension_seconds: int = 0, extension_from: int | None = None
) -> int:
    """Seconds of the line's period that were paid and not used by `at`; a period to come is all unused."""
    used = used_seconds(line, at, extension_seconds=extension_seconds, extension_from=extension_from)
    return line.whole_seconds - used


def unused_share(line: PaidLine, invoice: PaidInvoice, at: int) -> Fraction:
    """Exact share of the line not used by `at`. A one-off (no period) is used up from its moment on."""
    if not line.whole_seconds:
        return Fraction(int(at < line.starts))
    unused = unused_seconds(
        line, at, extension_seconds=invoice.extension_seconds, extension_from=invoice.extension_from
    )
    return Fraction(unused, line.whole_seconds)


def paid_share(invoice: PaidInvoice) -> Fraction:
    """Exact share of the invoice that was paid at all, at most 1; nobody gets back what they never paid."""
    if invoice.total <= 0 or invoice.paid >= invoice.total:
        return Fraction(1)
    return Fraction(max(0, invoice.paid), invoice.total)
