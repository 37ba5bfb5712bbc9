"""A trial with a card converts after its notices; one without is paid late. At the sandbox, by the clock."""

import datetime as dt

import pytest

from accounts.events import By
from accounts.models import Account, Event, Notice
from accounts.tests.worlds import NOON, make_account, make_terms, owner_of
from billing.models import Subscription, TrialExtension
from billing.periods import add_local_days
from billing.subscriptions import start_trial
from billing.tests.worlds import advance, make_customer_with_card, make_plan, make_subscription, run_worker
from billing.trial_sweep import run_trials
from billing.trials import extend_trial_yourself

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

DAY = dt.timedelta(days=1)


def live(clock, until):
    """Day by day, an hour after noon: beat, the provider's clock, the mails."""
    while clock.now() < until:
        advance(clock, min(until, clock.now() + DAY))
        run_trials(at=clock.now())
        run_worker()


def diary(account):
    sent = Notice.objects.filter(account=account, status="sent").order_by("sent_at", "pk")
    return [((notice.sent_at - NOON).days, notice.kind) for notice in sent]


def test_it_converts_by_itself_after_the_notices_that_the_law_wants(noon):
    account = make_account()
    make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    live(noon, NOON + 15 * DAY + dt.timedelta(hours=3))
    account.refresh_from_db()

    # The provider charges within the hour after the end: seen on the next day's look.
    assert diary(account) == [
        (0, "subscription_started"),
        (4, "trial_ends"),
        (8, "trial_ends"),
        (15, "payment_received"),
    ]
    assert (account.state, account.access_ends_at) == ("active", None)
    rules = {rule for notice in Notice.objects.filter(kind="trial_ends") for rule in notice.rule_ids}
    assert rules | set(Notice.objects.get(kind="subscription_started").rule_ids) >= {"visa", "mastercard"}


def test_an_extension_is_pushed_to_the_provider_and_charges_later(noon):
    account = make_account()
    trial = make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    extend_trial_yourself(account, user=owner_of(account), at=noon.now())
    run_worker()
    trial.refresh_from_db()
    extension = TrialExtension.objects.get()

    assert trial.trial_end == extension.ends_after.replace(microsecond=0)
    assert trial.first_paid_at is None
    assert Notice.objects.filter(kind="trial_extended", status="sent").count() == 1


@pytest.mark.parametrize("day", [20, 27])
def test_paid_late_the_period_starts_at_payment_and_access_is_back_at_once(noon, day):
    account = make_account()
    plan = make_plan(trial_days=14)
    start_trial(account, plan, by=By.customer(owner_of(account)), at=noon.now())
    noon.turn_to(NOON + day * DAY)
    for step in range(day + 1):
        run_trials(at=NOON + step * DAY + dt.timedelta(hours=1))
        run_worker(at=NOON + step * DAY + dt.timedelta(hours=1))
    account.refresh_from_db()
    before = account.state
    paid = make_subscription(account, plan)
    account.refresh_from_db()
    mails = Notice.objects.count()
    run_trials(at=NOON + 60 * DAY)

    assert before == ("grace" if day == 20 else "frozen")
    assert (account.state, account.access_ends_at) == ("active", None)
    assert abs(paid.period_start - (NOON + day * DAY)) < dt.timedelta(minutes=2)
    assert Notice.objects.count() == mails
    assert not Event.objects.filter(kind="account.frozen", at__gt=paid.started_at).exists()


def test_a_card_added_in_time_keeps_the_free_days_and_adds_those_of_the_terms(noon):
    make_terms(trial_card_days=7)
    account = make_account()
    plan = make_plan(trial_days=14)
    local = start_trial(account, plan, by=By.customer(owner_of(account)), at=noon.now())
    paid = make_subscription(account, plan)
    account.refresh_from_db()

    later = add_local_days(local.trial_end, 7, account.time_zone)
    assert abs(paid.trial_end - later) < dt.timedelta(minutes=1)
    assert TrialExtension.objects.get().via == "card"
    assert account.access_ends_at is None
    assert Account.objects.get().state == "trialing"


def test_a_card_has_one_trial_across_accounts(noon):
    plan = make_plan(trial_days=14, trial_needs_card=True)
    make_subscription(make_account(), plan)
    other = make_account()
    make_customer_with_card(other)
    second = make_subscription(other, make_plan(trial_days=14, trial_needs_card=True))

    assert Subscription.objects.filter(status="trialing").count() == 1
    assert second.first_paid_at is not None
