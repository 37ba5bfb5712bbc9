"""Every cell of the table in docs/lifecycle.md, against the sandbox: shown, done, and two periods later."""

import datetime as dt
from pathlib import Path

import pytest
from django.conf import settings
from django.urls import reverse

from accounts.tests.worlds import NOON
from billing.models import Pause
from billing.periods import add_local_days, end_of_date, end_of_local_day, local_date
from billing.tests.worlds import run_worker
from offboarding.models import Closure, Reservation
from offboarding.quotes import is_faithful
from offboarding.tests import cells
from offboarding.tests.cells import CELLS
from offboarding.tests.leaving import choose, confirm, latest, owners_browser
from offboarding.tests.situations import (
    DAY,
    STARTS,
    charged,
    live_at_provider,
    open_at_provider,
    refunded,
    the_subscription,
    years_pass,
)

# Proven here are the arithmetic and the provider, two billing periods a cell: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account"), pytest.mark.once]

#: The clock runs on while a test works.
SLACK = dt.timedelta(minutes=2)
OFFERED = [key for key, cell in CELLS.items() if cell]
NOT_OFFERED = [key for key, cell in CELLS.items() if not cell]
ZONE = "Europe/Madrid"


def last_moment(account, access, at):
    """When access ends by the table, worked out from what the subscription was before leaving."""
    running = the_subscription(account)
    end = running.trial_end or running.period_end
    pause = Pause.objects.first()
    return {
        "now": lambda: at,
        "over": lambda: at,
        "today": lambda: end_of_local_day(at, ZONE),
        "trial": lambda: end,
        "paid": lambda: pause.starts_at if pause else end,
        "paid+14": lambda: add_local_days(end, 14, ZONE),
        "trial+14": lambda: add_local_days(end, 14, ZONE),
        "grace": lambda: end_of_date(local_date(at - 2 * DAY, ZONE) + 7 * DAY, ZONE),
        "trial grace": lambda: running.period_end,
        "trial grace+14": lambda: add_local_days(running.period_end, 14, ZONE),
        "resume": lambda: pause.resumes_at,
        "72 h": lambda: at + dt.timedelta(hours=72),
    }[access]()


def leave_by(browser, account, ending):
    choose(browser, account, ending)
    run_worker()
    if latest(account).moves_money_or_data:
        confirm(browser, account)
        run_worker()
    return latest(account)


def data_days(cancellation):
    """Days from the last local day of access to the end of fetching, and to the deletion."""
    closure = Closure.objects.filter(status="scheduled").get()
    last = local_date(cancellation.effective_at, ZONE)
    return [(local_date(d, ZONE) - last).days for d in (closure.data_until, closure.purge_on)]


@pytest.mark.parametrize(("start", "ending"), OFFERED)
def test_a_cell_is_as_the_table_says(start, ending, clock, monkeypatch):
    cell = CELLS[start, ending]
    clock.turn_to(NOON)
    account = STARTS[start](clock)
    paid, back, expected = charged(), refunded(), last_moment(account, cell.access, clock.now())
    browser = owners_browser(account)

    left = leave_by(browser, account, ending)

    assert abs(left.effective_at - expected) < SLACK
    assert refunded() - back == cell.refund == (0 if ending == "free_days" else left.quote.amount)
    assert sum(r.amount for r in Reservation.objects.all()) == cell.kept
    assert (left.quote.open_invoice_owed if left.quote.open_invoice else None) == cell.owed
    assert is_faithful(left.quote)

    if not cell.undo:
        browser.post(reverse("leaving_keep", args=[account.public_id, left.public_id]))
        assert latest(account).status == left.status != "withdrawn"
    years_pass(clock, monkeypatch)

    account.refresh_from_db()
    assert (account.state, latest(account).status) == ("closed", "completed")
    assert abs(latest(account).effective_at - expected) < SLACK
    assert charged() == paid
    assert live_at_provider() == []
    assert open_at_provider() == ([("open", cell.owed)] if cell.owed else [])
    assert data_days(latest(account)) == ([30, 180] if cell.data == "kept" else [30, 30])


@pytest.mark.parametrize(("start", "ending"), NOT_OFFERED)
def test_what_is_not_offered_says_why_and_cannot_be_chosen(start, ending, clock):
    clock.turn_to(NOON)
    account = STARTS[start](clock)
    browser = owners_browser(account)
    page = browser.get(reverse("leave", args=[account.public_id]))

    mark = page.context["choices"][0]["fields"][0][1]
    answer = browser.post(
        reverse("choose_ending", args=[account.public_id]), {"ending": ending, "shown": mark}, follow=True
    )

    assert ending not in [choice["code"] for choice in page.context["choices"]]
    assert all(title and why for title, why in page.context["not_offered"])
    assert "That is not possible from here any more" in answer.content.decode()
    assert not account.cancellations.open().exists()


def test_the_page_shows_these_cells():
    page = (Path(settings.BASE_DIR) / "docs" / "lifecycle.md").read_text()

    assert cells.render() in page, "put the output of `python -m offboarding.tests.cells` into the page"


def test_every_starting_point_has_all_four_endings_in_the_table():
    assert list(CELLS) == [(start, ending) for start in STARTS for ending in cells.ENDINGS]
