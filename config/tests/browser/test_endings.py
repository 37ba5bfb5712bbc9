"""The four endings as people live them: a real browser without JavaScript, worker, sandbox."""

import re

import pytest

from config.tests.browser.conftest import wait_for

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]


def link_in(mail, kind):
    return re.search(rf"/{kind}/[\w-]+/", mail.body("plain")).group(0)


def test_who_stops_renewing_is_not_billed_again_and_undoes_it_from_the_mail(house, someone):
    email = "renew@example.com"
    person = someone(email).tab("Leave").press("Stop renewing")
    person.until("scheduled")
    said, on_record = person.words, house.subscription(email)["cancel_at_period_end"]
    mail = house.mail(email, "on record")
    stranger = someone().open(link_in(mail, "undo"))
    before = house.subscription(email)["cancel_at_period_end"]
    stranger.press("Keep my subscription")
    wait_for(lambda: not house.subscription(email)["cancel_at_period_end"])

    assert "It is on record: nothing renews" in said
    assert on_record
    assert before, "looking at the link must change nothing"
    assert stranger.heading == "You stay"
    assert "renews" in person.tab("Overview").words


def test_who_keeps_the_subscription_on_the_page_pays_on_as_before(house, someone):
    email = "renew@example.com"
    person = someone(email).tab("Leave").press("Stop renewing")
    person.press("Keep my subscription")
    wait_for(lambda: not house.subscription(email)["cancel_at_period_end"])

    assert "You stay" in person.words
    assert house.subscription(email)["status"] == "active"


def test_who_stops_now_gets_what_was_shown_and_finance_finds_it(house, someone):
    email = "now@example.com"
    person = someone(email).tab("Leave")
    shown = person.figure(r"Stop now .*? (€[\d.]+) back to your payment method")
    person.press("Stop now")
    person.press("A few questions, then confirm")
    person.page.fill("[name=problem]", "Counting olives")
    person.press("Save and continue")
    quoted = person.figure(r"Back to your payment method (€[\d.]+)")
    person.press("Confirm and end it now")
    receipt = someone().open(link_in(house.mail(email, "on record"), "receipt"))
    receipt.until("was sent to the card")
    [charge] = house.ask_provider("/v1/charges", customer=house.customer(email))["data"]
    finance = someone("finance@good-terms.example").open("/admin/billing/refundmovement/reports/")
    finance.page.fill("[name=last]", finance.page.evaluate("new Date().toISOString().slice(0, 10)"))
    finance.page.get_by_role("button", name="Show the totals").click()
    with finance.page.expect_download() as waiting:
        finance.page.get_by_role("button", name="Download as CSV").first.click()
    rows = waiting.value.path().read_text()

    assert shown == quoted == receipt.figure(r"(€[\d.]+) was sent to the card")
    assert f"€{charge['amount_refunded'] / 100:.2f}" == quoted
    assert house.subscription(email)["status"] == "canceled"
    assert quoted.removeprefix("€") in rows


def test_free_days_cost_no_refund(house, someone, later):
    email = "days@example.com"
    person = someone(email).tab("Leave").press("Take the free days")
    person.press("Skip them and confirm").press("Confirm the free days")
    kept = person.figure(r"Your refund of (€[\d.]+) is kept")
    person.until("scheduled")
    later(days=6)
    person.tab("Leave").press("Claim, go on, or do nothing").press(f"Claim {kept}")
    receipt = someone().open(link_in(house.mail(email, "on record"), "receipt"))
    receipt.until("was sent to the card")

    assert receipt.figure(r"(€[\d.]+) was sent to the card") == kept


def test_support_leaves_for_a_caller_who_gets_the_receipt(house, someone):
    email = "call@example.com"
    support = someone("support@good-terms.example").open("/admin/accounts/account/?q=Call")
    support.page.locator("#result_list").get_by_role("link", name="Call Ltd").click()
    support.page.get_by_role("link", name="A caller wants to leave").click()
    support.page.get_by_label(re.compile("call@example.com")).check()
    support.page.get_by_label(re.compile("call back")).check()
    support.press("Continue").press("Stop renewing")
    support.press("They would rather not")
    mail = house.mail(email, "on record")
    wait_for(lambda: house.subscription(email)["cancel_at_period_end"])
    receipt = someone().open(link_in(mail, "receipt"))

    assert "Stop renewing" in receipt.words
    assert "Keep the subscription?" in someone().open(link_in(mail, "undo")).words
