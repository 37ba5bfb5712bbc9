"""Leaving where access is off: a trial that froze, and a payer who was blocked, get through the gate."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account
from accounts.templatetags.terms_format import day, moment
from accounts.tests.worlds import NOON, PASSWORD, make_member, make_user
from billing.models import Subscription
from billing.tests.chasing import failing_account, pass_days, the_case
from billing.tests.trial_worlds import DAY, MONDAY, live_on, make_trial
from offboarding import purges
from offboarding.models import Closure
from offboarding.receipts import receipt_path
from offboarding.tests import situations
from offboarding.tests.leaving import choose, confirm, latest, owners_browser, work
from offboarding.tests.situations import words

# The pages and the provider are proven here: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def noon(stripe_account, clock):
    clock.turn_to(NOON)
    return clock


def offered(page):
    return [choice["code"] for choice in page.context["choices"]]


def at_the_door(browser, account):
    """The closed door, as whoever signs in meets it; it must lead to leaving."""
    door = browser.get(reverse("account_overview", args=[account.public_id]))
    url = reverse("leave", args=[account.public_id])
    assert f'href="{url}"' in door.content.decode()
    assert browser.get(reverse("people", args=[account.public_id])).status_code == 402
    return browser.get(url)


@pytest.mark.parametrize("now", [26, 40], ids=["just frozen", "with a date of deletion already"])
def test_a_trial_that_froze_can_be_closed_and_deleted_and_nothing_else(noon, now):
    noon.turn_to(MONDAY)
    trial = make_trial(owner=make_user(password=PASSWORD))
    live_on(MONDAY + now * DAY)
    noon.turn_to(MONDAY + now * DAY)
    account = Account.objects.get(pk=trial.account_id)
    assert (account.state, Closure.objects.exists()) == ("frozen", now == 40)
    browser = owners_browser(account)

    page = at_the_door(browser, account)

    said = [
        "Your trial has ended, and nothing is billed",
        "Access has ended already",
        "nothing more is billed",
    ]
    assert [sentence for sentence in said if sentence not in words(page)] == []
    assert [sentence for sentence in UNTRUE if sentence in words(page)] == []
    assert offered(page) == ["close_delete"]
    choose(browser, account, "close_delete")
    assert confirm(browser, account, when="soon").status_code == 200
    work()
    account.refresh_from_db()
    closure = Closure.objects.open().get(account=account)
    assert (account.state, latest(account).status) == ("closed", "completed")
    assert "Last moment of access" not in words(Client().get(receipt_path(latest(account))))
    assert f"Deleted on {day(closure.purge_on)} if you give up" in words(page)
    report = purges.purge_due(at=closure.purge_on + DAY / 24)
    account.refresh_from_db()
    assert (report.purged, account.state) == ([account.public_id], "erased")


@pytest.mark.parametrize(
    ("ending", "team"), [("stop_now", False), ("stop_renewing", False), ("close_delete", True)]
)
def test_a_payer_who_was_blocked_can_leave(noon, ending, team):
    account = failing_account(noon)
    pass_days(noon, account, 8)
    account.refresh_from_db()
    off_since = account.access_ends_at
    assert account.state == "frozen"
    if team:
        make_member(account, "member", user=make_user(password=PASSWORD))
    browser = owners_browser(account)

    page = at_the_door(browser, account)

    # Stopping now would be the same with one step more; a page that lies open can still send it.
    assert sorted(offered(page)) == ["close_delete", "stop_renewing"]
    assert words(page).count("Access has ended already") == 2
    assert words(page).count("€29.00 is cancelled") == 2
    assert "Coming back later is one click" in words(page)
    assert [sentence for sentence in UNTRUE if sentence in words(page)] == []
    choose(browser, account, ending)
    if ending != "stop_renewing":
        assert confirm(browser, account).status_code == 200
    noon.forward(days=4 if team else 0, seconds=5)
    for _ in range(2):
        work()
    account.refresh_from_db()
    assert (account.state, latest(account).status) == ("closed", "completed")
    assert account.access_ends_at == off_since
    receipt = words(Client().get(receipt_path(latest(account))))
    assert f"Last moment of access {moment(off_since)}" in receipt
    assert the_case(account).status == "left"
    assert not Subscription.objects.live().exists()
    assert situations.open_at_provider() == situations.live_at_provider() == []
    assert Closure.objects.open().get(account=account).purge_on > noon.now()


#: What is not so where access is off and nothing was paid.
UNTRUE = [
    "Your subscription has ended",
    "settled at the end",
    "once you confirm Money",
    "you give up access",
    "Yes, until",
]
