"""Turning time: both clocks together, never more than a day at a hop, one at a time, in the demo only."""

import datetime as dt
import importlib
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.urls import clear_url_caches

from accounts import clock as product_clock
from accounts.events import SYSTEM
from accounts.jobs import turn_off
from accounts.models import Notice
from accounts.tests.worlds import NOON, make_account
from billing.models import Customer, Payment
from billing.stripe_api import calling
from billing.tests.worlds import make_subscription
from config import urls
from config.demo import runs, turning
from config.demo.telling import read_chapters

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


@pytest.mark.once
@pytest.mark.parametrize("start", [NOON, dt.datetime(2027, 3, 27, 1, tzinfo=dt.UTC)])
@pytest.mark.parametrize("days", [0.5, 1, 3, 30, 366])
def test_hops_are_days_also_when_the_clocks_change_and_end_where_they_should(start, days):
    end = start + dt.timedelta(days=days)
    stops = [start, *turning.hops(start, end)]

    assert stops[-1] == end
    assert all(dt.timedelta() < b - a <= DAY + HOUR for a, b in pairwise(stops))
    assert turning.hops(end, start) == []


@pytest.fixture
def paying(stripe_account, clock, transactional_db, settings, tmp_path):
    """Someone pays monthly; mails are files."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "mail")
    clock.turn_to(NOON)
    make_subscription(make_account())
    return Customer.objects.get()


def to_renewal(teller):
    teller.chapter("")
    teller.turn_to(NOON + dt.timedelta(days=32))


def test_both_clocks_move_together_and_the_jobs_do_what_fell_due(paying):
    run = runs.tell("turn", to_renewal)
    with calling() as stripe:
        shown = stripe.v1.test_helpers.test_clocks.retrieve(paying.test_clock).frozen_time
    steps = [step for chapter in read_chapters(runs.read_run()) for step in chapter.steps]
    lines = [line for step in steps for group in step.groups for line in group.lines]

    assert shown == int((NOON + dt.timedelta(days=32)).timestamp())
    assert product_clock.now() - NOON >= dt.timedelta(days=32)
    assert (run.state, run.hops) == ("done", 32 + 1)
    assert Payment.objects.count() == 2
    assert {group.name for step in steps for group in step.groups} == {paying.account.name}
    assert "We received €29.00." in [line.text for line in lines]
    assert "Receipt: we received €29.00" in [line.text for line in lines if line.kind == "mail"]


def test_a_job_that_is_off_stays_off_and_one_that_fails_is_shown(paying, monkeypatch):
    turn_off("accounts.send_notices", by=SYSTEM, at=NOON, reason="look")
    sent = Notice.objects.filter(status=Notice.Status.SENT).count()

    def broken(*, at):
        raise OSError

    monkeypatch.setattr("billing.backfill.fetch_missed_events", broken)
    run = runs.tell("turn", lambda teller: [teller.chapter(""), teller.turn_to(NOON + DAY)])

    assert Notice.objects.filter(status=Notice.Status.SENT).count() == sent
    assert {name for step in run.chapters[0].steps for name in step.failed} == {"billing.backfill"}
    assert run.state == "done"


@pytest.mark.django_db
def test_time_is_turned_by_one_at_a_time(client, clock):
    clock.turn_to(NOON)
    with runs.alone():
        with pytest.raises(runs.AlreadyTurning):
            runs.tell("turn", to_renewal)
        page = client.post("/demo/clock/", {"span": "day"}, follow=True).content.decode()

    assert "The clock is being turned already" in page
    assert clock.now() < NOON + HOUR


@pytest.mark.django_db
@pytest.mark.parametrize("day", ["2020-01-01", "2099-01-01", "soon", ""])
def test_a_day_that_cannot_be_turned_to_is_refused_and_says_so(client, clock, day):
    clock.turn_to(NOON)
    page = client.post("/demo/clock/", {"to": day})

    assert page.context["form"].errors["to"]
    assert runs.read_run() is None


@pytest.mark.django_db
def test_a_run_whose_process_ended_is_told_as_broken_off(client, clock):
    clock.turn_to(NOON)
    runs.Teller(runs.Run("turn", NOON.isoformat())).chapter("")

    assert runs.read_run().state == "failed"
    assert "It did not come to its end" in client.get("/demo/clock/").content.decode()


@pytest.mark.django_db
def test_it_is_absent_outside_demo_development_and_tests(client, settings, clock):
    settings.DEMO_PAGES = False
    try:
        importlib.reload(urls)
        clear_url_caches()
        answers = [client.get("/demo/clock/").status_code, client.post("/demo/clock/").status_code]
    finally:
        settings.DEMO_PAGES = True
        importlib.reload(urls)
        clear_url_caches()

    assert answers == [404, 404]
    settings.STRIPE_TEST_CLOCKS = False
    with pytest.raises(CommandError, match="demo"):
        call_command("turn_clock", "--days", "1")
