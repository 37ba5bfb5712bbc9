"""What happens on its date, however late the jobs are, and what is never charged afterwards (C4-C6)."""

import datetime as dt

import pytest
from django.urls import reverse

from accounts.events import By
from accounts.models import Notice
from accounts.tests.worlds import NOON, owner_of
from billing.checkout import pay_invoice
from billing.models import Customer, Instruction, Invoice, Refund
from billing.stripe_api import calling
from billing.subscriptions import start_trial
from billing.tests.worlds import advance, control, fault, make_plan, make_subscription, run_worker
from offboarding.free_days import lapse_reservations
from offboarding.models import Closure, Reservation
from offboarding.tests.leaving import choose, confirm, latest, owners_browser, work
from offboarding.tests.situations import (
    DAY,
    after,
    charged,
    free,
    live_at_provider,
    open_at_provider,
    paid_long_ago,
    past_due,
    pause_agreed,
    refunded,
    the_subscription,
    trial,
    use_card,
    with_team,
    words,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture(autouse=True)
def _noon(clock):
    clock.turn_to(NOON)


def declare(account, ending="stop_renewing"):
    browser = owners_browser(account)
    choose(browser, account, ending)
    run_worker()
    return browser


# --- Dates ------------------------------------------------------------------------------------


def test_jobs_that_were_off_for_three_days_give_nobody_a_day_more_or_less(clock):
    account = paid_long_ago(clock)
    declare(account)
    end = latest(account).effective_at

    advance(clock, end + 3 * DAY)
    account.refresh_from_db()
    assert (account.state, account.access_ends_at) == ("active", end)  # the date decides, not the job
    work()

    account.refresh_from_db()
    assert (account.state, account.closed_at) == ("closed", end)
    assert (Closure.objects.get().purge_on - end).days == account.terms.retention_days


def test_run_twice_it_is_carried_out_once(clock):
    account = paid_long_ago(clock)
    declare(account)
    advance(clock, latest(account).effective_at + DAY)

    work()
    work()

    assert Closure.objects.count() == 1
    assert Notice.objects.filter(kind="leaving_completed").count() == 1


def test_a_moment_before_its_date_nothing_is_carried_out(clock):
    account = paid_long_ago(clock)
    declare(account)

    work(latest(account).effective_at - dt.timedelta(seconds=1))

    assert latest(account).status == "scheduled"


def test_a_pause_that_turned_into_leaving_does_not_live_on_at_the_provider(clock):
    account = pause_agreed(clock)
    declare(account)

    advance(clock, latest(account).effective_at + dt.timedelta(minutes=5))
    work()

    assert live_at_provider() == []
    assert owners_browser(account).get(reverse("come_back", args=[account.public_id])).status_code == 200


# --- Charges ----------------------------------------------------------------------------------


def renew_although_cancelled(account):
    """The provider loses our word and renews: the worst case."""
    with calling() as stripe:
        stripe.v1.subscriptions.update(
            the_subscription(account).provider_id, params={"cancel_at_period_end": False}
        )
    control("GET", "/_sandbox/deliveries")


def test_a_charge_that_slips_through_is_refunded_by_itself_once(clock):
    account = paid_long_ago(clock)
    declare(account)
    renew_although_cancelled(account)

    after(clock, days=12)
    work()
    run_worker()

    assert (charged(), refunded()) == (5800, 2900)
    assert Refund.objects.get().basis == "correction"
    assert live_at_provider() == []


def test_a_charge_of_someone_who_stays_is_not_refunded(clock):
    paid_long_ago(clock)

    after(clock, days=12)

    assert (charged(), refunded()) == (5800, 0)


def test_while_the_provider_is_down_at_a_renewal_the_charge_goes_back(clock):
    account = paid_long_ago(clock)
    advance(clock, the_subscription(account).period_end - dt.timedelta(minutes=5))
    fault("500_before", path="/v1/subscriptions", count=3)
    declare(account)
    assert latest(account).status == "received"

    after(clock, hours=3)
    work()
    run_worker()

    assert charged() - refunded() == 2900


def test_what_waits_to_be_billed_goes_when_it_stops_now(clock):
    account = paid_long_ago(clock)
    with calling() as stripe:
        stripe.v1.invoice_items.create(
            params={
                "customer": Customer.objects.get().provider_id,
                "subscription": the_subscription(account).provider_id,
                "amount": 700,
                "currency": "eur",
            }
        )
    browser = declare(account, "stop_now")

    confirm(browser, account)
    run_worker()

    assert control("GET", "/v1/invoiceitems?pending=true")["data"] == []
    assert charged() == 2900


def test_the_declaration_stops_the_tries_to_charge_an_open_invoice(clock):
    account = past_due(clock, open_invoice="full")

    declare(account)

    [invoice] = control("GET", "/v1/invoices?status=open")["data"]
    assert (invoice["auto_advance"], invoice["next_payment_attempt"]) == (False, None)


def test_after_leaving_a_good_card_is_not_charged_and_the_customers_own_act_pays(clock):
    account = past_due(clock, open_invoice="full")
    declare(account)
    after(clock, days=10)
    work()
    run_worker()
    use_card_of_a_closed_account(account)
    after(clock, days=30)
    assert (charged(), open_at_provider()) == (2900, [("open", 2900)])

    invoice = Invoice.objects.get(status="open")
    outcome = pay_invoice(invoice, by=By.customer(owner_of(account)), at=clock.now())
    run_worker()

    assert outcome.code == "paid"
    assert (charged(), refunded(), open_at_provider()) == (5800, 0, [])


def use_card_of_a_closed_account(account):
    with calling() as stripe:
        customer = Customer.objects.get(account=account).provider_id
        method = stripe.v1.payment_methods.attach("pm_card_visa", params={"customer": customer})
        stripe.v1.customers.update(
            customer, params={"invoice_settings": {"default_payment_method": method.id}}
        )
    run_worker()


def test_whoever_pays_the_open_invoice_after_declaring_has_access_to_the_end_of_it(clock):
    account = past_due(clock)
    declare(account)
    assert latest(account).effective_at < the_subscription(account).period_end
    use_card(account, "pm_card_visa")

    pay_invoice(Invoice.objects.get(status="open"), by=By.customer(owner_of(account)), at=clock.now())
    run_worker()

    account.refresh_from_db()
    assert latest(account).effective_at == account.access_ends_at == the_subscription(account).period_end
    after(clock, days=10)
    work()
    account.refresh_from_db()
    assert (account.state, refunded()) == ("active", 0)


# --- The kept refund --------------------------------------------------------------------------


def test_a_kept_refund_can_be_claimed_after_the_account_has_closed(clock):
    account = paid_long_ago(clock)
    browser = declare(account, "free_days")
    confirm(browser, account)
    run_worker()
    advance(clock, latest(account).effective_at + DAY)
    work()
    browser = owners_browser(account)
    page = browser.get(reverse("leaving_claim", args=[account.public_id, latest(account).public_id]))

    for _twice in range(2):
        browser.post(reverse("leaving_claim", args=[account.public_id, latest(account).public_id]))
        run_worker()

    assert "Your refund of €10.30 is kept" in words(page)
    assert refunded() == 1030
    assert Refund.objects.count() == 1
    assert account.cancellations.get().status == "completed"


def test_a_kept_refund_is_claimed_to_its_last_second_and_lapses_after_it(clock):
    account = paid_long_ago(clock)
    confirm(declare(account, "free_days"), account)
    deadline = Reservation.objects.get().deadline_at

    assert lapse_reservations(at=deadline) == 0
    assert lapse_reservations(at=deadline + dt.timedelta(seconds=1)) == 1
    assert (deadline - Reservation.objects.get().free_until).days >= 14


def test_a_payment_that_was_disputed_meanwhile_is_not_claimed(clock):
    account = paid_long_ago(clock)
    browser = declare(account, "free_days")
    confirm(browser, account)
    run_worker()
    [charge] = control("GET", "/v1/charges")["data"]
    control("POST", f"/_sandbox/charges/{charge['id']}/dispute", {})
    run_worker()

    url = reverse("leaving_claim", args=[account.public_id, latest(account).public_id])
    page = browser.post(url, follow=True)

    assert "The payment has changed since" in words(page)
    assert Reservation.objects.get().status == "reserved"
    assert not Instruction.objects.filter(kind="refund").exists()


# --- Coming back ------------------------------------------------------------------------------


def subscribe_again(account):
    make_subscription(account, make_plan())
    account.refresh_from_db()


@pytest.mark.parametrize("start", [free, trial])
def test_whoever_starts_to_pay_while_leaving_is_not_shut_out_on_the_old_date(start, clock):
    account = start(clock)
    declare(account)
    old = latest(account)

    subscribe_again(account)
    after(clock, days=20)
    work()

    account.refresh_from_db()
    assert latest(account).status == "withdrawn"
    assert old.effective_at < clock.now()
    assert (account.state, account.access_ends_at) == ("active", None)


def test_a_trial_that_starts_while_leaving_the_free_plan_runs_its_days(clock):
    account = free(clock)
    declare(account)
    start_trial(account, make_plan(trial_days=14), by=By.customer(owner_of(account)), at=clock.now())

    after(clock, days=3)
    work()

    account.refresh_from_db()
    assert account.state == "trialing"
    assert account.access_ends_at == the_subscription(account).period_end
    assert not Closure.objects.exists()


def test_coming_back_within_the_hours_of_the_team_keeps_the_account_open(clock):
    account = with_team(clock)
    browser = declare(account, "close_delete")
    confirm(browser, account, when="soon")
    run_worker()

    subscribe_again(account)
    after(clock, days=5)
    work()

    account.refresh_from_db()
    assert (account.state, account.access_ends_at) == ("active", None)
    assert not Closure.objects.filter(status="scheduled").exists()
    assert refunded() == 1030
