"""The main job: a paying customer leaves, in each of the four ways, and the money really moves."""

import datetime as dt

import pytest
from django.core import mail
from django.urls import reverse

from accounts.models import Account, Event
from accounts.tests.worlds import PASSWORD
from billing.models import Instruction, Refund, Subscription
from billing.periods import local_date
from billing.tests.worlds import advance, control, run_worker
from offboarding.models import Cancellation, Closure, Reservation
from offboarding.quotes import is_faithful
from offboarding.standing import read_standing
from offboarding.tests.leaving import choose, confirm, latest, owners_browser, paying_account, work

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


def provider_refunds():
    return control("GET", "/v1/refunds")["data"]


def test_two_clicks_stop_the_renewal_and_give_a_receipt(clock):
    account = paying_account()
    browser = owners_browser(account)

    page = choose(browser, account, "stop_renewing")
    run_worker()

    cancellation = latest(account)
    subscription = Subscription.objects.get(account=account, provider_id__isnull=False)
    assert cancellation.receipt_number in page.content.decode()
    assert cancellation.status == "scheduled"
    assert cancellation.effective_at == subscription.period_end == subscription.cancel_at
    assert [m.subject for m in mail.outbox if cancellation.receipt_number in m.subject]
    assert not Refund.objects.exists()


def test_a_step_that_was_left_at_the_question_who_it_is_is_not_taken_later(clock):
    account = paying_account()
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    url = reverse("leaving_confirm", args=[account.public_id, latest(account).public_id])
    quote = latest(account).quote.public_id
    session = browser.session
    del session["account_authentication_methods"]  # a day ago
    session.save()

    browser.post(url, {"quote": quote})
    asked = browser.get(url)["Location"]
    page = browser.post(asked, {"password": PASSWORD}, follow=True)

    assert 'name="quote"' in page.content.decode()
    assert latest(account).confirmed_at is None


def test_stopping_renewal_ends_access_on_the_date_of_the_receipt(clock):
    account = paying_account()
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()

    advance(clock, latest(account).effective_at + dt.timedelta(minutes=1))
    work()

    account.refresh_from_db()
    closure = Closure.objects.get(account=account)
    assert latest(account).status == "completed"
    assert account.state == Account.State.CLOSED
    # Days of the calendar: one of them may have 23 or 25 hours.
    kept = local_date(closure.purge_on, "Europe/Madrid") - local_date(
        latest(account).effective_at, "Europe/Madrid"
    )
    assert kept.days == account.terms.retention_days
    assert Subscription.objects.get(account=account, provider_id__isnull=False).status == "canceled"


def test_stopping_now_refunds_the_unused_part_to_the_card(clock):
    account = paying_account()
    advance(clock, clock.now() + dt.timedelta(days=20))
    browser = owners_browser(account)
    choose(browser, account, "stop_now")

    page = confirm(browser, account)
    run_worker()

    refund = Refund.objects.get()
    cancellation = latest(account)
    [made] = provider_refunds()
    assert page.status_code == 200
    assert 0 < refund.amount < 2900
    assert (refund.amount, refund.state) == (cancellation.quote.amount, "succeeded")
    assert (made["amount"], made["status"]) == (refund.amount, "succeeded")
    assert is_faithful(cancellation.quote)
    assert cancellation.status == "completed"
    assert Subscription.objects.get(account=account, provider_id__isnull=False).status == "canceled"


def test_inside_the_window_a_full_refund_leaves_access_on(clock):
    account = paying_account()
    browser = owners_browser(account)
    choose(browser, account, "stop_now")

    confirm(browser, account)
    run_worker()

    cancellation = latest(account)
    subscription = Subscription.objects.get(account=account, provider_id__isnull=False)
    assert Refund.objects.get().amount == 2900
    assert cancellation.status == "scheduled"
    assert cancellation.effective_at == subscription.period_end


def test_free_days_keep_the_refund_and_move_the_end(clock):
    account = paying_account()
    advance(clock, clock.now() + dt.timedelta(days=20))
    before = Subscription.objects.get(account=account, provider_id__isnull=False).period_end
    browser = owners_browser(account)
    choose(browser, account, "free_days")
    confirm(browser, account)
    run_worker()

    reservation = Reservation.objects.get()
    subscription = Subscription.objects.get(account=account, provider_id__isnull=False)
    assert not Refund.objects.exists()
    assert reservation.amount == latest(account).quote.amount > 0
    assert subscription.period_end.date() == (before + dt.timedelta(days=14)).date()

    advance(clock, clock.now() + dt.timedelta(days=15))
    browser = owners_browser(account)
    browser.post(reverse("leaving_claim", args=[account.public_id, latest(account).public_id]))
    run_worker()

    assert Refund.objects.get().amount == reservation.amount
    assert [m["amount"] for m in provider_refunds()] == [reservation.amount]
    assert latest(account).status == "completed"


def test_free_days_and_silence_mean_stop_renewing(clock):
    account = paying_account()
    browser = owners_browser(account)
    choose(browser, account, "free_days")
    confirm(browser, account)
    run_worker()

    advance(clock, latest(account).effective_at + dt.timedelta(minutes=5))
    work()

    account.refresh_from_db()
    paid = [i for i in control("GET", "/v1/invoices")["data"] if i["amount_paid"]]
    assert account.state == "closed"
    assert len(paid) == 1
    assert not Refund.objects.exists()


def test_closing_and_deleting_refunds_and_dates_the_data(clock):
    account = paying_account()
    advance(clock, clock.now() + dt.timedelta(days=20))
    browser = owners_browser(account)
    choose(browser, account, "close_delete")

    confirm(browser, account, when="soon")
    run_worker()

    account.refresh_from_db()
    closure = Closure.objects.get()
    assert account.state == "closed"
    assert Refund.objects.get().state == "succeeded"
    assert closure.waived_retrieval
    assert (closure.purge_on - clock.now()).days == account.terms.deletion_days


def test_keeping_the_subscription_undoes_everything(clock):
    account = paying_account()
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    run_worker()

    browser.post(reverse("leaving_keep", args=[account.public_id, latest(account).public_id]))
    run_worker()

    account.refresh_from_db()
    assert latest(account).status == "withdrawn"
    assert account.access_ends_at is None
    assert Subscription.objects.get(account=account, provider_id__isnull=False).cancel_at is None


def test_while_the_provider_is_down_the_declaration_is_on_record_and_scheduled_later(clock):
    account = paying_account()
    browser = owners_browser(account)
    control(
        "POST",
        "/_sandbox/faults",
        {"faults": [{"method": "POST", "path": "/v1/subscriptions", "kind": "500_before", "count": 2}]},
    )

    choose(browser, account, "stop_renewing")
    Instruction.objects.open().update(attempts=1)
    on_its_way = read_standing(latest(account), at=clock.now()).waits_for_provider
    Instruction.objects.open().update(attempts=0)
    run_worker()

    assert latest(account).status == "received"
    assert (on_its_way, read_standing(latest(account), at=clock.now()).waits_for_provider) == (False, True)

    run_worker(clock.now() + dt.timedelta(minutes=1))
    run_worker(clock.now() + dt.timedelta(minutes=3))

    assert latest(account).status == "scheduled"


def test_the_history_has_no_gaps_and_tells_the_way(clock):
    account = paying_account()
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)
    run_worker()

    account.refresh_from_db()
    events = list(Event.objects.filter(account_ref=account.public_id).order_by("seq"))
    assert [e.seq for e in events] == list(range(1, account.event_count + 1))
    kinds = [e.kind for e in events]
    assert (
        kinds.index("cancellation.received")
        < kinds.index("cancellation.confirmed")
        < kinds.index("refund.succeeded")
    )
    assert Cancellation.objects.count() == 1
