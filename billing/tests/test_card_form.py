"""The card form in a real browser: paid, declined, confirmed with the bank, and out of reach."""

import copy
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from accounts.models import Account
from accounts.tests.worlds import make_account, owner_of
from billing.models import Customer, Payment, Subscription
from billing.tests.worlds import fault, make_plan, make_subscription, run_worker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("noon", "alone"),
]


@pytest.fixture
def open_page(page: Any, live_server: Any, settings: Any) -> Any:
    """Opens an address as the account's owner; the policy names this test's sandbox, as settings would."""
    policy = copy.deepcopy(settings.CONTENT_SECURITY_POLICY)
    for directive in ("script-src", "connect-src", "frame-src"):
        policy["DIRECTIVES"][directive].append(settings.STRIPE_API_BASE)
    settings.CONTENT_SECURITY_POLICY = policy

    def go(account: Account, name: str, *more: str) -> Any:
        client = Client()
        client.force_login(owner_of(account), backend="django.contrib.auth.backends.ModelBackend")
        cookie = client.cookies[django_settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies(
            [{"name": django_settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}]
        )
        page.goto(live_server.url + reverse(name, args=[account.public_id, *more]))
        return page

    return go


def fill_card(page: Any, number: str) -> None:
    frame = page.frame_locator("#card-slot iframe").first
    frame.get_by_label("Card number").fill(number)
    frame.get_by_label("Expiration date").fill("12 / 34")
    frame.get_by_label("Security code").fill("123")
    page.locator("#card-button").click()


def answer_bank(page: Any, button: str) -> None:
    """The bank's question stands in a frame of its own above the page."""
    page.frame_locator("iframe[src*='/3ds/']").get_by_role("button", name=button).click()


def test_a_card_is_typed_and_the_plan_starts(open_page: Any) -> None:
    account, plan = make_account(), make_plan("pro")
    page = open_page(account, "pay", plan.code)
    fill_card(page, "4242424242424242")
    page.wait_for_url("**/pay/done/**")
    run_worker()
    page.wait_for_selector("text=Pro has started")

    assert Subscription.objects.live().get().plan == plan
    assert Payment.objects.get().amount == 2900


def test_a_declined_card_says_so_and_can_be_replaced(open_page: Any) -> None:
    account, plan = make_account(), make_plan()
    page = open_page(account, "pay", plan.code)
    fill_card(page, "4000000000009995")
    page.wait_for_selector("#card-error:not([hidden])")
    said = page.locator("#card-error").inner_text()
    fill_card(page, "4242424242424242")
    page.wait_for_url("**/pay/done/**")
    run_worker()

    assert "insufficient funds" in said
    assert Payment.objects.count() == 1


def test_the_bank_asks_and_the_customer_confirms(open_page: Any) -> None:
    account, plan = make_account(), make_plan()
    page = open_page(account, "pay", plan.code)
    fill_card(page, "4000002760003184")
    answer_bank(page, "Complete")
    page.wait_for_url("**/pay/done/**")
    run_worker()

    assert Payment.objects.get().amount == 2900


def test_an_unconfirmed_payment_is_said_not_to_have_happened(open_page: Any) -> None:
    account, plan = make_account(), make_plan()
    page = open_page(account, "pay", plan.code)
    fill_card(page, "4000002760003184")
    answer_bank(page, "Fail")
    page.wait_for_selector("#card-error:not([hidden])")

    assert "unable to authenticate" in page.locator("#card-error").inner_text()
    assert not Payment.objects.exists()


def test_an_outage_says_that_nothing_was_charged(open_page: Any) -> None:
    account, plan = make_account(), make_plan()
    page = open_page(account, "pay", plan.code)
    fault("500_before", path="/v1/customers$")
    fill_card(page, "4242424242424242")
    page.wait_for_selector("#card-error:not([hidden])")

    assert "Nothing was charged" in page.locator("#card-error").inner_text()
    assert page.locator("#card-button").is_enabled()


def test_a_card_is_changed(open_page: Any) -> None:
    account = make_account()
    make_subscription(account)
    page = open_page(account, "card")
    fill_card(page, "5555555555554444")
    page.wait_for_url("**/pay/done/**")
    run_worker()
    page.wait_for_selector("text=The card is saved")

    assert Customer.objects.get().card_last4 == "4444"
