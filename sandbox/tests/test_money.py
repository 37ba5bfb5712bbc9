"""Cards, payments, refunds, disputes, credit notes and the balance that they leave."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from sandbox.tests.conftest import Account

DAY = 86400
JAN_31 = int(datetime(2026, 1, 31, 10, tzinfo=UTC).timestamp())
URL = "https://example.com/done"


def pay(account: Account, card: str = "pm_card_visa", amount: int = 2000, **more: Any) -> Any:
    given = {"amount": amount, "currency": "usd", "payment_method": card, "confirm": True, "return_url": URL}
    return account.v1.payment_intents.create({**given, **more})


#: Two cards that behave as 4242, and one of them once more.
TWINS = ["4242421722704242", "4242428284004242", "4242 4217 2270 4242"]


def typed(account: Account, number: str, **card: Any) -> str:
    given: Any = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123", **card}
    return account.v1.payment_methods.create({"type": "card", "card": given}).id


@pytest.mark.parametrize(
    ("number", "code", "decline_code", "message"),
    [
        ("4000000000000002", "card_declined", "generic_decline", "Your card was declined."),
        ("4000000000009995", "card_declined", "insufficient_funds", "Your card has insufficient funds."),
        ("4000000000009987", "card_declined", "lost_card", "Your card was declined."),
        ("4000000000009979", "card_declined", "stolen_card", "Your card was declined."),
        ("4000000000000069", "expired_card", "expired_card", "Your card has expired."),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
        (
            "4000000000000119",
            "processing_error",
            "processing_error",
            "An error occurred while processing your card",
        ),
    ],
)
def test_test_cards_are_declined_as_published(
    account: Account, number: str, code: str, decline_code: str, message: str
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        pay(account, typed(account, number))

    error = declined.value.json_body["error"]
    assert (declined.value.http_status, error["code"], error["decline_code"]) == (402, code, decline_code)
    assert error["message"].startswith(message)
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert account.v1.charges.retrieve(error["charge"]).status == "failed"
    assert account.event_types()[-2:] == ["charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({"number": "4242424242424241"}, "incorrect_number"),
        ({"number": "4242424242424242", "exp_year": 2020}, "invalid_expiry_year"),
        ({"number": "4242424242424242", "exp_month": 13}, "invalid_expiry_month"),
        ({"number": "4242424242424242", "cvc": "1"}, "invalid_cvc"),
        ({"number": "4111111111111111"}, "card_declined"),
    ],
)
def test_an_impossible_card_is_refused(account: Account, card: Any, code: str) -> None:
    with pytest.raises(stripe.CardError) as refused:
        typed(account, **card)

    assert refused.value.code == code


def test_numbers_like_4242_are_cards_of_their_own(account: Account) -> None:
    cards = [account.v1.payment_methods.retrieve(typed(account, n)).card for n in TWINS]

    assert [card.last4 for card in cards] == ["4242", "4242", "4242"]
    assert len({card.fingerprint for card in cards}) == 2


def test_a_declining_card_cannot_be_put_on_file_but_0341_can(account: Account) -> None:
    customer = account.make_customer(card=None)

    with pytest.raises(stripe.CardError, match="declined"):
        account.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": customer})
    card = account.v1.payment_methods.attach(typed(account, "4000000000000341"), {"customer": customer})

    with pytest.raises(stripe.CardError, match="declined"):
        pay(account, card.id, customer=customer)


def test_a_card_of_somebody_else_is_refused(account: Account) -> None:
    owner, thief = account.make_customer(), account.make_customer(card=None)
    card = account.v1.customers.payment_methods.list(owner).data[0].id

    with pytest.raises(stripe.InvalidRequestError, match="does not have a payment method"):
        pay(account, card, customer=thief)
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        account.v1.payment_methods.attach(card, {"customer": thief})


def test_a_detached_card_is_gone_for_good(account: Account) -> None:
    customer = account.make_customer()
    card = account.v1.customers.payment_methods.list(customer).data[0].id

    account.v1.payment_methods.detach(card)

    assert account.v1.customers.retrieve(customer).invoice_settings.default_payment_method is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        account.v1.payment_methods.attach(card, {"customer": customer})


# 3-D Secure


@pytest.mark.parametrize(("passed", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_a_payment_waits_for_the_banks_answer(account: Account, passed: bool, status: str) -> None:
    intent = pay(account, "pm_card_authenticationRequired")

    answered = account.control("POST", f"/intents/{intent.id}/authenticate", {"passed": passed})

    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert intent.next_action.redirect_to_url.return_url == URL
    assert answered["status"] == status
    error = answered["last_payment_error"]
    assert (error and error["code"]) == (None if passed else "payment_intent_authentication_failure")


def test_authentication_does_not_help_a_card_that_declines_afterwards(account: Account) -> None:
    intent = pay(account, typed(account, "4000008400001629"))

    answered = account.control("POST", f"/intents/{intent.id}/authenticate")

    assert answered["status"] == "requires_payment_method"
    assert answered["last_payment_error"]["decline_code"] == "generic_decline"


def test_a_card_set_up_once_pays_off_session_and_one_that_always_asks_does_not(account: Account) -> None:
    customer = account.make_customer(card=None)
    for number, works in (("4000002500003155", True), ("4000002760003184", False)):
        card = typed(account, number)
        given: Any = {"customer": customer, "payment_method": card, "confirm": True, "return_url": URL}
        setup = account.v1.setup_intents.create(given)
        account.control("POST", f"/intents/{setup.id}/authenticate")
        again: Any = {"customer": customer, "off_session": True}
        if works:
            assert pay(account, card, **again).status == "succeeded"
            continue
        with pytest.raises(stripe.CardError) as refused:
            pay(account, card, **again)
        assert refused.value.code == "authentication_required"


def test_a_renewal_that_needs_the_buyer_waits_for_them(account: Account) -> None:
    clock = account.make_clock(JAN_31)
    customer = account.make_customer(test_clock=clock)
    subscription = account.subscribe(customer, account.make_price())
    card = account.v1.payment_methods.attach(typed(account, "4000002760003184"), {"customer": customer}).id
    account.v1.subscriptions.update(subscription.id, {"default_payment_method": card})

    account.advance(clock, JAN_31 + 29 * DAY)
    waiting = account.v1.subscriptions.retrieve(subscription.id)
    intent = account.invoice_intent(waiting.latest_invoice)
    account.control("POST", f"/intents/{intent}/authenticate")

    assert waiting.status == "past_due"
    assert "invoice.payment_action_required" in account.event_types()
    assert account.v1.subscriptions.retrieve(subscription.id).status == "active"


# Refunds


def test_a_refund_moves_money_back_and_is_booked(account: Account) -> None:
    intent = pay(account)
    given: Any = {
        "payment_intent": intent.id,
        "amount": 500,
        "metadata": {"row": "7"},
        "expand": ["balance_transaction"],
    }

    refund = account.v1.refunds.create({**given, "reason": "requested_by_customer"})

    charge = account.v1.charges.retrieve(intent.latest_charge, {"expand": ["balance_transaction"]})
    assert (refund.status, refund.charge) == ("succeeded", charge.id)
    assert (refund.balance_transaction.amount, refund.balance_transaction.fee) == (-500, 0)
    assert (charge.amount_refunded, charge.refunded) == (500, False)
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (88, 1912)
    assert account.event_types()[-2:] == ["refund.created", "charge.refunded"]
    assert account.v1.balance.retrieve().pending[0].amount == 1412
    assert [r.metadata["row"] for r in account.v1.refunds.list({"payment_intent": intent.id}).data] == ["7"]


def test_no_more_is_refunded_than_was_paid(account: Account) -> None:
    intent = pay(account)
    account.v1.refunds.create({"payment_intent": intent.id, "amount": 1500})

    with pytest.raises(stripe.InvalidRequestError) as too_much:
        account.v1.refunds.create({"payment_intent": intent.id, "amount": 600})
    account.v1.refunds.create({"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as nothing_left:
        account.v1.refunds.create({"payment_intent": intent.id})

    expected = "Refund amount ($6.00) is greater than unrefunded amount on charge ($5.00)"
    assert too_much.value.user_message == expected
    assert nothing_left.value.code == "charge_already_refunded"
    assert account.v1.charges.retrieve(intent.latest_charge).refunded


def test_an_unpaid_intent_cannot_be_refunded(account: Account) -> None:
    intent = account.v1.payment_intents.create({"amount": 100, "currency": "usd"})

    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge to refund"):
        account.v1.refunds.create({"payment_intent": intent.id})


def test_a_refund_can_take_its_time(account: Account) -> None:
    account.control("POST", "/settings", {"refund_settle_seconds": 1})
    refund = account.v1.refunds.create({"payment_intent": pay(account, "pm_card_pendingRefund").id})

    until = time.monotonic() + 10
    while account.v1.refunds.retrieve(refund.id).status == "pending":
        assert time.monotonic() < until
        time.sleep(0.1)

    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert account.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert account.event_types()[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_refund_that_looked_fine_can_fail_days_later(account: Account) -> None:
    account.control("POST", "/settings", {"refund_settle_seconds": 3 * DAY})
    clock = account.make_clock(JAN_31)
    customer = account.make_customer("pm_card_refundFail", test_clock=clock)
    intent = account.invoice_intent(account.subscribe(customer, account.make_price()).latest_invoice)
    refund = account.v1.refunds.create({"payment_intent": intent, "amount": 400})

    account.advance(clock, JAN_31 + 3 * DAY)

    failed = account.v1.refunds.retrieve(refund.id, {"expand": ["charge", "failure_balance_transaction"]})
    assert (refund.status, failed.status, failed.failure_reason) == (
        "succeeded",
        "failed",
        "expired_or_canceled_card",
    )
    assert failed.failure_balance_transaction.amount == 400
    assert failed.charge.amount_refunded == 0
    types = [t for t in account.event_types() if "refund" in t]
    assert types[-3:] == ["refund.updated", "charge.refund.updated", "refund.failed"]


def test_a_test_can_fail_any_refund(account: Account) -> None:
    refund = account.v1.refunds.create({"payment_intent": pay(account).id})

    account.control("POST", f"/refunds/{refund.id}/fail", {"reason": "lost_or_stolen_card"})

    assert account.v1.refunds.retrieve(refund.id).failure_reason == "lost_or_stolen_card"


def test_a_card_refund_cannot_be_cancelled(account: Account) -> None:
    refund = account.v1.refunds.create({"payment_intent": pay(account).id})

    with pytest.raises(stripe.InvalidRequestError, match="cannot cancel this refund"):
        account.v1.refunds.cancel(refund.id)


# Disputes


def test_a_disputed_charge_is_taken_back_and_cannot_be_refunded(account: Account) -> None:
    intent = pay(account, "pm_card_createDispute")

    dispute = account.v1.disputes.list({"payment_intent": intent.id}).data[0]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        account.v1.refunds.create({"payment_intent": intent.id})

    assert (dispute.status, dispute.amount, dispute.reason) == ("needs_response", 2000, "fraudulent")
    assert (dispute.balance_transactions[0].amount, dispute.balance_transactions[0].fee) == (-2000, 1500)
    assert refused.value.code == "charge_disputed"
    assert account.event_types()[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]


@pytest.mark.parametrize(("verdict", "status", "back"), [("win", "won", True), ("lose", "lost", False)])
def test_the_bank_decides_a_dispute(account: Account, verdict: str, status: str, back: bool) -> None:
    intent = pay(account)
    dispute = account.control("POST", f"/charges/{intent.latest_charge}/dispute", {})

    account.control("POST", f"/disputes/{dispute['id']}/{verdict}")

    closed = account.v1.disputes.retrieve(dispute["id"])
    assert (closed.status, len(closed.balance_transactions)) == (status, 2 if back else 1)
    assert ("charge.dispute.funds_reinstated" in account.event_types()) is back
    assert account.event_types()[-1] == "charge.dispute.closed"


def test_an_inquiry_takes_no_money(account: Account) -> None:
    intent = pay(account, "pm_card_createDisputeInquiry")

    dispute = account.v1.disputes.list({"charge": intent.latest_charge}).data[0]

    assert (dispute.status, dispute.is_charge_refundable, dispute.balance_transactions) == (
        "warning_needs_response",
        True,
        [],
    )
    assert account.v1.refunds.create({"payment_intent": intent.id}).status == "succeeded"


# Invoices


def test_credit_is_used_before_the_card_and_comes_back_when_voided(account: Account) -> None:
    customer = account.make_customer()
    account.v1.customers.balance_transactions.create(customer, {"amount": -1300, "currency": "usd"})
    account.v1.invoice_items.create({"customer": customer, "amount": 2000, "currency": "usd"})
    invoice = account.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})

    final = account.v1.invoices.finalize_invoice(invoice.id)
    used = account.v1.customers.retrieve(customer).balance
    account.v1.invoices.void_invoice(invoice.id)

    assert (final.total, final.amount_due, final.starting_balance, final.ending_balance) == (
        2000,
        700,
        -1300,
        0,
    )
    assert used == 0
    assert account.v1.customers.retrieve(customer).balance == -1300
    types = [t.type for t in account.v1.customers.balance_transactions.list(customer).data]
    assert types == ["unapplied_from_invoice", "applied_to_invoice", "adjustment"]


@pytest.mark.parametrize(("inclusive", "total", "tax"), [(False, 952, 152), (True, 800, 128)])
def test_tax_comes_on_top_or_out_of_the_discounted_price(
    account: Account, inclusive: bool, total: int, tax: int
) -> None:
    coupon = account.v1.coupons.create({"amount_off": 200, "currency": "usd", "duration": "once"}).id
    rate = account.v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": inclusive}).id
    given = {"discounts": [{"coupon": coupon}], "default_tax_rates": [rate]}

    invoice = account.subscribe(account.make_customer(), account.make_price(), **given).latest_invoice

    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (1000, total, total)
    assert [t.amount for t in invoice.total_taxes] == [tax]
    assert invoice.total_excluding_tax == total - tax
    assert [d.amount for d in invoice.total_discount_amounts] == [200]


@pytest.mark.parametrize(
    ("terms", "totals"),
    [
        ({"duration": "once"}, [500, 1000, 1000, 1000]),
        ({"duration": "repeating", "duration_in_months": 2}, [500, 500, 1000, 1000]),
        ({"duration": "forever"}, [500, 500, 500, 500]),
    ],
)
def test_a_coupon_lasts_as_long_as_it_says(account: Account, terms: Any, totals: list[int]) -> None:
    coupon = account.v1.coupons.create({"percent_off": 50, **terms}).id
    clock = account.make_clock(JAN_31)
    customer = account.make_customer(test_clock=clock)
    account.subscribe(customer, account.make_price(), discounts=[{"coupon": coupon}])

    for days in (29, 60, 90):
        account.advance(clock, JAN_31 + days * DAY)

    found = account.v1.invoices.list({"customer": customer}).data
    assert [invoice.total for invoice in reversed(found)] == totals


def test_an_invoice_paid_elsewhere_is_paid_without_a_charge(account: Account) -> None:
    customer = account.make_customer(card=None)
    account.subscribe(customer, account.make_price(), payment_behavior="default_incomplete")
    invoice = account.v1.invoices.list({"customer": customer}).data[0].id

    paid = account.v1.invoices.pay(invoice, {"paid_out_of_band": True})

    assert (paid.status, paid.amount_paid_off_stripe) == ("paid", 1000)
    assert account.v1.charges.list().data == []
    assert account.v1.subscriptions.list({"customer": customer}).data[0].status == "active"


def test_a_credit_note_refunds_and_credits_what_it_says(account: Account) -> None:
    customer = account.make_customer()
    invoice = account.subscribe(customer, account.make_price()).latest_invoice

    note = account.v1.credit_notes.create(
        {"invoice": invoice.id, "amount": 600, "refund_amount": 400, "credit_amount": 200}
    )

    assert (note.total, note.type, note.refunds[0].amount_refunded) == (600, "post_payment", 400)
    assert account.v1.refunds.list().data[0].amount == 400
    assert account.v1.customers.retrieve(customer).balance == -200
    assert account.v1.invoices.retrieve(invoice.id).post_payment_credit_notes_amount == 600
    with pytest.raises(stripe.InvalidRequestError):
        account.v1.credit_notes.create({"invoice": invoice.id, "amount": 500, "credit_amount": 500})


def test_a_voided_or_paid_invoice_cannot_be_paid_again(account: Account) -> None:
    invoice = account.subscribe(account.make_customer(), account.make_price()).latest_invoice

    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        account.v1.invoices.pay(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="open invoices"):
        account.v1.invoices.void_invoice(invoice.id)


def test_deleting_a_customer_ends_their_subscriptions(account: Account) -> None:
    customer = account.make_customer()
    subscription = account.subscribe(customer, account.make_price())

    account.v1.customers.delete(customer)

    assert account.v1.customers.retrieve(customer).deleted
    assert account.v1.subscriptions.retrieve(subscription.id).status == "canceled"
    assert account.v1.customers.list().data == []
