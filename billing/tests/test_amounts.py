"""Coupons, tax and credit as the sandbox bills them: our narrow facts add up."""

import datetime as dt
from typing import Any

import pytest

from accounts.tests.worlds import NOON, make_account
from billing.models import Customer, Invoice, InvoiceLine, Payment, Subscription
from billing.stripe_api import calling
from billing.tests.worlds import TurnableClock, advance, make_plan, make_subscription

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon", "alone")]

RENEWED = NOON + dt.timedelta(days=31, hours=2)


def change(subscription: Subscription, **params: Any) -> None:
    with calling() as stripe:
        stripe.v1.subscriptions.update(str(subscription.provider_id), params=params)  # type: ignore[arg-type]


def renewal_with(clock: TurnableClock, **params: Any) -> tuple[Invoice, InvoiceLine]:
    """The second invoice of a subscription of 29.00 that was changed so after its first."""
    subscription = make_subscription(make_account())
    change(subscription, **params)
    advance(clock, RENEWED)
    invoice = Invoice.objects.get(billing_reason="subscription_cycle")
    return invoice, invoice.lines.get()


def coupon(**params: Any) -> str:
    with calling() as stripe:
        return str(stripe.v1.coupons.create(params={"duration": "forever", **params}).id)


def tax_rate(percentage: float, *, inclusive: bool) -> str:
    with calling() as stripe:
        params = {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
        return str(stripe.v1.tax_rates.create(params=params).id)  # type: ignore[arg-type]


def test_a_coupon_lowers_line_and_payment(noon: TurnableClock) -> None:
    invoice, line = renewal_with(noon, discounts=[{"coupon": coupon(percent_off=20)}])

    assert (invoice.subtotal, invoice.discount, invoice.total) == (2900, 580, 2320)
    assert (line.net, line.tax) == (2320, 0)
    assert Payment.objects.get(invoice=invoice).amount == 2320


def test_tax_on_top_is_apart_from_the_net(noon: TurnableClock) -> None:
    invoice, line = renewal_with(noon, default_tax_rates=[tax_rate(21, inclusive=False)])

    assert (invoice.tax, invoice.total) == (609, 3509)
    assert (line.net, line.tax) == (2900, 609)


def test_tax_inside_the_price_is_taken_out_of_the_net(noon: TurnableClock) -> None:
    invoice, line = renewal_with(noon, default_tax_rates=[tax_rate(21, inclusive=True)])

    assert (invoice.tax, invoice.total) == (503, 2900)
    assert (line.net, line.tax) == (2397, 503)
    assert line.net + line.tax == Payment.objects.get(invoice=invoice).amount


def test_coupon_and_tax_together_add_up(noon: TurnableClock) -> None:
    invoice, line = renewal_with(
        noon,
        discounts=[{"coupon": coupon(percent_off=20)}],
        default_tax_rates=[tax_rate(21, inclusive=False)],
    )

    assert (line.net, line.tax) == (2320, 487)
    assert line.net + line.tax == invoice.total == invoice.amount_paid


@pytest.mark.parametrize(("credit", "cash"), [(500, 2400), (2900, 0), (5000, 0)])
def test_credit_is_used_before_the_card(credit: int, cash: int, noon: TurnableClock) -> None:
    make_subscription(make_account())
    with calling() as stripe:
        stripe.v1.customers.balance_transactions.create(
            Customer.objects.get().provider_id, params={"amount": -credit, "currency": "eur"}
        )
    advance(noon, RENEWED)

    invoice = Invoice.objects.get(billing_reason="subscription_cycle")
    paid = Payment.objects.filter(invoice=invoice).values_list("amount", flat=True)
    assert (invoice.status, invoice.credit_applied) == ("paid", 2900 - cash)
    assert sum(paid) == cash
    assert Customer.objects.get().credit == credit - invoice.credit_applied


@pytest.mark.parametrize(("currency", "amount"), [("JPY", 2900), ("KWD", 29000)])
def test_other_minor_units_pass_through_unchanged(currency: str, amount: int) -> None:
    make_subscription(make_account(currency=currency), make_plan(amount=amount, currency=currency))

    payment = Payment.objects.get()
    assert (payment.amount, payment.currency) == (amount, currency)


def test_a_yearly_plan_is_paid_for_a_year() -> None:
    subscription = make_subscription(make_account(), make_plan(interval="year", amount=29000))

    assert subscription.period_end == subscription.started_at + dt.timedelta(days=365)
