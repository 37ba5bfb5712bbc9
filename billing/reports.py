"""Reports for finance: what each column means, which rows are in it, and its totals.

The apps above register theirs in `AppConfig.ready`. Days are inclusive and in the company's zone.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import BigIntegerField, Case, Count, F, QuerySet, Sum, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from billing.csv_stream import (
    Code,
    LocalDay,
    Major,
    Typed,
    csv_row,
    decimal,
    snapshot,
    stream_rows,
)
from billing.models import RefundMovement

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Who may read the books: the permission that the role finance has.
MAY_READ = "billing.view_refundmovement"
#: The state that stands for all states of one currency in the totals.
ALL = "all"


@dataclass(frozen=True)
class Column:
    """One column: its heading, what it means, and how the database writes it."""

    name: str
    meaning: "StrOrPromise"
    value: Combinable


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report. `moment` is the field by whose day a row counts; the totals add `amount` up.

    `head_first` says that an index leads through the rows in the order of `moment`.
    """

    name: str
    title: "StrOrPromise"
    meaning: "StrOrPromise"
    columns: Sequence[Column]
    rows: "Callable[[], QuerySet[Any]]"
    moment: str
    currency: Combinable
    state: Combinable
    amount: Combinable
    tax: Combinable
    head_first: bool = False

    def between(self, first: dt.date, last: dt.date) -> "QuerySet[Any]":
        """The rows of these days, both included."""
        start, end = bounds(first, last)
        return self.rows().filter(**{f"{self.moment}__gte": start, f"{self.moment}__lt": end})


@dataclass(frozen=True)
class Total:
    """The sum of one currency and state, in minor units; state `all` is the currency's whole."""

    currency: str
    state: str
    rows: int
    amount: int
    tax: int


_REPORTS: dict[str, Report] = {}


def register(report: Report) -> None:
    """Make a report known to the admin pages and to `manage.py report`."""
    _REPORTS[report.name] = report


def reports() -> dict[str, Report]:
    """Every registered report by its name."""
    return dict(_REPORTS)


def company_zone() -> str:
    """The zone whose days the books count."""
    return str(settings.COMPANY_TIME_ZONE)


def bounds(first: dt.date, last: dt.date) -> tuple[dt.datetime, dt.datetime]:
    """From the beginning of `first` up to, and without, the day after `last`, in the company's zone."""
    zone = ZoneInfo(company_zone())
    return _midnight(first, zone), _midnight(last + dt.timedelta(days=1), zone)


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)


def last_month(today: dt.date) -> tuple[dt.date, dt.date]:
    """The first and the last day of the month before: what is closed next."""
    last = today.replace(day=1) - dt.timedelta(days=1)
    return last.replace(day=1), last


def totals(report: Report, first: dt.date, last: dt.date) -> list[Total]:
    """Per currency and state, and per currency; a currency without rows has no line."""
    grouped = (
        report.between(first, last)
        .order_by()
        .values(total_currency=report.currency, total_state=report.state)
        .annotate(total_rows=Count("pk"), total_amount=Sum(report.amount), total_tax=Sum(report.tax))
        .order_by("total_currency", "total_state")
    )
    found = [
        Total(
            row["total_currency"],
            row["total_state"],
            row["total_rows"],
            row["total_amount"] or 0,
            row["total_tax"] or 0,
        )
        for row in grouped
    ]
    return sorted([*found, *_per_currency(found)], key=lambda t: (t.currency, t.state == ALL, t.state))


def _per_currency(found: Sequence[Total]) -> list[Total]:
    rows, amount, tax = Counter[str](), Counter[str](), Counter[str]()
    for total in found:
        rows[total.currency] += total.rows
        amount[total.currency] += total.amount
        tax[total.currency] += total.tax
    return [Total(code, ALL, rows[code], amount[code], tax[code]) for code in rows]


def write_report(report: Report, first: dt.date, last: dt.date, *, part: str = "all") -> Iterator[bytes]:
    """The CSV in blocks of whole lines, of one moment: rows, an empty line, totals (or one of the two)."""
    with snapshot():
        if part != "totals":
            columns = {column.name: column.value for column in report.columns}
            yield from stream_rows(
                report.between(first, last), columns, moment=report.moment, head_first=report.head_first
            )
        if part == "all":
            yield b"\n"
        if part != "rows":
            yield from _write_totals(totals(report, first, last))


def _write_totals(found: Sequence[Total]) -> Iterator[bytes]:
    yield csv_row(["currency", "state", "rows", "amount", "amount_minor", "tax", "tax_minor"])
    for total in found:
        amount, tax = decimal(total.amount, total.currency), decimal(total.tax, total.currency)
        yield csv_row([total.currency, total.state, total.rows, amount, total.amount, tax, total.tax])


# --- Refunds -------------------------------------------------------------------------------------
# A movement never changes, so neither does a month that is over: the state is what this movement
# says, not what became of the refund later.


def _signed(field: str) -> Combinable:
    return Case(
        When(kind=RefundMovement.Kind.REVERSAL, then=-F(field)),
        default=F(field),
        output_field=BigIntegerField(),
    )


def _movement_state() -> Combinable:
    return Case(When(kind=RefundMovement.Kind.REVERSAL, then=Value("failed")), default=Value("refunded"))


def refunds_report() -> Report:
    """Money that went back to customers, and money that came back from there."""
    return Report(
        name="refunds",
        title=_("Refunds"),
        meaning=_(
            "One row for each movement of money, by the day on which the payment provider moved it. "
            "A refund that fails later is a second row, a reversal, on the day it came back."
        ),
        rows=RefundMovement.objects.all,
        moment="moved_at",
        head_first=True,
        currency=F("currency"),
        state=_movement_state(),
        amount=_signed("amount"),
        tax=_signed("tax"),
        columns=[
            Column("date", _("Day of the movement, in the company's time zone."), LocalDay("moved_at")),
            Column("kind", _("refund: money left; reversal: it came back."), Code("kind")),
            Column("refund", _("Our number of the refund."), Code("refund__public_id")),
            Column("account", _("Our number of the account."), Code("refund__account__public_id")),
            Column(
                "amount",
                _("In the currency's own unit; a reversal is negative, so that the column adds up."),
                Major(_signed("amount"), F("currency")),
            ),
            Column("amount_minor", _("The same in the smallest unit (cents)."), _whole(_signed("amount"))),
            Column("tax", _("Tax in the amount, with its sign."), Major(_signed("tax"), F("currency"))),
            Column("tax_minor", _("The same in the smallest unit."), _whole(_signed("tax"))),
            Column("currency", _("ISO 4217 code."), Code("currency")),
            Column(
                "basis",
                _(
                    "Why it was due: terms, statutory (the law), goodwill, "
                    "correction (charged by mistake), external (made at the provider)."
                ),
                Code("refund__basis"),
            ),
            Column("state", _("refunded, or failed for a reversal."), Code(_movement_state())),
            Column("invoice", _("Number of the invoice."), Typed("refund__payment__invoice__number")),
            Column("charge", _("The payment at the provider."), Typed("refund__payment__charge_id")),
            Column("provider_refund", _("The refund at the provider."), Typed("refund__provider_id")),
            Column("quote", _("Number of the quote that was carried out."), Code("refund__quote_ref")),
            Column("terms_version", _("Version of the terms it follows."), _whole("refund__terms__version")),
            Column(
                "balance_transaction",
                _("The movement in the provider's balance."),
                Typed("balance_transaction"),
            ),
            Column("decided", _("Day of the decision."), LocalDay("refund__created_at")),
            Column(
                "approved_by",
                _("Number of the person who approved it; empty where terms or law grant it."),
                Code("refund__approved_by__public_id"),
            ),
        ],
    )


def _whole(value: str | Combinable) -> Combinable:
    return Cast(value, BigIntegerField())


register(refunds_report())
