"""Starting to pay, for real: at the sandbox, with its webhooks."""

import datetime as dt

import pytest
from django.core import mail

from accounts.models import Account, Event, Notice
from accounts.tests.worlds import NOON, make_account
from billing.models import Customer, Invoice, Payment, Subscription
from billing.tests.worlds import TurnableClock, advance, make_plan, make_subscription

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def kinds_of(account: Account) -> list[str]:
    return list(
        Event.objects.filter(account_ref=account.public_id).order_by("seq").values_list("kind", flat=True)
    )


def test_a_paid_start_writes_subscription_invoice_and_payment() -> None:
    account = make_account()
    subscription = make_subscription(account, make_plan(amount=2900))

    invoice = Invoice.objects.get(account=account)
    payment = Payment.objects.get(account=account)
    assert subscription.status == "active"
    assert subscription.first_paid_at == payment.paid_at
    assert subscription.period_end == subscription.started_at + dt.timedelta(days=31)
    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", 2900, 2900)
    assert (payment.amount, payment.currency, payment.invoice) == (2900, "EUR", invoice)
    assert payment.method_last4 == "4242"


def test_the_card_of_the_first_payment_is_the_card_on_file() -> None:
    account = make_account()
    make_subscription(account)

    customer = Customer.objects.get(account=account)
    assert (customer.card_brand, customer.card_last4) == ("visa", "4242")


def test_a_paid_start_owes_one_mail_the_receipt() -> None:
    account = make_account()
    make_subscription(account)

    assert list(Notice.objects.values_list("kind", "status")) == [("payment_received", "sent")]
    assert len(mail.outbox) == 1


def test_a_renewal_is_one_more_invoice_payment_and_receipt(noon: TurnableClock) -> None:
    account = make_account()
    subscription = make_subscription(account)
    advance(noon, NOON + dt.timedelta(days=31, hours=2))

    subscription.refresh_from_db()
    assert subscription.period_start == subscription.started_at + dt.timedelta(days=31)
    assert Invoice.objects.filter(account=account, status="paid").count() == 2
    assert Payment.objects.filter(account=account).count() == 2
    assert Notice.objects.filter(kind="payment_received", status="sent").count() == 2


def test_a_local_free_plan_gives_way_to_what_is_paid() -> None:
    from billing.subscriptions import put_on_free_plan

    account = make_account()
    make_plan("free", amount=0)
    put_on_free_plan(account, NOON)
    make_subscription(account)

    assert list(Subscription.objects.live().values_list("plan__amount", flat=True)) == [2900]
