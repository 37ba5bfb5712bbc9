"""Keeping the subscription: from every place it is announced, until the last moment, never after."""

import datetime as dt

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.errors import WrongState
from accounts.events import By
from accounts.tests.worlds import NOON, owner_of
from billing.models import Instruction
from billing.tests.worlds import advance, control, fault, run_worker
from offboarding.completions import complete_cancellation, complete_due_cancellations
from offboarding.models import Cancellation, Closure, Reservation
from offboarding.receipts import undo_path
from offboarding.tests import situations
from offboarding.tests.cells import CELLS
from offboarding.tests.leaving import choose, confirm, latest, owners_browser, work
from offboarding.tests.situations import (
    STARTS,
    after,
    charged,
    live_at_provider,
    paid_long_ago,
    past_due,
    refunded,
    the_subscription,
)
from offboarding.withdrawals import withdraw_cancellation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture(autouse=True)
def _noon(clock):
    clock.turn_to(NOON)


def keep(browser, account):
    return browser.post(
        reverse("leaving_keep", args=[account.public_id, latest(account).public_id]), follow=True
    )


def steering_calls():
    made = control("GET", "/_sandbox/requests")["requests"]
    return [c for c in made if c["method"] != "GET" and c["path"].startswith("/v1/subscriptions/")]


@pytest.mark.parametrize("start", [start for start in STARTS if CELLS[start, "stop_renewing"]])
def test_undone_everything_is_as_it_was(start, clock):
    account = STARTS[start](clock)
    account.refresh_from_db()
    before, access = the_subscription(account), account.access_ends_at
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    run_worker()

    keep(browser, account)
    run_worker()

    account.refresh_from_db()
    subscription = the_subscription(account)
    assert latest(account).status == "withdrawn"
    assert account.access_ends_at == access
    assert (subscription.status, subscription.period_end, subscription.cancel_at) == (
        before.status,
        before.period_end,
        None,
    )
    assert not any(s["cancel_at_period_end"] for s in live_at_provider())


def test_kept_it_renews_as_before(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    keep(browser, account)
    run_worker()

    after(clock, days=14)
    work()

    account.refresh_from_db()
    assert charged() == 5800
    assert account.state == "active"


def test_an_undone_trial_without_a_card_still_ends(clock):
    account = situations.trial(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")

    keep(browser, account)

    account.refresh_from_db()
    trial = the_subscription(account)
    assert account.access_ends_at == trial.period_end
    assert trial.trial_steps.pending().filter(kind="freeze").exists()


def test_an_undone_leaving_does_not_forgive_an_open_invoice(clock):
    account = past_due(clock, open_invoice="void")
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    run_worker()

    keep(browser, account)
    run_worker()

    [invoice] = control("GET", "/v1/invoices?status=open")["data"]
    assert (invoice["amount_remaining"], invoice["auto_advance"]) == (2900, True)
    assert the_subscription(account).status == "past_due"


def test_the_link_in_the_mail_works_without_signing_in_and_only_by_post(clock):
    account = paid_long_ago(clock)
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()
    path = undo_path(latest(account))
    assert [m for m in mail.outbox if path in m.body]
    anyone = Client()

    page = anyone.get(path)

    assert latest(account).status == "scheduled"
    assert "Keep the subscription?" in page.content.decode()
    assert page["Cache-Control"] == "no-store"
    assert "You stay" in anyone.post(path).content.decode()
    assert latest(account).status == "withdrawn"
    assert "You stay" in anyone.get(path).content.decode()


def test_the_undo_link_needs_its_form_token():
    guarded = Client(enforce_csrf_checks=True)

    assert guarded.get(reverse("undo", args=["guess"])).status_code == 404
    assert guarded.post(reverse("undo", args=["guess"])).status_code in (403, 404)


def test_an_undo_beats_a_job_that_has_picked_it_already(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    picked = Cancellation.objects.select_related("account__terms", "quote__terms", "subscription").get()

    keep(browser, account)

    assert complete_cancellation(picked, at=picked.effective_at + dt.timedelta(minutes=1)) is False
    account.refresh_from_db()
    assert account.state == "active"
    assert not Closure.objects.exists()


def test_without_the_undo_the_same_job_closes_the_account(clock):
    account = paid_long_ago(clock)
    choose(owners_browser(account), account, "stop_renewing")
    picked = Cancellation.objects.select_related("account__terms", "quote__terms", "subscription").get()

    assert complete_cancellation(picked, at=picked.effective_at + dt.timedelta(minutes=1)) is True


def test_after_the_last_moment_it_is_refused_in_words(clock):
    account = paid_long_ago(clock)
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()
    advance(clock, latest(account).effective_at + dt.timedelta(seconds=2))

    page = keep(owners_browser(account), account)

    assert "It has taken effect already" in page.content.decode()
    assert latest(account).status != "withdrawn"
    assert "It can no longer be undone" in Client().post(undo_path(latest(account))).content.decode()


def test_an_undo_before_anything_was_sent_supersedes_it_and_the_provider_never_hears_of_the_end(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    keep(browser, account)

    run_worker()

    assert [i.status for i in Instruction.objects.filter(kind="subscription").order_by("version")] == [
        "superseded",
        "done",
    ]
    assert [c["params"] for c in steering_calls()] == [{"cancel_at_period_end": "false"}]


def test_an_undo_after_a_lost_answer_wins(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    fault("drop_after", path="/v1/subscriptions")
    run_worker()
    assert Instruction.objects.filter(kind="subscription", status="unknown").exists()

    keep(browser, account)
    run_worker(clock.now() + dt.timedelta(minutes=5))

    assert [s["cancel_at_period_end"] for s in live_at_provider()] == [False]
    assert latest(account).status == "withdrawn"


def test_free_days_stay_given_and_the_kept_refund_is_released(clock):
    account = paid_long_ago(clock)
    end = the_subscription(account).period_end
    browser = owners_browser(account)
    choose(browser, account, "free_days")
    confirm(browser, account)
    run_worker()

    keep(browser, account)
    run_worker()

    assert Reservation.objects.get().status == "released"
    assert (the_subscription(account).period_end - end).days in (13, 14)
    browser.post(reverse("leaving_claim", args=[account.public_id, latest(account).public_id]))
    assert refunded() == 0


def test_the_undo_link_says_what_keeping_costs_and_what_lapses_with_it(clock):
    account = paid_long_ago(clock)
    choose(owners_browser(account), account, "stop_now")

    page = situations.words(Client().get(undo_path(latest(account))))

    assert "If you do, it goes on at €29.00 a month; the next charge is on 11 April 2026." in page
    assert "The refund of €10.30 is then no longer kept" in page
    assert "Leave it as it is" in page


def test_what_was_paid_out_cannot_be_undone(clock):
    account = situations.paid_lately(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)

    with pytest.raises(WrongState):
        withdraw_cancellation(latest(account), by=By.customer(owner_of(account)), at=clock.now())
    assert "Keep my subscription" not in situations.words(
        browser.get(reverse("leaving", args=[account.public_id, latest(account).public_id]))
    )


def test_undoing_twice_is_undoing_once(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")

    keep(browser, account)
    keep(browser, account)
    run_worker()

    assert account.cancellations.count() == 1
    assert len([m for m in mail.outbox if m.subject.startswith("You stay")]) == 1
    assert complete_due_cancellations(at=clock.now() + dt.timedelta(days=60)) == 0
