"""A card that is over before the next charge: said 30 and 7 days before it, once each, while it is so."""

import datetime as dt

import pytest
from django.core import mail

from accounts.models import Notice
from accounts.notices import send_due_notices
from accounts.tests.worlds import NOON, make_account
from billing.card_expiry import owe_card_notices
from billing.models import Customer, Subscription
from billing.tests.trial_worlds import DAY, make_local_plan

pytestmark = pytest.mark.django_db

#: The charge is on the first of a month, so the card of the month before is over by hours; 30 and 7 days
#: before it are working days, on which reminders leave.
RENEWS = dt.datetime(2027, 4, 1, 12, tzinfo=dt.UTC)
GOOD = {"card_expires": "2027-04"}


def renewing(expires="2027-03", *, status="active", renews=RENEWS):
    account = make_account()
    Customer.objects.create(
        account=account, provider_id=f"cus_{account.pk}", card_id="pm_1", card_brand="visa",
        card_last4="4242", card_expires=expires,
    )  # fmt: skip
    return Subscription.objects.create(
        account=account,
        plan=make_local_plan(0),
        provider_id=f"sub_{account.pk}",
        status=status,
        started_at=NOON,
        period_start=NOON,
        period_end=renews,
    )


def beat(*days):
    """The work and the mails so many days before the charge, each twice; what was told so far, and when."""
    for left in days:
        for _ in range(2):
            owe_card_notices(at=RENEWS - left * DAY)
            send_due_notices(at=RENEWS - left * DAY)
    sent = Notice.objects.filter(kind="card_expires", status="sent").order_by("sent_at")
    return [(notice.period.rpartition(":")[2], round((RENEWS - notice.sent_at) / DAY)) for notice in sent]


@pytest.mark.parametrize(
    ("days", "told"),
    [
        ((31,), []),
        ((30.01,), []),
        ((31, 30), [("30", 30)]),
        ((31, 30, 29, 15, 8), [("30", 30)]),
        ((30, 8, 7), [("30", 30), ("7", 7)]),
        ((30, 7, 6, 3, 1), [("30", 30), ("7", 7)]),
        ((13, 8), [("30", 13)]),
        ((3, 2), [("7", 3)]),
        ((0, -1, -20), []),
    ],
    ids=str,
)
def test_it_is_said_on_both_days_once_each_however_often_and_late(days, told):
    renewing()

    assert beat(*days) == told


def test_a_short_month_between_hides_nothing():
    renews = dt.datetime(2027, 3, 1, 12, tzinfo=dt.UTC)
    renewing("2027-02", renews=renews)

    assert [owe_card_notices(at=renews - days * DAY) for days in (31, 30, 29)] == [0, 1, 0]
    notice = Notice.objects.get()
    assert (notice.kind, notice.subject) == ("card_expires", "card:pm_1")


@pytest.mark.parametrize(
    "change",
    [
        lambda: Customer.objects.update(**GOOD),
        lambda: Customer.objects.update(card_id="pm_2", **GOOD),
        lambda: Customer.objects.update(card_id="", card_expires=""),
        lambda: Subscription.objects.update(cancel_at=RENEWS),
        lambda: Subscription.objects.update(status="canceled", ended_at=NOON),
        lambda: Subscription.objects.update(period_end=RENEWS + 31 * DAY),
    ],
    ids=["renewed", "replaced", "taken off", "cancelled", "ended", "moved"],
)
@pytest.mark.parametrize("owed_before", [False, True], ids=["before it is owed", "before it is sent"])
def test_whoever_has_seen_to_it_hears_nothing_more(change, owed_before):
    renewing()
    beat(30)
    if owed_before:
        owe_card_notices(at=RENEWS - 7 * DAY)
    change()

    assert beat(7, 6, 1) == [("30", 30)]
    assert not Notice.objects.filter(status="owed").exists()


@pytest.mark.parametrize(
    ("expires", "status", "is_told"),
    [
        ("2026-11", "active", True),
        ("2027-03", "trialing", True),
        ("2027-03", "past_due", True),
        ("2027-04", "active", False),
        ("2027-12", "active", False),
        ("", "active", False),
        ("2027-03", "incomplete", False),
    ],
)
def test_a_card_is_good_to_the_end_of_its_month(expires, status, is_told):
    renewing(expires, status=status)

    assert bool(beat(30)) == is_told


def test_the_second_mail_says_what_comes_of_it_on_which_day():
    renewing()
    beat(30, 7)

    assert [message.subject for message in mail.outbox] == [
        "Your card ending in 4242 expires before the next charge",
        "On 1 April 2027 your card ending in 4242 cannot be charged",
    ]
    assert "everything stays on for some days" in mail.outbox[1].body
