"""The pages of paying what is unpaid: what they promise for a card that is not tried by itself."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from accounts.models import Account
from accounts.tests.worlds import NOON, owner_of
from billing.invoices import lines_of
from billing.models import Customer, DunningCase, InvoiceLine
from billing.tests.test_coming import late_account
from billing.tests.trial_worlds import DAY, MONDAY, make_trial

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def page_of(account, name, *args):
    browser = Client()
    browser.force_login(owner_of(Account.objects.get(pk=account.pk)))
    return browser.get(reverse(name, args=[account.public_id, *args])).content.decode()


@pytest.mark.parametrize(
    ("decline", "says"),
    [
        ("insufficient_funds", "Try my card on"),
        ("lost_card", "The card on file is not tried by itself"),
        ("authentication_required", "The card on file is not tried by itself"),
    ],
)
def test_nobody_is_promised_an_attempt_that_is_not_made(clock, decline, says):
    clock.turn_to(NOON)
    account, case = late_account(decline)
    page = page_of(account, "choose_day", case.invoice.provider_id)

    is_tried = says == "Try my card on"
    assert says in page
    assert ("Try it on this day" in page) is is_tried
    assert ("When shall we charge €29.00?" in page) is is_tried
    assert ("As it stands, we try your card on 14 March 2026, 09:00 CET." in page) is is_tried
    Customer.objects.update(card_id="pm_2")
    assert "Try it on this day" in page_of(account, "choose_day", case.invoice.provider_id)


def test_no_day_is_chosen_before_somebody_chooses_one(clock):
    clock.turn_to(NOON)
    account, case = late_account()
    browser = Client()
    browser.force_login(owner_of(account))
    url = reverse("choose_day", args=[account.public_id, case.invoice.provider_id])
    page = browser.get(url).content.decode()
    answer = browser.post(url, {"day": ""}).content.decode()

    assert '<option value="">Choose a day</option>' in page
    assert "selected" not in page
    assert "Choose one of these days." not in page
    assert "Choose one of these days." in answer
    assert DunningCase.objects.get(pk=case.pk).chosen_on is None


def test_whoever_pays_reads_what_the_bank_said_of_this_card_and_which_card_each_button_takes(clock):
    clock.turn_to(NOON)
    account, case = late_account()
    Customer.objects.update(card_brand="visa", card_last4="0341")
    page = page_of(account, "invoice_pay", case.invoice.provider_id)

    assert "There was not enough money on the card." in page
    assert "Pay €29.00 with Visa 0341" in page
    assert "Pay €29.00 with another card" in page
    Customer.objects.update(card_id="pm_2")
    assert "not enough money" not in page_of(account, "invoice_pay", case.invoice.provider_id)


@pytest.mark.parametrize(
    ("description", "english", "spanish"),
    [
        ("1 × Pro (at €29.00 / month)", "1 × Pro (€29.00 a month)", "1 × Pro (29,00\xa0€ al mes)"),
        ("1 × Pro (at €19.00 / month)", *["1 × Pro (at €19.00 / month)"] * 2),
        ("Unused time on Pro", *["Unused time on Pro"] * 2),
    ],
)
def test_the_plain_price_of_a_plan_is_said_in_the_readers_language(description, english, spanish):
    _, case = late_account()
    InvoiceLine.objects.all().delete()
    line = InvoiceLine(invoice=case.invoice, provider_id="il_1", description=description, net=2900)
    line.starts_at, line.ends_at = NOON, NOON + DAY
    line.save()

    assert [words for _line, words in lines_of(case.invoice)] == [english]
    with override("es"):
        assert [words for _line, words in lines_of(case.invoice)] == [spanish]
    InvoiceLine.objects.update(is_proration=True)
    assert [words for _line, words in lines_of(case.invoice)] == [description]


def test_whoever_has_to_confirm_with_the_bank_reads_so_on_the_button(clock):
    clock.turn_to(NOON)
    account, case = late_account("authentication_required")
    page = page_of(account, "invoice_pay", case.invoice.provider_id)

    assert "Confirm the payment" in page
    assert "Confirm with your bank" in page


def test_what_comes_next_is_in_the_order_of_its_days_on_the_page_of_the_plan(clock):
    clock.turn_to(MONDAY)
    trial = make_trial()
    page = page_of(trial.account, "billing_overview")
    ahead = page[page.index("What comes next") :]

    assert ahead.index("Second reminder before the end") < ahead.index("Your trial of Solo ends")
