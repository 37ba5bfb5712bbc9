"""Receipt, history, notice and instruction are one transaction, before anything is shown (C1)."""

import pytest
from django.urls import reverse

from accounts import notices
from accounts.models import Event, Notice
from accounts.tests.worlds import NOON
from billing.models import Instruction
from offboarding import declarations
from offboarding.models import Cancellation, Quote
from offboarding.tests.leaving import choose, latest, marks, owners_browser
from offboarding.tests.situations import paid_long_ago

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("stripe_account")]


@pytest.fixture
def account(clock):
    clock.turn_to(NOON)
    return paid_long_ago(clock)


def traces():
    """What a declaration leaves behind, by kind."""
    return (
        Cancellation.objects.count(),
        Quote.objects.count(),
        Event.objects.filter(kind__startswith="cancellation.").count(),
        Notice.objects.filter(kind="leaving_received").count(),
        Instruction.objects.filter(kind="subscription").count(),
    )


def test_when_the_page_is_shown_everything_is_on_record(account):
    page = choose(owners_browser(account), account, "stop_renewing")

    assert latest(account).receipt_number in page.content.decode()
    assert traces() == (1, 1, 1, 1, 1)
    account.refresh_from_db()
    assert account.access_ends_at == latest(account).effective_at


@pytest.mark.parametrize(
    ("module", "name"),
    [(declarations, "_stop_renewal"), (declarations, "limit_access"), (notices, "owe")],
)
def test_where_any_step_breaks_nothing_is_there(module, name, account, monkeypatch):
    browser = owners_browser(account)
    page = browser.get(reverse("leave", args=[account.public_id]))
    browser.raise_request_exception = False
    monkeypatch.setattr(module, name, lambda *args, **kwargs: 1 / 0)

    answer = browser.post(
        reverse("choose_ending", args=[account.public_id]),
        {"ending": "stop_renewing", "shown": marks(page.content.decode())},
    )

    account.refresh_from_db()
    assert answer.status_code == 500
    assert traces() == (0, 0, 0, 0, 0)
    assert account.access_ends_at is None


def test_after_the_break_the_same_form_works(account, monkeypatch):
    browser = owners_browser(account)
    page = browser.get(reverse("leave", args=[account.public_id])).content.decode()
    form = {"ending": "stop_renewing", "shown": marks(page)}
    browser.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr(notices, "owe", lambda *args, **kwargs: 1 / 0)
        browser.post(reverse("choose_ending", args=[account.public_id]), form)

    assert browser.post(reverse("choose_ending", args=[account.public_id]), form).status_code == 302
    assert traces() == (1, 1, 1, 1, 1)
