"""What a customer does in a browser, as calls of Django's client; used by the tests of leaving."""

import datetime as dt
import re
from typing import Any

from django.test import Client
from django.urls import reverse

from accounts import clock as product_clock
from accounts.models import Account, User
from accounts.tests.worlds import PASSWORD, make_account, make_user, owner_of
from billing.tests.worlds import make_subscription, run_worker
from offboarding.completions import complete_due_cancellations
from offboarding.models import Cancellation


def paying_account(**columns: Any) -> Account:
    """An account whose owner has a password, with a paid monthly subscription of 29.00 EUR."""
    account = make_account(owner=make_user(password=PASSWORD), **columns)
    make_subscription(account)
    account.refresh_from_db()
    return account


def signed_in(user: User) -> Client:
    """A browser in which this person has just signed in with the password."""
    browser = Client()
    answer = browser.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return browser


def owners_browser(account: Account) -> Client:
    """The owner's."""
    return signed_in(owner_of(account))


def marks(html: str) -> str:
    """The signed mark of what a page of endings showed."""
    found = re.search(r'name="shown" value="([^"]+)"', html)
    assert found, "no ending is offered"
    return found.group(1)


def choose(browser: Client, account: Account, ending: str) -> Any:
    """Open the four endings and choose one: the two clicks."""
    page = browser.get(reverse("leave", args=[account.public_id]))
    assert page.status_code == 200
    return browser.post(
        reverse("choose_ending", args=[account.public_id]),
        {"ending": ending, "shown": marks(page.content.decode())},
        follow=True,
    )


def latest(account: Account) -> Cancellation:
    """The newest declaration."""
    return (
        Cancellation.objects.select_related("quote", "account")
        .filter(account=account)
        .latest("declared_at", "pk")
    )


def confirm(browser: Client, account: Account, **answers: str) -> Any:
    """Read the last page and confirm what it shows."""
    cancellation = latest(account)
    url = reverse("leaving_confirm", args=[account.public_id, cancellation.public_id])
    page = browser.get(url)
    assert page.status_code == 200, page
    found = re.search(r'name="quote" value="([^"]+)"', page.content.decode())
    assert found
    return browser.post(url, {"quote": found.group(1)} | answers, follow=True)


def work(at: dt.datetime | None = None) -> None:
    """Beat and the worker: what is due is carried out, what is owed goes out."""
    complete_due_now(at)
    run_worker(at)


def complete_due_now(at: dt.datetime | None = None) -> None:
    """Carry out every date that has come, as the job does, whatever slot it is."""
    complete_due_cancellations(at=at or product_clock.now())
