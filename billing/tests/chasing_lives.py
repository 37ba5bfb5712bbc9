"""A life of an unpaid invoice: what somebody does on which day, and what each day lists."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from accounts import clock as product_clock
from accounts.audit import run_audit
from accounts.models import Account
from billing.models import DunningCase, Invoice, Subscription
from billing.periods import add_local_days, end_of_date, local_date
from billing.stripe_api import calling
from billing.tests import grid
from billing.tests.chasing import Happening, Job, failing_account, pass_days, the_case
from billing.tests.worlds import TurnableClock, make_plan

FIRST = [
    "subscription.past_due",
    "invoice.open",
    "payment.failed",
    "dunning.opened",
    "account.grace",
    "mail payment_failed",
]
FAILED = ["dunning.attempted", "payment.failed", "mail payment_failed"]
LEFT_OUT = ["dunning.left_out", "mail payment_failed"]
BLOCKED = ["mail block_soon", "account.frozen", "mail access_blocked"]
ENDED = ["mail dunning_end_soon", "dunning.ended", "mail dunning_ended"]
PAID = [
    "invoice.paid",
    "payment.received",
    "subscription.active",
    "dunning.paid",
    "account.active",
    "mail payment_recovered",
]
#: Paid after days without access: the provider calls what lasts longer a trial.
PAID_LATE = [*PAID, "charge.days_given_back", "subscription.free_time"]
PAID_LATE.remove("subscription.active")
#: The steps that are never two on one day.
STEPS = ("dunning.attempted", "dunning.left_out", "account.frozen", "dunning.ended")
#: Days on which beat is off: none, one, three, fourteen.
OUTAGES: tuple[set[int], ...] = (
    set(),
    {7},
    {5, 6, 7},
    set(range(1, 15)),
    set(),
    {3},
    {9, 10, 11},
    {6},
    set(range(4, 18)),
    {11},
)
Days = dict[int, list[str]]


@dataclass(frozen=True)
class Life:
    """What somebody does at noon of which day, what each day then lists, and how it ends."""

    expected: Days
    then: dict[int, Happening] = field(default_factory=dict)
    decline: str = "insufficient_funds"
    card: str = ""
    terms: dict[str, object] = field(default_factory=dict)
    #: How case, account and invoice end, and the last day of access that is told.
    status: str = "ended"
    state: str = "frozen"
    invoice: str = "open"
    block_day: int = 7
    #: Whether a subscription is left.
    stays: bool = True
    #: By how many days the next charge comes later, and how many days are lived.
    later: int = 0
    days: int = 18


def live(
    clock: TurnableClock,
    life: Life,
    cell: tuple[Any, ...],
    also: Job | None = None,
) -> tuple[Account, Days]:
    """Live it in one cell of the grid; returns the account and what each day lists."""
    zone, date, time, off, beats = cell
    make_plan(amount=0)
    failed_at = grid.moment_on(date, zone, time)
    account = failing_account(
        clock, life.decline, card=life.card, zone=zone, failed_at=failed_at, **life.terms
    )
    last = max(life.days, *off) + 4 if off else life.days
    days = pass_days(clock, account, last, off=off, beats=beats, then=life.then, also=also)
    account.refresh_from_db()
    return account, days


def check_life(life: Life, account: Account, days: Days, off: set[int]) -> DunningCase:
    """Undisturbed each day is as listed; with beat off it ends in the same all the same."""
    case = the_case(account)
    if off:
        life = as_lived(life, case, days)
        check_disturbed(life, days)
    else:
        assert in_order(days) == in_order(life.expected), in_order(days)
    assert (case.status, account.state) == (life.status, life.state)
    assert Invoice.objects.get(pk=case.invoice_id).status == life.invoice
    assert Subscription.objects.live().filter(account=account).count() == life.stays
    day = local_date(case.opened_at, account.time_zone) + life.block_day * grid.DAY
    assert case.block_at == end_of_date(day, account.time_zone)
    if life.state == "active":
        assert account.access_ends_at is None
        check_next_charge(life, case)
    else:
        assert account.access_ends_at == case.block_at
    found = run_audit(at=product_clock.now())
    assert [f for f in found if f.count and f.invariant.code[0] in "TM"] == []
    return case


def as_lived(life: Life, case: DunningCase, days: Days) -> Life:
    """Where beat was off until access had ended, what is paid then is paid late: days are given back."""
    zone = ZoneInfo(case.account.time_zone)
    if life.later or case.status != "paid" or case.closed_at is None:
        return life
    back, closed = (one.astimezone(zone).replace(tzinfo=None) for one in (case.closed_at, case.block_at))
    if back - closed < grid.DAY:
        return life
    paid_on = occurrences(days)["dunning.paid"][0]
    late = [*life.expected.get(paid_on, []), "charge.days_given_back", "subscription.free_time"]
    return replace(life, expected=life.expected | {paid_on: late}, later=-(-(back - closed) // grid.DAY))


def check_next_charge(life: Life, case: DunningCase) -> None:
    """It comes when the period that was paid ends, or so many days later, here and at the provider."""
    live = Subscription.objects.live().exclude(provider_id=None).filter(account=case.account).first()
    if live is None:
        return
    assert case.invoice.period_end is not None
    until = add_local_days(case.invoice.period_end, life.later, case.account.time_zone)
    assert live.renews_at == until
    with calling() as stripe:
        there = stripe.v1.subscriptions.retrieve(str(live.provider_id))
    assert there["items"].data[0].current_period_end == until.timestamp()
    assert there.pause_collection is None


def in_order(days: Days) -> Days:
    """The lines of each day by name: what the provider tells of one moment comes in any order."""
    return {number: sorted(texts) for number, texts in days.items()}


def check_disturbed(life: Life, days: Days) -> None:
    """Nothing that is not in the undisturbed life, nothing before its day, never two steps on a day."""
    planned, found = occurrences(life.expected), occurrences(days)
    for text, on in found.items():
        assert len(on) <= len(planned.get(text, [])), text
        assert all(day >= told for day, told in zip(on, planned[text], strict=False)), text
    for texts in days.values():
        assert sum(text in STEPS for text in texts) <= 1
        mails = Counter(text for text in texts if text.startswith("mail "))
        assert max(mails.values(), default=0) <= 1
        assert mails.total() <= 2


def occurrences(days: Days) -> dict[str, list[int]]:
    """On which days each line stands."""
    found: dict[str, list[int]] = {}
    for number in sorted(days):
        for text in days[number]:
            found.setdefault(text, []).append(number)
    return found
