"""Trials without card, which need no provider: begun, lived through, and read back day by day."""

import datetime as dt
from itertools import count

from django.db.models import Min

from accounts.events import By
from accounts.models import Account, Event, Notice
from accounts.notices import send_due_notices
from accounts.tests.worlds import make_account, owner_of
from billing.models import Plan, Subscription, TrialRequest, TrialStep
from billing.periods import local_date
from billing.subscriptions import start_trial
from billing.trial_sweep import run_trials

DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)
#: A Monday, ten in the morning in Madrid; a trial of 14 days from here ends on a Monday.
MONDAY = dt.datetime(2026, 6, 1, 8, tzinfo=dt.UTC)

_number = count(1)


def make_local_plan(days: int = 14, **columns) -> Plan:
    """A paid plan with a trial that needs no card; nobody ever asks the provider for it."""
    number = next(_number)
    defaults = {
        "name_en": "Solo",
        "name_es": "Individual",
        "amount": 1200,
        "currency": "EUR",
        "provider_price": f"price_{number}",
    }
    return Plan.objects.create(code=f"trial-{number}", trial_days=days, **(defaults | columns))


def make_free_plan() -> Plan:
    return Plan.objects.create(code="free", amount=0, currency="EUR", name_en="Free", name_es="Gratis")


def make_trial(
    days: int = 14, *, at: dt.datetime = MONDAY, account: Account | None = None, **columns
) -> Subscription:
    """A trial begun at this moment; `columns` are the account's."""
    account = account or make_account(**columns)
    return start_trial(account, make_local_plan(days), by=By.customer(owner_of(account)), at=at)


def live_on(
    until: dt.datetime,
    *,
    since: dt.datetime = MONDAY,
    off: tuple[dt.datetime, dt.datetime] | None = None,
    beats: int = 1,
) -> None:
    """Let beat run whenever something is due, but not in the stretch `off`; `beats` ring each time."""
    now = since
    for _ in range(400):
        for _ in range(0 if off and off[0] <= now < off[1] else beats):
            run_trials(at=now)
            send_due_notices(at=now)
        moment = next_moment(now)
        if off and moment is not None and off[0] <= moment < off[1]:
            moment = off[1]
        if moment is None or moment > until:
            return
        now = moment
    raise AssertionError("it does not come to rest")


def next_moment(now: dt.datetime) -> dt.datetime | None:
    """When something is due next, a minute later, as beat rings once a minute."""
    found = [
        TrialStep.objects.pending().aggregate(at=Min("due_at"))["at"],
        Notice.objects.filter(status="owed").aggregate(at=Min("next_attempt_at"))["at"],
        TrialRequest.objects.open().aggregate(at=Min("answer_by"))["at"],
    ]
    ahead = [max(moment, now) for moment in found if moment is not None]
    return min(ahead) + MINUTE if ahead else None


def diary(account: Account, *, since: dt.datetime, only: str = "") -> list[tuple[int, str]]:
    """Each event and each mail that left, with its local day counted from `since`, in order.

    `only` is events or mails.
    """
    day_0 = local_date(since, account.time_zone)
    events = [
        (event.at, event.seq, event.kind)
        for event in Event.objects.filter(account_ref=account.public_id)
        if only != "mails"
    ]
    mails = [
        (notice.sent_at, 10_000 + notice.pk, name_of(notice))
        for notice in Notice.objects.filter(account=account, status="sent")
        if only != "events"
    ]
    lines = sorted([*events, *mails])
    return [((local_date(at, account.time_zone) - day_0).days, name) for at, _, name in lines]


def name_of(notice: Notice) -> str:
    """The mail's kind, and the step of the trial that it belongs to."""
    parts = notice.period.split(":")
    step = parts[1] if notice.kind in ("trial_ends", "trial_over") else ""
    return f"mail {notice.kind} {step}".strip()
