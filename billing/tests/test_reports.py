"""What finance reads: which day a movement counts on, what adds up, and what no spreadsheet runs."""

import csv
import datetime as dt
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import Account
from accounts.tests.worlds import make_account
from billing import csv_stream
from billing.models import Invoice, Payment, Refund, RefundMovement
from billing.reports import ALL, Total, bounds, reports, totals, write_report

pytestmark = pytest.mark.django_db

OCTOBER = (dt.date(2026, 10, 1), dt.date(2026, 10, 31))
NOVEMBER = (dt.date(2026, 11, 1), dt.date(2026, 11, 30))
_number = count(1)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def make_refund(
    account: Account | None = None,
    *,
    amount: int = 1250,
    tax: int | None = None,
    currency: str = "EUR",
    moved: str = "2026-10-20T10:00",
    number: str = "",
    **columns: Any,
) -> Refund:
    """A refund that the provider has moved, with its invoice, payment and movement."""
    account, n = account or make_account(), next(_number)
    when = at(moved)
    common = {"account": account, "currency": currency}
    invoice = Invoice.objects.create(
        **common,
        provider_id=f"in_{n}",
        number=number or f"GT-{n:04}",
        status="paid",
        created_at=when,
        paid_at=when,
        synced_at=when,
    )
    payment = Payment.objects.create(
        **common, invoice=invoice, provider_id=f"pi_{n}", charge_id=f"ch_{n}", amount=amount, paid_at=when
    )
    defaults: dict[str, Any] = {"basis": "terms", "state": "pending", "terms": account.terms}
    refund = Refund.objects.create(
        **common,
        payment=payment,
        amount=amount,
        tax=amount * 217 // 1250 if tax is None else tax,
        provider_id=f"re_{n}",
        created_at=when,
        moved_at=when,
        **(defaults | columns),
    )
    move(refund, "refund", when)
    return refund


def move(refund: Refund, kind: str, when: dt.datetime) -> RefundMovement:
    return RefundMovement.objects.create(
        refund=refund,
        kind=kind,
        amount=refund.amount,
        tax=refund.tax,
        currency=refund.currency,
        moved_at=when,
        balance_transaction=f"txn_{refund.pk}_{kind}",
    )


def name_at_provider(refund: Refund, number: str) -> None:
    """Fixed ids instead of running ones, so that a test can spell whole lines."""
    Payment.objects.filter(pk=refund.payment_id).update(charge_id=f"ch_{number}")
    Refund.objects.filter(pk=refund.pk).update(provider_id=f"re_{number}")
    transaction = f"txn_{number}" if number else ""
    RefundMovement.objects.filter(refund=refund).update(balance_transaction=transaction)


def written(first: dt.date, last: dt.date, part: str = "all") -> str:
    return b"".join(write_report(reports()["refunds"], first, last, part=part)).decode()


def rows(first: dt.date, last: dt.date) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(written(first, last, "rows"))))


def test_a_refund_counts_on_the_companys_day_on_which_the_provider_moved_it() -> None:
    make_refund(moved="2026-09-30T21:59")  # 23:59 in Madrid, still September
    make_refund(moved="2026-09-30T22:00", amount=1)  # midnight: October
    make_refund(moved="2026-10-31T22:59", amount=2)  # winter time by now: 23:59
    make_refund(moved="2026-10-31T23:00", amount=3)  # November

    assert [row["amount_minor"] for row in rows(*OCTOBER)] == ["1", "2"]
    assert [row["date"] for row in rows(*OCTOBER)] == ["2026-10-01", "2026-10-31"]


def test_a_failure_in_november_is_a_reversal_there_and_october_does_not_change() -> None:
    refund = make_refund(moved="2026-10-20T10:00")
    october = written(*OCTOBER)
    Refund.objects.filter(pk=refund.pk).update(state="failed", failed_at=at("2026-11-03T09:00"))
    move(refund, "reversal", at("2026-11-03T09:00"))
    [reversal] = rows(*NOVEMBER)

    assert written(*OCTOBER) == october
    assert (reversal["kind"], reversal["state"], reversal["amount"], reversal["amount_minor"]) == (
        "reversal",
        "failed",
        "-12.50",
        "-1250",
    )


def test_totals_are_per_currency_and_state_with_the_net_of_each_currency() -> None:
    refund = make_refund(amount=1250, tax=217)
    make_refund(amount=100, tax=0)
    move(refund, "reversal", at("2026-10-21T10:00"))
    make_refund(amount=5000, tax=0, currency="JPY")
    found = totals(reports()["refunds"], *OCTOBER)

    assert found == [
        Total("EUR", "failed", 1, -1250, -217),
        Total("EUR", "refunded", 2, 1350, 217),
        Total("EUR", ALL, 3, 100, 0),
        Total("JPY", "refunded", 1, 5000, 0),
        Total("JPY", ALL, 1, 5000, 0),
    ]


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [(1250, "EUR", "12.50"), (5, "EUR", "0.05"), (1250, "JPY", "1250"), (1250, "KWD", "1.250")],
)
def test_amounts_are_plain_numbers_with_the_currencys_decimals(
    amount: int, currency: str, expected: str
) -> None:
    refund = make_refund(amount=amount, tax=0, currency=currency)
    move(refund, "reversal", at("2026-10-21T10:00"))

    assert [row["amount"] for row in rows(*OCTOBER)] == [expected, f"-{expected}"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    make_refund(number=text)

    assert rows(*OCTOBER)[0]["invoice"] == f"'{text}"


def test_text_with_commas_quotes_and_breaks_comes_back_as_it_was() -> None:
    text = 'Sol, "y" sombra\nñ €'
    make_refund(number=text)

    assert rows(*OCTOBER)[0]["invoice"] == text


def test_rows_in_two_pieces_are_the_rows_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    account = make_account()
    for number in range(9):
        make_refund(account, moved=f"2026-10-{number // 3 + 1:02}T10:00", amount=number + 1, tax=0)
    whole = written(*OCTOBER)
    monkeypatch.setattr(csv_stream, "HEAD", 2)

    assert written(*OCTOBER) == whole
    assert [row["amount_minor"] for row in rows(*OCTOBER)] == [str(n) for n in range(1, 10)]


def test_every_database_writes_the_same_bytes() -> None:
    account = make_account(public_id="a" * 26)
    first = make_refund(account, number='=a,"b"\nñ', amount=1005, tax=3, public_id="r" * 26)
    other = make_refund(account, number=" x", currency="KWD", terms=None, public_id="s" * 26, quote_ref="q1")
    name_at_provider(first, "1")
    name_at_provider(other, "")

    assert written(*OCTOBER, "rows").partition("\n")[2] == (
        f"2026-10-20,refund,{'r' * 26},{'a' * 26},10.05,1005,0.03,3,EUR,terms,refunded,"
        '"\'=a,""b""\nñ",ch_1,re_1,,1,txn_1,2026-10-20,\n'
        f"2026-10-20,refund,{'s' * 26},{'a' * 26},1.250,1250,0.217,217,KWD,terms,refunded,"
        " x,ch_,re_,q1,,,2026-10-20,\n"
    )


def test_a_report_takes_as_many_statements_as_it_has_parts(django_assert_max_num_queries: Any) -> None:
    account = make_account()
    for _ in range(5):
        make_refund(account)
    with django_assert_max_num_queries(3):
        written(*OCTOBER)


def test_the_command_writes_what_the_page_downloads(capsys: Any) -> None:
    make_refund(number="ñ")
    output = StringIO()
    call_command("report", "refunds", "--from", "2026-10-01", "--to", "2026-10-31", stdout=output)

    assert output.getvalue() == written(*OCTOBER)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sales", "--from", "2026-10-01", "--to", "2026-10-31"],
        ["refunds", "--from", "2026-10-31", "--to", "2026-10-01"],
        ["refunds", "--to", "2026-10-01"],
    ],
)
def test_the_command_says_what_is_missing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("report", *arguments, stdout=StringIO())


def test_every_column_of_every_report_is_explained_in_the_documentation() -> None:
    text = Path("docs/reports.md").read_text(encoding="utf-8")
    columns = [(r.name, c.name) for r in reports().values() for c in r.columns]

    assert [column for column in columns if f"| `{column[1]}` |" not in text] == []


def test_the_days_of_a_clock_change_are_whole_days() -> None:
    start, end = bounds(dt.date(2026, 10, 25), dt.date(2026, 10, 25))

    assert end - start == dt.timedelta(hours=25)


@pytest.mark.django_db(transaction=True)
def test_a_download_that_is_broken_off_leaves_nothing_open() -> None:
    make_refund()
    stream = write_report(reports()["refunds"], *OCTOBER)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert not connection.in_atomic_block
    assert Refund.objects.count() == 1
    make_refund()
