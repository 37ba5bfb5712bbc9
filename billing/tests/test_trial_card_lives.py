"""A trial with a card in every zone, at month ends, on 29 February, across clock changes, with beat off.

Undisturbed each day's history and mails are those listed, and nothing else. With beat off it is charged
once all the same, and never without a reminder a week before: else the charge comes later.
"""

import datetime as dt

import pytest

from accounts.audit import run_audit
from accounts.models import Event, Notice
from accounts.tests.worlds import make_account
from billing import inbox, outgoing
from billing.models import Payment
from billing.tests import grid
from billing.tests.grid import DAY
from billing.tests.trial_worlds import diary, next_moment
from billing.tests.worlds import (
    deliver_webhooks,
    let_the_provider_follow,
    make_plan,
    make_subscription,
    run_worker,
)
from billing.trial_sweep import run_trials

pytestmark = [pytest.mark.django_db, pytest.mark.once]

#: The provider charges an hour after the end; the worker hears of it a little later.
CHARGED = dt.timedelta(minutes=65)
PAID = ["invoice.paid", "payment.received", "subscription.active", "account.active", "mail payment_received"]
#: Beat is off from so many days before the end, for so long.
OUTAGES = ((0, 0), (10.5, 1), (0, 0), (6.5, 1), (10.5, 3), (13, 12), (0, 0), (6.5, 3), (13, 3))
CELLS = grid.cells(["converts"], OUTAGES)


def work(at, beats):
    """The doorbell always rings; beat rings so often, or not at all."""
    let_the_provider_follow(at)
    for _ in range(3):
        deliver_webhooks()
        outgoing.send_due_instructions(at=at)
        inbox.apply_due_events(at=at)
    for _ in range(beats):
        run_trials(at=at)
        run_worker(at=at)


def live(clock, trial, outage, beats):
    """Until a day after the first charge: whenever something is due, and every day at the least."""
    start, length = outage
    ends_at = trial.trial_end
    off = (ends_at - start * DAY, ends_at - (start - length) * DAY)
    for _ in range(150):
        if Payment.objects.exists():
            work(clock.now() + DAY, beats)
            return
        trial.refresh_from_db()
        is_off = off[0] <= clock.now() < off[1]
        due = off[1] if is_off else next_moment(clock.now())
        ahead = [due, clock.now() + DAY, trial.trial_end + CHARGED]
        clock.turn_to(min(moment for moment in ahead if moment and moment > clock.now()))
        work(clock.now(), 0 if off[0] <= clock.now() < off[1] else beats)
    raise AssertionError("it is never charged")


@pytest.mark.parametrize(("name", "zone", "date", "time", "outage", "beats"), CELLS, ids=str)
def test_it_converts_once_and_never_untold(stripe_account, clock, name, zone, date, time, outage, beats):
    ends_at = grid.moment_on(date, zone, time)
    clock.turn_to(ends_at - 14 * DAY)
    account = make_account(time_zone=zone)
    trial = make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    ends_at = trial.trial_end
    live(clock, trial, outage, beats)
    account.refresh_from_db()
    trial.refresh_from_db()

    assert (account.state, account.access_ends_at) == ("active", None)
    assert was_told(trial, Payment.objects.get().paid_at - 7 * DAY)
    assert not Event.objects.filter(kind="account.frozen").exists()
    if not outage[1]:
        check_undisturbed(account, ends_at)
    assert [f for f in run_audit(at=clock.now()) if f.count and f.invariant.code[0] in "TM"] == []


def was_told(trial, by_then):
    """Whether a reminder of the very end at which it was charged had left, or the mail of its move."""
    sent = Notice.objects.filter(status="sent", sent_at__lte=by_then)
    reminded = sent.filter(kind="trial_ends", period__endswith=f"{trial.trial_end:%Y%m%d%H%M}")
    return reminded.exists() or sent.filter(kind="trial_extended").exists()


def check_undisturbed(account, ends_at):
    """Two reminders, then the charge on the day of the end; before it nothing but the start."""
    lines = [line for line in diary(account, since=ends_at) if not line[1].startswith("instruction.")]
    start = [line for line in lines if line[0] <= -13]
    charged = [(day, text) for day, text in lines if day >= 0]

    assert lines[len(start) : -len(charged)] == [
        (-10, "mail trial_ends remind_first"),
        (-6, "mail trial_ends remind_again"),
    ]
    assert [text for _, text in start if text.startswith(("mail", "account"))] == [
        "account.trialing",
        "mail subscription_started",
    ]
    assert sorted(text for _, text in charged) == sorted(PAID)
    assert {day for day, _ in charged} <= {0, 1}  # the charge comes within the hour, perhaps after midnight
