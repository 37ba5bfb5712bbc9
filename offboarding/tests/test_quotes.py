"""What was shown is what is executed; what moved is shown again, and nothing is executed (R4, C11)."""

import datetime as dt

import pytest
from django.urls import reverse

from accounts.errors import WrongState
from accounts.events import By
from accounts.tests.worlds import NOON, owner_of
from billing.models import Instruction, Payment, Refund
from billing.stripe_api import calling
from billing.tests.worlds import advance, control, run_worker
from offboarding.confirmations import confirm_cancellation
from offboarding.models import Cancellation, Quote
from offboarding.quotes import FactsMoved, is_faithful
from offboarding.tests.leaving import choose, confirm, latest, marks, owners_browser, paying_account, work
from offboarding.tests.situations import (
    after,
    live_at_provider,
    paid_long_ago,
    past_due,
    refunded,
    the_subscription,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture
def account(clock):
    clock.turn_to(NOON)
    return paid_long_ago(clock)


def refund_by_hand(amount):
    """Someone refunds in the provider's dashboard."""
    with calling() as stripe:
        stripe.v1.refunds.create(
            params={"payment_intent": Payment.objects.get().provider_id, "amount": amount}
        )
    run_worker()


def send(browser, account, mark, ending="stop_renewing"):
    return browser.post(reverse("choose_ending", args=[account.public_id]), {"ending": ending, "shown": mark})


def mark_of(browser, account):
    return marks(browser.get(reverse("leave", args=[account.public_id])).content.decode())


def test_facts_that_moved_while_reading_show_a_new_page_and_record_nothing(account):
    browser = owners_browser(account)
    mark = mark_of(browser, account)
    refund_by_hand(2000)

    answer = send(browser, account, mark, "stop_now")

    assert answer.status_code == 409
    assert "Something changed while you were reading" in answer.content.decode()
    assert "€9.00" in answer.content.decode()
    assert not Cancellation.objects.exists()
    assert send(browser, account, marks(answer.content.decode()), "stop_now").status_code == 302


def test_a_page_that_lay_open_for_31_minutes_is_shown_again(account, clock):
    browser = owners_browser(account)
    mark = mark_of(browser, account)
    clock.forward(minutes=31)

    assert send(browser, account, mark).status_code == 409
    assert not Cancellation.objects.exists()


def test_a_page_that_lay_open_for_29_minutes_holds_as_it_was_shown(account, clock):
    browser = owners_browser(account)
    mark = mark_of(browser, account)
    clock.forward(minutes=29)

    assert send(browser, account, mark, "stop_now").status_code == 302
    assert latest(account).declared_at - latest(account).quote.measured_at > dt.timedelta(minutes=28)


@pytest.mark.parametrize("mark", ["", "nonsense", "WyJ4IiwxLCJ5Il0:1x:forged"])
def test_a_forged_mark_records_nothing(mark, account):
    assert send(owners_browser(account), account, mark).status_code == 409
    assert not Cancellation.objects.exists()


def test_the_mark_of_another_account_records_nothing(account):
    other = paying_account()
    mark = mark_of(owners_browser(other), other)

    assert send(owners_browser(account), account, mark).status_code == 409
    assert not Cancellation.objects.exists()


def test_facts_that_moved_before_confirming_execute_nothing_and_ask_again(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    refund_by_hand(2000)

    answer = confirm(browser, account)

    assert answer.status_code == 409
    assert "Something changed since this was shown" in answer.content.decode()
    assert latest(account).confirmed_at is None
    assert not Refund.objects.exclude(basis="external").exists()
    assert confirm(browser, account).status_code == 200
    run_worker()
    assert refunded() == 2000 + latest(account).quote.amount == 2900


def test_a_dispute_before_confirming_executes_nothing(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    [charge] = control("GET", "/v1/charges")["data"]
    control("POST", f"/_sandbox/charges/{charge['id']}/dispute", {})
    run_worker()

    answer = confirm(browser, account)

    assert answer.status_code == 409
    assert latest(account).quote.why_none == "disputed"
    assert not Refund.objects.exists()


def test_another_quote_than_the_one_shown_is_not_executed(account, clock):
    choose(owners_browser(account), account, "stop_now")
    user = owner_of(account)

    with pytest.raises(FactsMoved):
        confirm_cancellation(
            latest(account), quote_id="another", by=By.customer(user), at=clock.now(), user=user
        )
    assert latest(account).confirmed_at is None


def test_confirming_days_later_gives_the_refund_of_the_declaration(account, clock):
    choose(owners_browser(account), account, "stop_now")
    run_worker()
    after(clock, days=8)

    confirm(owners_browser(account), account)
    run_worker()

    assert refunded() == 1030
    assert is_faithful(latest(account).quote)


def test_inside_the_window_at_the_declaration_is_inside_it_at_the_last_step(clock):
    clock.turn_to(NOON)
    account = paying_account()
    after(clock, days=14)
    choose(owners_browser(account), account, "stop_now")
    after(clock, days=10)

    confirm(owners_browser(account), account)
    run_worker()

    assert refunded() == 2900


def test_the_used_part_of_an_open_invoice_does_not_grow_while_waiting(clock):
    clock.turn_to(NOON)
    account = past_due(clock, open_invoice="used_part")
    choose(owners_browser(account), account, "stop_now")
    after(clock, days=3)
    page = owners_browser(account)

    confirm(page, account)
    run_worker()

    [invoice] = control("GET", "/v1/invoices?status=open")["data"]
    assert invoice["amount_remaining"] == latest(account).quote.open_invoice_owed == 193


def test_the_refund_can_be_claimed_until_the_paid_period_ends_and_not_after(account, clock):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    run_worker()
    quote, user = latest(account).quote, owner_of(account)
    advance(clock, latest(account).effective_at + dt.timedelta(seconds=2))

    with pytest.raises(WrongState):
        confirm_cancellation(
            latest(account), quote_id=quote.public_id, by=By.customer(user), at=clock.now(), user=user
        )
    work()
    assert (latest(account).status, refunded()) == ("completed", 0)


def test_choosing_another_ending_keeps_the_receipt_and_the_moment_and_stores_a_quote_of_its_own(
    account, clock
):
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    first = latest(account)
    after(clock, days=2)
    browser = owners_browser(account)
    page = browser.get(reverse("leave", args=[account.public_id]), {"choose": "again"})

    send(browser, account, marks(page.content.decode()), "stop_now")

    changed = latest(account)
    assert (changed.pk, changed.receipt_number) == (first.pk, first.receipt_number)
    assert changed.ending == "stop_now"
    assert changed.quote.measured_at == first.quote.measured_at
    assert changed.quote.amount == 1030
    assert Quote.objects.count() == 2


def test_choosing_again_after_the_last_step_changes_nothing(account):
    browser = owners_browser(account)
    choose(browser, account, "free_days")
    confirm(browser, account)

    send(browser, account, "whatever", "close_delete")

    assert latest(account).ending == "free_days"
    assert Instruction.objects.filter(kind="refund").count() == 0


def test_switching_from_stop_now_to_stop_renewing_needs_no_last_step(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    send(browser, account, "", "stop_renewing")
    run_worker()

    page = browser.get(reverse("leaving", args=[account.public_id, latest(account).public_id]))

    assert "One step left" not in page.content.decode()
    assert [s["cancel_at_period_end"] for s in live_at_provider()] == [True]
    assert the_subscription(account).cancel_at == latest(account).effective_at


def test_two_clicks_of_the_same_button_are_one_declaration(account):
    browser = owners_browser(account)
    mark = mark_of(browser, account)

    send(browser, account, mark)
    send(browser, account, mark)

    assert Cancellation.objects.count() == 1


def test_a_stored_quote_that_was_tampered_with_is_found(account):
    choose(owners_browser(account), account, "stop_now")
    quote = latest(account).quote
    assert is_faithful(quote)

    quote.amount += 1

    assert not is_faithful(quote)
