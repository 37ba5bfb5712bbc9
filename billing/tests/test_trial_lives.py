"""Lives of a trial in every zone, at month ends, on 29 February, across clock changes, with beat off.

Undisturbed each day's history and mails are those listed, and nothing else. With beat off for days a life
ends in the same, nothing comes earlier, nothing twice, never two mails on one day.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pytest

from accounts import clock as product_clock
from accounts.audit import run_audit
from accounts.events import By
from accounts.holds import place_hold
from accounts.models import Notice
from accounts.notices import send_due_notices
from accounts.tests.worlds import make_account, make_terms, owner_of
from billing.models import Subscription
from billing.periods import add_local_days, local_date
from billing.plan_choice import take_plan
from billing.subscriptions import start_trial
from billing.tests import grid
from billing.tests.trial_worlds import DAY, MINUTE, diary, live_on, make_free_plan, make_local_plan
from billing.tests.worlds import make_plan, make_subscription
from billing.trials import extend_trial_yourself

pytestmark = [pytest.mark.django_db, pytest.mark.once]

Line = tuple[int, str]
START = [
    (-14, "subscription.trialing"),
    (-14, "account.trialing"),
    (-14, "mail subscription_started"),
]
REMINDED = [(-10, "mail trial_ends remind_first"), (-6, "mail trial_ends remind_again")]


@dataclass(frozen=True)
class Ends:
    """When a trial ends, and the days after it on which something is said or done.

    Days 0, 3 and 8, each on its working day; what ends late in the evening is spoken of a day later.
    """

    weekday: int
    is_evening: bool

    def working(self, day: int) -> int:
        weekday = (self.weekday + day) % 7
        return day + (7 - weekday if weekday >= 5 else 0)

    @property
    def told(self) -> list[int]:
        days: list[int] = []
        for number in (0, 3, 8):
            earliest = number + self.is_evening
            days.append(self.working(max(earliest, days[-1] + 1) if days else earliest))
        return days

    @property
    def off(self) -> int:
        """The first day without access: after eleven days, and three after the last mail."""
        return max(11, self.told[-1] + 3) + 1

    def after(self, days: int) -> "Ends":
        """The end of a trial that ends so many days later."""
        return Ends((self.weekday + days) % 7, self.is_evening)


def chased(end: Ends, until: str = "off") -> list[Line]:
    """What follows an end that nobody does anything about."""
    lines = [(0, "account.grace")]
    lines += [(day, f"mail trial_over after_{n}") for day, n in zip(end.told, (0, 3, 8), strict=True)]
    if until == "told":
        return lines
    bye = end.working(end.off)
    return [
        *lines,
        (end.off, "account.frozen"),
        (end.off, "subscription.canceled"),
        (bye, "data.closing"),
        (bye, "mail trial_farewell"),
    ]


def later(lines: list[Line], days: int) -> list[Line]:
    return [(day + days, text) for day, text in lines]


def before(lines: list[Line], day: int) -> list[Line]:
    """What has come by noon of this day and will not be undone by what somebody does then."""
    return [line for line in lines if line[0] <= day]


@dataclass(frozen=True)
class Life:
    """What somebody does, so many days after the end, and what the days then list."""

    expected: Callable[[Ends], list[Line]]
    then: Callable[[Subscription, dt.datetime], None] | None = None
    on: Callable[[Ends], int] = lambda end: 0
    terms: dict[str, object] = field(default_factory=dict)
    #: How the account ends, and for how many days after the end it is watched.
    state: str = "frozen"
    watched: int = 40


def extend(trial, at):
    extend_trial_yourself(trial.account, user=owner_of(trial.account), at=at)


def hold(trial, at):
    until = add_local_days(at, 7, trial.account.time_zone)
    place_hold(trial.account, reason="conversation", until=until, by=By("staff"), at=at)


def choose_free(trial, at):
    plan = make_free_plan()
    take_plan(trial.account, plan, by=By.customer(owner_of(trial.account)), at=at)


def pay(trial, at):
    product_clock.turn_to(at)
    make_subscription(trial.account, trial.plan)


def ignored(end):
    return [*START, *REMINDED, *chased(end)]


def ignored_without_grace(end):
    first, second, third = end.told
    bye = end.working(third + 3)
    return [
        *START,
        *REMINDED,
        (0, "account.frozen"),
        (0, "subscription.canceled"),
        (first, "mail trial_over after_0"),
        (second, "mail trial_over after_3"),
        (third, "mail trial_over after_8"),
        (bye, "data.closing"),
        (bye, "mail trial_farewell"),
    ]


def onto_the_free_plan(end):
    return [
        *START,
        *REMINDED,
        *chased(end, "told"),
        (end.off, "subscription.canceled"),
        (end.off, "subscription.active"),
        (end.off, "account.active"),
        (end.working(end.off), "mail trial_farewell"),
    ]


def extended_in_time(end):
    return [
        *START,
        *REMINDED,
        (-1, "trial.extended"),
        (-1, "mail trial_extended"),
        (1, "mail trial_ends remind_again"),
        *later(chased(end), 7),
    ]


def extended_late(end, day):
    """Seven days from the day on which it was extended; then ignored again."""
    again = ["subscription.trialing", "data.closing_called_off"] if day >= end.off else []
    return [
        *START,
        *REMINDED,
        *before(chased(end), day),
        (day, "trial.extended"),
        *((day, text) for text in again),
        (day, "account.trialing"),
        (day, "mail trial_extended"),
        (day + 1, "mail trial_ends remind_again"),
        *later(chased(at_noon(end).after(day + 7)), day + 7),
    ]


def at_noon(end):
    """What somebody does at noon ends at noon."""
    return Ends(end.weekday, is_evening=False)


def held_in_time(end):
    return [
        *START,
        *REMINDED,
        (-2, "hold.placed"),
        (5, "mail trial_ends remind_again"),
        *later(chased(end), 7),
    ]


def held_in_grace(end):
    """Held on the last day of access: it ends, and all after it comes, seven days later."""
    lines = chased(end)
    last = end.off - 1
    moved = later([line for line in lines if line[0] > last], 7)
    return [*START, *REMINDED, *before(lines, last), (last, "hold.placed"), *moved]


def free_plan_chosen(end):
    return [
        *START,
        *REMINDED,
        *before(chased(end), 5),
        (5, "subscription.canceled"),
        (5, "subscription.active"),
        (5, "account.active"),
    ]


PAID = (
    "subscription.incomplete",
    "invoice.paid",
    "payment.received",
    "subscription.active",
    "account.active",
    "mail payment_received",
)


def paid_late(end, day):
    """All of it gives way to what is paid: nothing more is said, and no data has an end."""
    called_off = ["data.closing_called_off"] if day >= end.off else []
    return [*START, *REMINDED, *before(chased(end), day), *((day, text) for text in (*PAID, *called_off))]


def between_mails(end):
    """The day after the second mail: on the day of a mail it is a matter of hours which comes first."""
    return end.told[1] + 1


def in_the_end(end):
    """A day on which it is frozen and everything has been said."""
    return end.working(end.off) + 2


LIVES = {
    "ignored": Life(ignored),
    "ignored, no grace": Life(ignored_without_grace, terms={"trial_grace_days": 0}),
    "ignored, free plan": Life(onto_the_free_plan, terms={"trial_end_plan": "free_plan"}, state="active"),
    "extended in time": Life(extended_in_time, extend, lambda end: -1, watched=60),
    "extended in grace": Life(
        lambda end: extended_late(end, between_mails(end)), extend, between_mails, watched=60
    ),
    "extended when frozen": Life(
        lambda end: extended_late(end, in_the_end(end)), extend, in_the_end, watched=70
    ),
    "held in time": Life(held_in_time, hold, lambda end: -2, watched=60),
    "held in grace": Life(held_in_grace, hold, lambda end: end.off - 1, watched=60),
    "the free plan chosen": Life(free_plan_chosen, choose_free, lambda end: 5, state="active"),
    "paid late, in grace": Life(
        lambda end: paid_late(end, 5), pay, lambda end: 5, state="active", watched=25
    ),
    "paid late, when frozen": Life(
        lambda end: paid_late(end, in_the_end(end)), pay, in_the_end, state="active", watched=25
    ),
}
#: Beat is off from so many days after the end, for so long.
OUTAGES = ((0, 0), (-6.5, 1), (-0.5, 3), (0, 0), (-0.5, 14), (7.5, 3), (-7, 14), (0, 0), (-0.5, 1), (10, 14))
CELLS = grid.cells(list(LIVES), OUTAGES)


def noon_of(day, zone):
    return dt.datetime.combine(day, dt.time(12), ZoneInfo(zone)).astimezone(dt.UTC)


def live(name, zone, ends_at, outage, beats):
    """Live it to the end; returns the trial and the diary."""
    life, (start, length) = LIVES[name], outage
    off = (ends_at + start * DAY, ends_at + (start + length) * DAY) if length else None
    if name == "ignored, free plan":
        make_free_plan()
    account = make_account(make_terms(9, **life.terms), time_zone=zone)
    plan = make_plan(trial_days=14) if life.then is pay else make_local_plan(14)
    began = add_local_days(ends_at, -14, zone)
    trial = start_trial(account, plan, by=By.customer(owner_of(account)), at=began)
    if life.then:
        day = local_date(ends_at, zone) + life.on(ends_of(ends_at, zone)) * DAY
        now = noon_of(day, zone)
        live_on(now - MINUTE, since=began, off=off, beats=beats)
        life.then(Subscription.objects.select_related("plan", "account__terms").get(pk=trial.pk), now)
        send_due_notices(at=now)
        began = now + MINUTE
    live_on(ends_at + life.watched * DAY, since=began, off=off, beats=beats)
    return Subscription.objects.select_related("account__terms").get(pk=trial.pk), off


def ends_of(ends_at, zone):
    local = ends_at.astimezone(ZoneInfo(zone))
    return Ends(local.weekday(), local.time() > dt.time(18))


@pytest.mark.parametrize(("name", "zone", "date", "time", "outage", "beats"), CELLS, ids=str)
def test_a_trial_ends_the_same_wherever_and_whenever_it_is_lived(
    name, zone, date, time, outage, beats, request
):
    if name.startswith("paid"):
        request.getfixturevalue("stripe_account")
    request.getfixturevalue("clock")
    ends_at = grid.moment_on(date, zone, time)
    trial, off = live(name, zone, ends_at, outage, beats)
    account, found = trial.account, lines_of(trial.account, ends_at)
    planned = LIVES[name].expected(ends_of(ends_at, zone))

    if off:
        check_disturbed(planned, found)
        assert (
            not Notice.objects.filter(kind__startswith="trial_", sent_at__gte=off[0], sent_at__lt=off[1])
            .exclude(kind="trial_extended")
            .exists()
        )
    else:
        assert sorted(found) == sorted(planned)
    assert account.state == LIVES[name].state
    assert account.access_ends_at == (trial.period_end if account.state == "frozen" else None)
    found = run_audit(at=ends_at + LIVES[name].watched * DAY)
    assert [f for f in found if f.count and f.invariant.code[0] in "TM"] == []


def lines_of(account, ends_at):
    """The diary, without what is said to the provider and heard from it."""
    return [line for line in diary(account, since=ends_at) if not line[1].startswith("instruction.")]


def check_disturbed(planned, found):
    """Nothing that is not in the undisturbed life, nothing before its day, never two mails on a day that do
    not answer what somebody did."""
    for text in {text for _, text in found}:
        days, told = days_of(text, found), days_of(text, planned)
        assert len(days) <= len(told), text
        assert all(day >= earliest for day, earliest in zip(days, told, strict=False)), text
    answers = ("mail payment_received", "mail trial_extended")
    mails = [day for day, text in found if text.startswith("mail ") and text not in answers]
    assert len(set(mails)) == len(mails)


def days_of(text, lines):
    return sorted(day for day, other in lines if other == text)
