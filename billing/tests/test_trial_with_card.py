"""A trial with a card converts after its notices; one without is paid late. At the sandbox, by the clock."""

import datetime as dt

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts.events import By
from accounts.models import Account, Event, Notice
from accounts.templatetags.terms_format import day
from accounts.tests.worlds import NOON, PASSWORD, make_account, make_terms, make_user, owner_of
from billing.models import Subscription, TrialExtension
from billing.periods import add_local_days
from billing.subscriptions import start_trial
from billing.tests.worlds import (
    advance,
    control,
    let_the_provider_follow,
    make_customer_with_card,
    make_plan,
    make_subscription,
    run_worker,
)
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


def first_charge():
    """The moment of the first charge at the provider, or None."""
    [charge] = control("GET", "/v1/charges")["data"] or [None]
    return charge and dt.datetime.fromtimestamp(charge["created"], dt.UTC)


def at_provider(trial):
    found = control("GET", f"/v1/subscriptions/{trial.provider_id}")
    return dt.datetime.fromtimestamp(found["trial_end"], dt.UTC)


@pytest.mark.parametrize(
    ("trial_days", "owed"),
    [(14, ()), (14, (6,)), (45, (10, 6))],
    ids=["nothing ran", "it could not leave", "both could not leave"],
)
def test_a_charge_of_which_nobody_was_told_in_time_comes_later_once(noon, trial_days, owed):
    account = make_account()
    trial = make_subscription(account, make_plan(trial_days=trial_days, trial_needs_card=True))
    ends = trial.trial_end
    late = ends - 2.9 * DAY  # the windows of the law have closed
    for days in owed:
        run_trials(at=ends - days * DAY + dt.timedelta(hours=1))
        assert Notice.objects.filter(kind="trial_ends").latest("pk").rule_ids
    advance_unheard(noon, late)
    run_trials(at=late)
    work_off()
    trial.refresh_from_db()

    later = add_local_days(late, 8, account.time_zone)
    assert not Notice.objects.filter(kind="trial_ends", status="sent").exists()
    assert Notice.objects.filter(kind="trial_ends", status="failed").exists()
    assert abs(at_provider(trial) - later) < dt.timedelta(minutes=1)
    assert trial.trial_end == at_provider(trial) > ends
    extension = TrialExtension.objects.get()
    assert (extension.reason, extension.actor) == ("problem", "system")
    live(noon, later - dt.timedelta(hours=2))
    assert first_charge() is None
    live(noon, later + dt.timedelta(hours=3))
    told = Notice.objects.get(kind="trial_extended", status="sent")
    assert first_charge() - told.sent_at >= 7 * DAY


def work_off():
    """The worker, until what missed notices demand is done too: a mail that fails does not count as work."""
    for _ in range(2):
        run_worker()


def advance_unheard(clock, to):
    """Time passes here and at the provider while no mail leaves and no work is done."""
    clock.turn_to(to)
    let_the_provider_follow(to)


@pytest.mark.parametrize("country", ["ES", "US"])
@pytest.mark.parametrize("left", [1, 6.5, 7.5])
def test_a_card_added_late_moves_the_first_charge_a_week_behind_the_mail(noon, left, country):
    owner = make_user(password=PASSWORD)
    account = make_account(owner=owner, country=country)
    plan = make_plan(trial_days=14)
    local = start_trial(account, plan, by=By.customer(owner), at=noon.now())
    noon.turn_to(local.trial_end - left * DAY)
    browser = Client()
    browser.force_login(owner)
    page = browser.get(reverse("pay", args=[account.public_id, plan.code])).content.decode()
    paid = make_subscription(account, plan)
    started = Notice.objects.get(kind="subscription_started", subject=f"subscription:{paid.public_id}")

    assert paid.trial_end == at_provider(paid)
    assert "told at least 7 days ahead" in page
    assert day(paid.trial_end) in page
    assert "visa" in started.rule_ids
    assert paid.trial_end - started.sent_at >= 7 * DAY
    assert paid.trial_end - noon.now() < 8.1 * DAY
    assert TrialExtension.objects.get().ends_before == local.trial_end
    assert f"it would have ended on {day(local.trial_end)}" in " ".join(mail.outbox[-1].body.split())
    if left == 1:
        live(noon, paid.trial_end + dt.timedelta(hours=3))
        assert first_charge() - started.sent_at >= 7 * DAY


def test_the_mail_of_the_start_that_fails_moves_the_charge_that_only_it_announced(noon):
    account = make_account()
    plan = make_plan(trial_days=14)
    local = start_trial(account, plan, by=By.customer(owner_of(account)), at=noon.now())
    noon.turn_to(local.trial_end - DAY)
    paid = make_subscription(account, plan)
    notice = Notice.objects.filter(kind="subscription_started", subject=f"subscription:{paid.public_id}")
    notice.update(status="owed", sent_at=None, next_attempt_at=noon.now())
    before = paid.trial_end
    noon.turn_to(notice.get().window_to + DAY)
    work_off()
    paid.refresh_from_db()

    assert notice.get().status == "failed"
    assert paid.trial_end == at_provider(paid) > before
    assert paid.trial_end - Notice.objects.get(kind="trial_extended").sent_at >= 7 * DAY


def test_a_card_added_in_good_time_moves_nothing(noon):
    account = make_account()
    plan = make_plan(trial_days=14)
    local = start_trial(account, plan, by=By.customer(owner_of(account)), at=noon.now())
    noon.turn_to(local.trial_end - 8.1 * DAY)
    paid = make_subscription(account, plan)

    assert abs(paid.trial_end - local.trial_end) < dt.timedelta(seconds=1)
    assert not TrialExtension.objects.exists()


def test_a_mail_about_the_new_end_that_fails_moves_the_charge_that_only_it_announced(noon):
    account = make_account()
    trial = make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    noon.turn_to(trial.trial_end - DAY)
    extend_trial_yourself(account, user=owner_of(account), at=noon.now())
    Notice.objects.filter(kind="trial_extended").update(attempts=99, window_to=noon.now() + DAY)
    run_worker_without_mail(noon)
    trial.refresh_from_db()
    before = trial.trial_end
    noon.turn_to(noon.now() + 2 * DAY)
    work_off()
    trial.refresh_from_db()

    assert trial.trial_end == at_provider(trial) > before
    told = Notice.objects.get(kind="trial_extended", status="sent")
    assert trial.trial_end - told.sent_at >= 7 * DAY


def run_worker_without_mail(clock):
    held = Notice.objects.filter(kind="trial_extended", status="owed")
    held.update(next_attempt_at=clock.now() + DAY)
    run_worker()
