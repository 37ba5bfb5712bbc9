"""The report of cancellations: who left, what it cost, and what they said."""

import csv
import datetime as dt
from io import StringIO
from itertools import count
from typing import Any

import pytest

from accounts.models import Account
from accounts.tests.worlds import NOON, make_account
from billing.models import Payment, Refund
from billing.reports import ALL, Total, reports, totals, write_report
from offboarding.models import Cancellation, ExitReason, ExitSurvey, Quote

pytestmark = pytest.mark.django_db

DAY = NOON.date()
_number = count(1)


def make_cancellation(account: Account | None = None, *, amount: int = 0, **columns: Any) -> Cancellation:
    """A declaration to stop now, made at noon and confirmed, with its quote."""
    account, n = account or make_account(), next(_number)
    quote = Quote.objects.create(
        account=account,
        ending="stop_now",
        terms=account.terms,
        made_at=NOON,
        measured_at=NOON,
        facts={"start": "paying"},
        currency="EUR",
        amount=amount,
        basis="terms",
        rule="full",
        access_ends_at=NOON,
        billing_ends_at=NOON,
        data_until=NOON,
        purge_on=NOON,
    )
    defaults: dict[str, Any] = {"status": "completed", "completed_at": NOON, "confirmed_at": NOON}
    return Cancellation.objects.create(
        account=account,
        quote=quote,
        ending="stop_now",
        declared_at=NOON,
        declared_zone="UTC",
        effective_at=NOON,
        billing_ends_at=NOON,
        receipt_hash=f"r{n}",
        undo_hash=f"u{n}",
        **(defaults | columns),
    )


def give_back(cancellation: Cancellation, amount: int, *, state: str = "pending") -> None:
    """A refund for it, on a payment of its own."""
    n = next(_number)
    payment = Payment.objects.create(
        account=cancellation.account,
        provider_id=f"pi_{n}",
        charge_id=f"ch_{n}",
        amount=amount,
        currency="EUR",
        paid_at=NOON,
    )
    Refund.objects.create(
        account=cancellation.account,
        payment=payment,
        reason_ref=cancellation.ref,
        basis="terms",
        amount=amount,
        currency="EUR",
        state=state,
        provider_id=f"re_{n}",
        created_at=NOON,
        moved_at=NOON,
        failed_at=NOON if state == "failed" else None,
    )


def rows(first: dt.date = DAY, last: dt.date = DAY) -> list[dict[str, str]]:
    text = b"".join(write_report(reports()["cancellations"], first, last, part="rows")).decode()
    return list(csv.DictReader(StringIO(text, newline="")))


def test_a_row_has_what_was_promised_what_was_paid_and_what_was_said() -> None:
    cancellation = make_cancellation(amount=2900)
    give_back(cancellation, 2900)
    reason, _ = ExitReason.objects.get_or_create(
        code="too-dear", defaults={"label_en": "Price", "label_es": "Precio"}
    )
    ExitSurvey.objects.create(
        cancellation=cancellation,
        reason=reason,
        problem="=HYPERLINK(1)",
        expectation="It was slow,\nand grey",
        usage="low",
        wants_call=True,
        answered_at=NOON,
    )
    [row] = rows()

    assert row["declared"] == "2026-03-11 13:00:00"
    assert (row["quoted"], row["refunded"], row["refunded_minor"]) == ("29.00", "29.00", "2900")
    assert (row["reason"], row["usage"], row["wants_call"], row["wants_news"]) == (
        "too-dear",
        "low",
        "yes",
        "no",
    )
    assert (row["problem"], row["expectation"]) == ("'=HYPERLINK(1)", "It was slow,\nand grey")


def test_a_failed_refund_is_not_counted_as_money_given_back() -> None:
    cancellation = make_cancellation(amount=2900)
    give_back(cancellation, 1000)
    give_back(cancellation, 1900, state="failed")

    assert rows()[0]["refunded"] == "10.00"


def test_who_answered_nothing_is_in_the_report_all_the_same() -> None:
    make_cancellation(status="withdrawn", withdrawn_at=NOON, completed_at=None)
    [row] = rows()

    assert (row["state"], row["reason"], row["wants_call"], row["refunded"]) == (
        "withdrawn",
        "",
        "no",
        "0.00",
    )


def test_totals_add_refunds_up_per_state() -> None:
    give_back(make_cancellation(amount=2900), 2900)
    make_cancellation(status="withdrawn", withdrawn_at=NOON, completed_at=None)

    assert totals(reports()["cancellations"], DAY, DAY) == [
        Total("EUR", "completed", 1, 2900, 0),
        Total("EUR", "withdrawn", 1, 0, 0),
        Total("EUR", ALL, 2, 2900, 0),
    ]


def test_another_day_has_other_rows() -> None:
    make_cancellation()

    assert rows(DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=9)) == []
