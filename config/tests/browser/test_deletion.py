"""Closing and deleting in a real browser: asked for, waited for, carried out, gone."""

import pytest

from config.tests.browser.conftest import wait_for
from config.tests.browser.test_endings import link_in

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]


def test_who_closes_and_deletes_finds_nothing_left(house, someone, later):
    email = "close@example.com"
    person = someone(email).tab("Leave").press("Close and delete").press("Skip them and confirm")
    person.page.locator("[name=when][value=soon]").check()
    person.press("Confirm and delete")
    receipt = someone().open(link_in(house.mail(email, "on record"), "receipt"))
    receipt.until("was sent to the card")
    early = house.stack.manage("purge", "--allow", "9")
    promised = receipt.words
    later(days=4)
    # The first run asks the provider to forget them too; one after its answer carries it out.
    wait_for(lambda: " purged" in house.stack.manage("purge", "--allow", "9"))
    receipt.until("It was deleted on")
    left = house.stack.manage("shell", "-c", LEFT)

    assert "purged" not in early
    assert "It is deleted on" in promised
    assert "Close Ltd" not in someone(email).open("/a/?all").words
    assert "Close Ltd" not in left


LEFT = """
from accounts.models import Account
from billing.models import Customer
print([a.name for a in Account.objects.all()], Customer.objects.count())
"""
