"""A year that renews: announced in time, only while it is so, and postponed where nobody was told."""

import datetime as dt

import pytest

from accounts.errors import WrongState
from accounts.events import SYSTEM, By
from accounts.models import Event, Notice
from accounts.notices import send_due_notices
from accounts.tests.worlds import NOON, make_account, make_terms
from billing.models import Instruction, Payment, Subscription
from billing.renewals import owe_renewal_notices, postpone_charge, times_moved
from billing.tests.trial_worlds import DAY, make_local_plan

pytestmark = pytest.mark.django_db

RENEWS = NOON + 60 * DAY


def yearly(*, renews=RENEWS, **columns):
    plan = make_local_plan(0, interval="year", amount=29000)
    return Subscription.objects.create(
        account=make_account(),
        plan=plan,
        provider_id=f"sub_{plan.pk}",
        status="active",
        started_at=renews - 365 * DAY,
        first_paid_at=renews - 365 * DAY,
        period_start=renews - 365 * DAY,
        period_end=renews,
        **columns,
    )


def told():
    rows = Notice.objects.filter(kind="renewal_ahead").order_by("window_from")
    return [(round((RENEWS - row.window_from) / DAY), row.status) for row in rows]


def test_a_year_is_announced_45_and_25_days_before_once():
    row = yearly()
    owe_renewal_notices(row, at=NOON)
    owe_renewal_notices(row, at=NOON + DAY)
    for days in (45, 25):
        send_due_notices(at=RENEWS - (days - 0.2) * DAY)

    assert told() == [(45, "sent"), (25, "sent")]
    assert Notice.objects.first().rule_ids


@pytest.mark.parametrize("change", [{"cancel_at": RENEWS}, {"period_end": RENEWS + 20 * DAY}])
def test_what_is_cancelled_or_moved_is_not_announced(change):
    row = yearly()
    owe_renewal_notices(row, at=NOON)
    Subscription.objects.update(**change)
    send_due_notices(at=RENEWS - 44.8 * DAY)

    assert told()[0] == (45, "dropped")


def test_notices_follow_a_date_that_moves_away_and_back():
    row = yearly()
    for days in (0, 20, 0):
        row.period_end = RENEWS + days * DAY
        owe_renewal_notices(row, at=NOON)
        owed = Notice.objects.filter(kind="renewal_ahead", status="owed").order_by("window_from")

        assert [round((row.period_end - n.window_from) / DAY) for n in owed] == [45, 25]


def test_a_renewal_that_nobody_was_told_of_is_postponed():
    row = yearly()
    owe_renewal_notices(row, at=NOON)
    send_due_notices(at=RENEWS - 10 * DAY)
    instruction = Instruction.objects.get()

    assert (45, "failed") in told()
    assert instruction.desired["trial_end"] == int((RENEWS + 7 * DAY).timestamp())
    assert Event.objects.get(kind="charge.postponed").facts["reason"] == "notice_missed"


def test_one_missed_reminder_of_two_postpones_nothing():
    row = yearly()
    owe_renewal_notices(row, at=NOON)
    Notice.objects.order_by("window_from").first().delete()
    owe_renewal_notices(row, at=RENEWS - 25 * DAY)
    send_due_notices(at=RENEWS - 25 * DAY)

    assert not Instruction.objects.exists()


@pytest.mark.parametrize(
    ("days", "by", "is_moved"), [(10, "staff", True), (31, "staff", False), (-1, "staff", False)]
)
def test_support_moves_a_charge_later_within_the_terms(days, by, is_moved):
    make_terms(charge_move_days=30)
    row = yearly()
    if not is_moved:
        with pytest.raises(WrongState):
            postpone_charge(row, RENEWS + days * DAY, by=By("staff"), at=NOON, reason="asked")
        return
    postpone_charge(row, RENEWS + days * DAY, by=By("staff"), at=NOON, reason="asked")

    assert Instruction.objects.get().desired == {
        "subscription": row.provider_id,
        "ends": "never",
        "trial_end": int((RENEWS + days * DAY).timestamp()),
        "only_later": True,
    }


def test_a_charge_that_has_begun_or_was_cancelled_is_not_moved():
    for row in (yearly(renews=NOON - DAY), yearly(cancel_at=RENEWS)):
        with pytest.raises(WrongState):
            postpone_charge(row, RENEWS + DAY, by=SYSTEM, at=NOON, reason="asked")


def test_a_renewal_of_which_nobody_can_be_told_is_moved_twice_and_then_given_up():
    row = yearly()
    for _ in range(4):
        renews = Subscription.objects.get().period_end
        owe_renewal_notices(
            Subscription.objects.select_related("plan", "account").get(), at=renews - 44 * DAY
        )
        send_due_notices(at=renews - 10 * DAY)
        told = Instruction.objects.latest("pk").desired
        Subscription.objects.update(period_end=dt.datetime.fromtimestamp(told["trial_end"], dt.UTC))

    events = Event.objects.filter(subject=f"subscription:{row.public_id}").order_by("seq")
    assert [event.kind for event in events] == ["charge.postponed", "charge.postponed", "charge.given_up"]
    assert told["ends"] == "period_end"


def test_once_it_was_paid_it_may_be_moved_again():
    row = yearly()
    owe_renewal_notices(row, at=RENEWS - 44 * DAY)
    for _ in range(2):
        postpone_charge(row, row.period_end + DAY, by=SYSTEM, at=NOON, reason="notice_missed")
    assert times_moved(row) == 2
    Payment.objects.create(
        account=row.account,
        provider_id="pi_1",
        charge_id="ch_1",
        amount=1,
        currency="EUR",
        paid_at=NOON + DAY,
    )

    assert times_moved(row) == 0
