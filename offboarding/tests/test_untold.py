"""Nobody can be told of the first charge: it is never made, and what becomes of the subscription is told."""

import datetime as dt

import pytest
from django.core import mail
from django.test import Client

from accounts.events import By
from accounts.history import in_words
from accounts.models import Event, Notice
from accounts.suppression import lift_suppression, suppress_address
from accounts.tests.worlds import NOON, make_account, owner_of
from billing.models import TrialExtension
from billing.tests.worlds import advance, control, make_plan, make_subscription, run_worker
from billing.trial_sweep import run_trials
from offboarding.completions import complete_due_cancellations
from offboarding.models import Cancellation
from offboarding.receipts import receipt_path, undo_path
from offboarding.tests.situations import words
from offboarding.withdrawals import withdraw_cancellation

pytestmark = [pytest.mark.django_db, pytest.mark.once]

DAY = dt.timedelta(days=1)


@pytest.fixture
def noon(stripe_account, clock):
    clock.turn_to(NOON)
    return clock


def test_whoever_cannot_be_told_is_never_charged_and_the_trial_ends(noon):
    """Moved twice, then given up: told in the history and to staff; it can be kept until then."""
    account = make_account()
    owner = owner_of(account)
    trial = make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    suppress_address(owner.email, "bounced", at=noon.now())
    live(noon, 12)
    account.refresh_from_db()
    trial.refresh_from_db()

    extensions = TrialExtension.objects.filter(subscription=trial, actor="system")
    assert extensions.count() == 2
    events = Event.objects.filter(account_ref=account.public_id).values_list("kind", flat=True)
    assert [kind for kind in events if kind.startswith("charge.")] == ["charge.given_up"]
    assert Cancellation.objects.get().via == "untold"
    assert (trial.status, account.state, trial.first_paid_at) == ("canceled", "closed", None)
    assert control("GET", "/v1/charges")["data"] == []
    assert Notice.objects.filter(kind="trial_ends", status="failed").count() >= 3


def live(clock, times):
    """Every three days: beat, the provider, the mails and what those that are missed demand."""
    for _ in range(times):
        advance(clock, clock.now() + 3.3 * DAY)
        run_trials(at=clock.now())
        run_worker()
        run_worker()
        complete_due_cancellations(at=clock.now())


def test_it_is_kept_by_whoever_sees_it_in_time_and_the_mail_says_why(noon):
    account = make_account()
    owner = owner_of(account)
    trial = make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    suppress_address(owner.email, "bounced", at=noon.now())
    while not Cancellation.objects.exists():
        live(noon, 1)
    Notice.objects.filter(kind="leaving_received").update(
        status="owed", reason="", next_attempt_at=noon.now()
    )
    lift_suppression(account, owner.email, reason="repaired", by=By("staff"), at=noon.now())
    run_worker()
    said = " ".join(mail.outbox[-1].body.split())
    receipt = words(Client().get(receipt_path(Cancellation.objects.get())))
    received = in_words(Event.objects.get(kind="cancellation.received"))
    undo = words(Client().get(undo_path(Cancellation.objects.get())))
    withdraw_cancellation(Cancellation.objects.get(), by=By.customer(owner), at=noon.now())
    run_worker()
    trial.refresh_from_db()

    assert "none of our mails about the next charge has arrived" in said
    assert "None of our mails about the next charge arrived." in receipt
    assert "What was chosen" not in receipt
    assert received.startswith("It ends by itself.")
    assert "If you do, it goes on at €29.00 a month" in undo
    assert (trial.cancel_at, trial.status) == (None, "trialing")
