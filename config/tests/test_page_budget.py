"""What a page may cost: 10 queries and 100 KB for customers, 15 queries for staff."""

import datetime as dt

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import holds
from accounts.events import SYSTEM, By, record
from accounts.models import Account, Notice
from accounts.notices import suppress_address
from accounts.tests.worlds import LONG_AGO, make_account, make_member, make_user, owner_of
from billing.models import Invoice, Subscription
from offboarding.exports import request_export
from offboarding.tests.leaving import choose, confirm, latest, owners_browser, paying_account
from offboarding.tests.test_audit import chase
from offboarding.tests.test_reports import give_back, make_cancellation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]

QUERIES = 10
OF_STAFF = 15
BYTES = 100_000
PAGES = (
    ("account_overview", ()),
    ("account_history", ()),
    ("account_settings", ()),
    ("people", ()),
    ("leave_team", ()),
    ("billing_overview", ()),
    ("plans", ()),
    ("invoices", ()),
    ("card", ()),
    ("exports", ()),
    ("leave", ()),
)
LEAVING_PAGES = ("leaving", "leaving_survey", "leaving_offer", "leaving_confirm")
#: Where a page leads on at once, what it leads to counts too.
OPEN_PAGES = ("/", "/terms/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/")


@pytest.fixture
def rich():
    """A team with a plan, an unpaid invoice, a download, and a history of many people."""
    account = paying_account()
    for number in range(12):
        user = make_user(f"mate{number}@example.com", name=f"Mate {number}")
        make_member(account, "billing" if number % 2 else "member", user=user)
        record(account, "member.invited", by=By.customer(user), at=account.created_at, subject=user.public_id)
    request_export(
        account.members.owners().get(), own_only=False, by=By.customer(owner_of(account)), at=now()
    )
    record(account, "account.active", by=SYSTEM, at=now())
    return account


def now():
    from accounts import clock

    return clock.now()


def cost(browser, url):
    """Queries and bytes of a page, once it was looked at before as people do."""
    browser.get(url, follow=True)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        answer = browser.get(url, follow=True)
    assert answer.status_code == 200, url
    return len(seen), len(answer.content)


def costs(browser, urls):
    return {url: cost(browser, url) for url in urls}


def too_dear(found, queries=QUERIES):
    return {url: pair for url, pair in found.items() if pair[0] > queries or pair[1] > BYTES}


def test_every_page_of_a_rich_account_is_cheap(rich):
    browser = owners_browser(rich)
    found = costs(browser, [reverse(name, args=[rich.public_id, *more]) for name, more in PAGES])

    assert too_dear(found) == {}


def test_the_pages_of_leaving_are_cheap_before_the_last_step(rich):
    browser = owners_browser(rich)
    choose(browser, rich, "free_days")
    at = [rich.public_id, latest(rich).public_id]
    found = costs(browser, [reverse("account_overview", args=[rich.public_id])])
    found |= costs(browser, [reverse(name, args=at) for name in LEAVING_PAGES])

    assert too_dear(found) == {}


def test_the_pages_of_leaving_are_cheap_afterwards(rich):
    browser = owners_browser(rich)
    choose(browser, rich, "free_days")
    confirm(browser, rich)
    at = [rich.public_id, latest(rich).public_id]
    found = costs(browser, [reverse("account_overview", args=[rich.public_id])])
    found |= costs(browser, [reverse("leaving", args=at), reverse("leaving_claim", args=at)])

    assert too_dear(found) == {}


@pytest.mark.parametrize("columns", [{"state": "frozen"}, {"state": "closed", "closed_at": LONG_AGO}])
def test_the_page_for_whoever_is_shut_out_is_cheap(rich, columns):
    browser, url = owners_browser(rich), reverse("account_overview", args=[rich.public_id])
    Account.objects.filter(pk=rich.pk).update(**columns)
    browser.get(url)
    with CaptureQueriesContext(connection) as seen:
        answer = browser.get(url)

    assert answer.status_code == 402
    assert len(seen) <= QUERIES
    assert len(answer.content) <= BYTES


def test_an_invoice_is_cheap(rich):
    invoice = Invoice.objects.get(account=rich)
    found = costs(owners_browser(rich), [reverse("invoice", args=[rich.public_id, invoice.number])])

    assert too_dear(found) == {}


def test_the_pages_for_anyone_are_cheap(rich, client):
    assert too_dear(costs(client, OPEN_PAGES)) == {}


def test_the_list_of_accounts_costs_the_same_for_many(rich):
    user = owner_of(rich)
    for number in range(8):
        make_member(paying_free(number), "member", user=user)

    assert too_dear(costs(owners_browser(rich), ["/a/?all"])) == {}


def paying_free(number):
    from accounts.tests.worlds import make_account

    return make_account(name=f"Company {number}")


@pytest.fixture
def staff():
    """A member of staff in every role: what may be seen is asked, as a superuser's is not."""
    user = make_user(is_staff=True)
    user.groups.set(Group.objects.all())
    browser = Client()
    browser.force_login(user)
    return browser, user


def test_every_list_and_row_of_the_desk_is_cheap(rich, staff):
    browser, user = staff
    other = make_account()
    give_back(make_cancellation(other, amount=100), 100)
    urls = [reverse(f"admin:{name}") for name in ("index", "accounts_jobrun_board", "law", "reports")]
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        if user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}"):
            row = page.get_queryset(None).last()
            urls += [reverse(f"{name}_changelist")]
            urls += [reverse(f"{name}_change", args=[row.pk])] if row else []
    found = {}
    browser.get(urls[0])  # from here on the session is known
    for url in urls:
        with CaptureQueriesContext(connection) as seen:
            answer = browser.get(url)
        assert answer.status_code == 200, url
        found[url] = len(seen)

    assert len(found) > 40
    assert {url: number for url, number in found.items() if number > OF_STAFF} == {}


@pytest.mark.parametrize("life", ["leaving", "silent", "held", "late", "trial", "closed"])
def test_the_account_as_support_sees_it_is_cheap_in_every_life(rich, staff, life):
    browser, user = staff
    record(rich, "account.active", by=By.staff(user), at=now())
    if life in ("leaving", "silent"):
        choose(owners_browser(rich), rich, "stop_now")
    if life == "silent":
        suppress_address(owner_of(rich).email, "bounce", at=now())
        Notice.objects.filter(account=rich).update(outcome="bounced")
    if life == "held":
        holds.place_hold(
            rich, reason="promise", until=now() + dt.timedelta(days=2), by=By.staff(user), at=now()
        )
    if life == "late":
        chase(rich, now())
    if life == "trial":
        Subscription.objects.filter(account=rich).update(
            status="trialing", first_paid_at=None, trial_end=now()
        )
    if life == "closed":
        Account.objects.filter(pk=rich.pk).update(state="closed", closed_at=now())
    pages = [
        reverse(f"admin:{name}", args=[rich.pk]) for name in ("accounts_account_change", "account_mails")
    ]
    found = {url: cost(browser, url)[0] for url in pages}

    assert {url: number for url, number in found.items() if number > OF_STAFF} == {}
