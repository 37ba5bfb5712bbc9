"""What beat and the doorbell start; the work is found in the database."""

import datetime as dt

from celery import shared_task
from django.utils.translation import gettext_lazy as _

from accounts import clock
from accounts.jobs import HOUR, MINUTE, Outcome, Touches, beat_job, jobs, start_job
from billing import (
    backfill,
    card_expiry,
    cards,
    dunning_sweep,
    inbox,
    mirror,
    outgoing,
    price_sweep,
    reconciliation,
    sync,
    trial_sweep,
)
from billing.models import Customer, DunningCase, Incoming, Instruction, TrialStep

DAY = dt.timedelta(days=1)


@beat_job(
    "billing.send_instructions",
    title=_("Tell Stripe what it has to do"),
    every=MINUTE,
    due=lambda at: Instruction.objects.due(at),
    touches=Touches.MONEY,
    is_rung=True,
)
def send_instructions(*, at: dt.datetime) -> int:
    """Send what the provider has to be told."""
    return outgoing.send_due_instructions(at=at)


@beat_job(
    "billing.apply_events",
    title=_("Apply what Stripe told us"),
    every=MINUTE,
    due=lambda at: Incoming.objects.due(at),
    is_rung=True,
)
def apply_events(*, at: dt.datetime) -> int:
    """Apply what the provider told us, then let the mirror follow."""
    done = inbox.apply_due_events(at=at)
    mirror.follow_due(at=at)
    return done


@shared_task(name="billing.refresh_customer")
def refresh_customer(customer_pk: int, setup_intent: str = "") -> None:
    """Read one customer again, the card form included: someone came back from it and waits."""
    customer = Customer.objects.select_related("account").get(pk=customer_pk)
    at = clock.now()
    if setup_intent:
        cards.adopt_saved_card(customer, setup_intent, at=at)
        start_job(jobs()["billing.send_instructions"], at=at)
    sync.sync_everything(customer, at=at)


@beat_job(backfill.JOB, title=_("Fetch events of Stripe that never came"), every=HOUR)
def fetch_missed_events(*, at: dt.datetime) -> int:
    """Fill gaps in the events (hourly)."""
    return backfill.fetch_missed_events(at=at)


@beat_job(
    "billing.reconcile",
    title=_("Compare ours with Stripe’s"),
    every=HOUR,
    due=lambda at: reconciliation.due_customers(at),
)
def reconcile(*, at: dt.datetime) -> int:
    """Compare live subscriptions and moving refunds with the provider (hourly)."""
    return reconciliation.reconcile_due(at=at)


@beat_job(
    "billing.run_trials",
    title=_("Take the steps of trials that are due"),
    every=MINUTE,
    due=lambda at: TrialStep.objects.due(at),
)
def run_trials(*, at: dt.datetime) -> Outcome:
    """Reminders, ends, freezes and thank-yous of trials, each on its moment."""
    return trial_sweep.run_trials(at=at)


@beat_job(
    "billing.run_dunning",
    title=_("Follow up unpaid invoices"),
    every=MINUTE,
    due=lambda at: DunningCase.objects.due(at),
    touches=Touches.MONEY,
)
def run_dunning(*, at: dt.datetime) -> int:
    """Take the steps of unpaid invoices that have come: attempts, the end of access, the end."""
    return dunning_sweep.run_dunning(at=at)


@beat_job(
    "billing.owe_card_notices",
    title=_("Say that a card expires before the next charge"),
    every=DAY,
    due=lambda at: card_expiry.expiring_before_renewal(at),
)
def owe_card_notices(*, at: dt.datetime) -> int:
    """Once a day: cards that expire before the next renewal, 30 and 7 days before it."""
    return card_expiry.owe_card_notices(at=at)


@beat_job(
    "billing.run_prices",
    title=_("Announce new prices and let them begin"),
    every=HOUR,
    due=lambda at: price_sweep.due_prices(at),
    touches=Touches.MONEY,
)
def run_prices(*, at: dt.datetime) -> Outcome:
    """Plan, tell the provider of, and close what subscriptions will be charged (hourly)."""
    return price_sweep.run_prices(at=at)
