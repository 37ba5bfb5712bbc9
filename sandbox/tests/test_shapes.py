"""Every kind of object, expanded as far as it goes, against the library's annotations."""

import pytest
import stripe
from stripe._error import StripeError

from sandbox.tests.conftest import Account
from sandbox.tests.shapes import SEEN, problems

JAN_31 = 1769853600  # 31 January 2026, 10:00 UTC
DAY = 86400

KINDS = {
    "account", "balance", "balance_transaction", "charge", "coupon", "credit_note", "customer",
    "customer_balance_transaction", "dispute", "event", "invoice", "invoice_payment", "invoiceitem",
    "payment_intent", "payment_method", "price", "product", "refund", "setup_intent", "subscription",
    "subscription_item", "tax_rate", "test_helpers.test_clock", "webhook_endpoint",
}  # fmt: skip


def test_every_kind_of_object_has_the_shape_the_library_describes(account: Account) -> None:
    v1 = account.v1
    clock = account.make_clock(JAN_31)
    account.listen()
    coupon = v1.coupons.create({"percent_off": 25.5, "duration": "repeating", "duration_in_months": 3})
    rate = v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    customer = account.make_customer(test_clock=clock, address={"country": "DE"}, metadata={"account": "7"})
    subscription = account.subscribe(
        customer,
        account.make_price(),
        discounts=[{"coupon": coupon.id}],
        default_tax_rates=[rate.id],
        expand=["latest_invoice.payments.data.payment", "customer", "discounts"],
    )
    intent = account.invoice_intent(subscription.latest_invoice)
    v1.payment_intents.retrieve(intent, {"expand": ["customer", "payment_method", "latest_charge.refunds"]})
    refund = v1.refunds.create(
        {
            "payment_intent": intent,
            "amount": 100,
            "expand": ["charge", "balance_transaction", "payment_intent"],
        }
    )
    v1.subscription_items.list({"subscription": subscription.id})
    v1.subscription_items.retrieve(subscription["items"].data[0].id)
    v1.invoice_items.create({"customer": customer, "amount": 500, "currency": "usd", "description": "Setup"})
    v1.customers.balance_transactions.create(customer, {"amount": -200, "currency": "usd"})
    v1.credit_notes.create({"invoice": subscription.latest_invoice.id, "amount": 50, "credit_amount": 50})
    v1.invoices.create_preview({"subscription": subscription.id})
    v1.setup_intents.create(
        {
            "customer": customer,
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://example.com",
            "expand": ["latest_attempt"],
        }
    )
    disputed = v1.payment_intents.create(
        {
            "amount": 700,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_createDispute",
            "return_url": "https://example.com",
        }
    )
    v1.disputes.close(v1.disputes.list({"payment_intent": disputed.id}).data[0].id)
    with pytest.raises(StripeError):
        v1.payment_intents.create(
            {
                "amount": 700,
                "currency": "usd",
                "confirm": True,
                "payment_method": "pm_card_chargeDeclined",
                "return_url": "https://example.com",
            }
        )
    v1.payment_intents.create(
        {
            "amount": 700,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
            "return_url": "https://example.com",
        }
    )
    account.advance(clock, JAN_31 + 31 * DAY)
    v1.subscriptions.update(
        subscription.id, {"cancel_at_period_end": True, "pause_collection": {"behavior": "void"}}
    )
    v1.subscriptions.cancel(subscription.id, {"prorate": True})
    for service in (
        v1.products,
        v1.prices,
        v1.coupons,
        v1.tax_rates,
        v1.customers,
        v1.setup_intents,
        v1.payment_intents,
        v1.charges,
        v1.refunds,
        v1.disputes,
        v1.balance_transactions,
        v1.invoices,
        v1.invoice_items,
        v1.invoice_payments,
        v1.credit_notes,
        v1.webhook_endpoints,
        v1.test_helpers.test_clocks,
    ):
        service.list()
    v1.subscriptions.list({"status": "all", "expand": ["data.latest_invoice", "data.customer"]})
    v1.customers.retrieve(
        customer,
        {"expand": ["subscriptions", "sources", "tax_ids", "invoice_settings.default_payment_method"]},
    )
    v1.refunds.update(refund.id, {"metadata": {"row": "1"}})
    v1.balance.retrieve()
    v1.accounts.retrieve_current()
    v1.events.list({"limit": 100})

    assert KINDS <= SEEN


def test_the_check_itself_finds_what_is_wrong(account: Account) -> None:
    product = account.v1.products.create({"name": "Gold"}).to_dict()

    assert problems(product) == []
    assert problems({**product, "plans": []}) == ["product.plans: not a field of Product"]
    assert problems({**product, "active": "yes"}) != []
    assert problems({**product, "type": "thing"}) != []
    assert problems({name: value for name, value in product.items() if name != "name"}) == [
        "product.name: missing"
    ]
    assert stripe.api_version == account.control("GET", "/health")["api_version"]
