"""The pages of paying what is unpaid: what they promise for a card that is not tried by itself."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account
from accounts.tests.worlds import NOON, owner_of
from billing.models import Customer
from billing.tests.test_coming import late_account
from billing.tests.trial_worlds import MONDAY, make_trial

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

    assert says in page
    assert ("Try it on this day" in page) is (says == "Try my card on")
    Customer.objects.update(card_id="pm_2")
    assert "Try it on this day" in page_of(account, "choose_day", case.invoice.provider_id)


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
