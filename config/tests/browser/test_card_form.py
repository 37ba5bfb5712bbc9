"""Paying in a real browser with the whole product behind it: the worker hears of it by webhook."""

import pytest

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]


def fill_card(page, number):
    frame = page.frame_locator("#card-slot iframe").first
    frame.get_by_label("Card number").fill(number)
    frame.get_by_label("Expiration date").fill("12 / 34")
    frame.get_by_label("Security code").fill("123")
    page.locator("#card-button").click()


def test_a_declined_card_is_said_and_a_good_one_pays(house, someone):
    person = someone("pay@example.com", javascript=True).tab("Plan and payments").press("See other plans")
    person.page.locator(".choice", has_text="Team").first.get_by_role("button").click()
    fill_card(person.page, "4000000000009995")
    person.page.wait_for_selector("#card-error:not([hidden])")
    said = person.page.locator("#card-error").inner_text()
    fill_card(person.page, "4242424242424242")
    person.page.wait_for_url("**/pay/done/**")
    person.until("has started")

    assert "insufficient funds" in said
    assert house.subscription("pay@example.com")["status"] == "active"
    assert house.mail("pay@example.com", "we received €29.00")


def test_without_javascript_the_page_says_why_it_cannot_pay(someone):
    person = someone("pay@example.com")
    account = person.page.url
    person.open(f"{account}pay/team-yearly/")

    assert "JavaScript" in person.words
