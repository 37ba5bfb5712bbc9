"""What beat and the doorbell start; the work is found in the database."""

import datetime as dt

from celery import shared_task

from accounts import clock
from accounts.jobs import run_job
from billing import backfill, cards, inbox, mirror, outgoing, reconciliation, sync
from billing.models import Customer

MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


@shared_task(name="billing.send_instructions")
def send_instructions() -> int:
    """Send what the provider has to be told."""
    return outgoing.send_due_instructions(at=clock.now())


@shared_task(name="billing.apply_events")
def apply_events() -> int:
    """Apply what the provider told us, then let the mirror follow."""
    done = inbox.apply_due_events(at=clock.now())
    mirror.follow_due(at=clock.now())
    return done


@shared_task(name="billing.refresh_customer")
def refresh_customer(customer_pk: int, setup_intent: str = "") -> None:
    """Read one customer again, the card form included: someone came back from it and waits."""
    customer = Customer.objects.select_related("account").get(pk=customer_pk)
    at = clock.now()
    if setup_intent:
        cards.adopt_saved_card(customer, setup_intent, at=at)
        outgoing.send_due_instructions(at=at)
    sync.sync_everything(customer, at=at)


@shared_task(name="billing.reconcile")
def reconcile() -> int:
    """Compare live subscriptions and moving refunds with the provider; fill gaps in the events (hourly)."""
    run_job(backfill.JOB, HOUR, backfill.fetch_missed_events)
    return run_job("billing.reconcile", HOUR, reconciliation.reconcile_due)
