"""Paying what could not be charged, in a real browser: by a mail's link, with the bank, on a chosen day."""

import re
import time

import pytest

from config.tests.browser.test_card_form import fill_card

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]


def link_in(house, to, subject):
    """The path of the pay link of the newest mail with these words in its subject."""
    return re.search(r"/pay/[\w-]+/", house.mail(to, subject).body("plain")).group(0)


def test_the_link_of_a_mail_pays_without_sign_in_and_access_is_back_within_a_minute(house, someone):
    owner = someone("silent@example.com")
    closed = owner.words
    payer = someone(javascript=True).open(link_in(house, "silent@example.com", "Access is off"))
    fill_card(payer.page, "4242424242424242")
    payer.page.wait_for_url("**/done/**")
    paid_at = time.monotonic()
    payer.until("Thank you, it is paid")
    owner.open("/a/").until("Everything is on.")

    assert "Access is off" in closed
    assert time.monotonic() - paid_at < 60
    assert house.mail("silent@example.com", "Paid: €12.00. Everything is on")
    assert "This invoice is paid" in payer.open(link_in(house, "silent@example.com", "Access is off")).words


def test_what_the_bank_wants_confirmed_is_confirmed_there_and_paid(house, someone):
    person = someone().open(link_in(house, "careful@example.com", "Please confirm your payment of €12.00"))
    person.press("Confirm the payment").press("Go to your bank")
    at_the_bank = person.page.url
    person.page.locator("[value=fail]").click()
    refused = person.until("nothing was charged").words
    person.press("Try again").press("Confirm the payment").press("Go to your bank")
    person.page.locator("[value=complete]").click()
    person.until("Thank you, it is paid")

    assert "/3ds/" in at_the_bank
    assert "Your bank did not confirm" in refused
    assert house.mail("careful@example.com", "Paid: €12.00")
    assert house.subscription("careful@example.com")["status"] == "active"


def test_a_customer_chooses_the_day_on_which_the_card_is_tried(house, someone):
    person = someone("late@example.com").tab("Plan and payments").press("Pay this invoice")
    person.press("Choose another day")
    days = person.page.locator("#day option")
    wanted = days.nth(days.count() - 1).get_attribute("value")
    person.page.select_option("#day", wanted)
    person.press("Try it on this day")
    chosen = person.figure(r"You chose (\w+, \d+ \w+ \d{4})\.")
    ahead = person.tab("Overview").page.locator(".timeline.to-come, .timeline").first.inner_text()

    assert chosen.split(", ")[1] in ahead
    assert "You chose this day." in ahead
    assert f"on {chosen}" in house.mail("late@example.com", "Noted: we try to charge €12.00").subject
