"""Leaving while an invoice is unpaid, and being ended because it never was: by the clock, nothing extra."""

import datetime as dt

import pytest

from accounts import clock as product_clock
from accounts.events import By
from accounts.models import Notice
from accounts.tests.worlds import NOON, make_account, owner_of
from billing.invoices import as_paid_invoice
from billing.models import DunningAttempt, Invoice, Subscription
from billing.refund_rules import used_seconds
from billing.tests.chasing import DAY, beat, failing_account, pass_days, the_case, the_invoice
from billing.tests.test_chasing import paid_by
from offboarding.completions import complete_due_cancellations
from offboarding.declarations import declare_cancellation
from offboarding.facts import FreeTime, given_within
from offboarding.models import Cancellation, Closure
from offboarding.withdrawals import withdraw_cancellation

# The schedule and the provider are proven here: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]

FAILED = ["dunning.attempted", "payment.failed", "mail payment_failed"]
LEAVING = ["cancellation.received", "dunning.left", "cancellation.scheduled", "mail leaving_received"]
CHASING = ("payment_failed", "block_soon", "access_blocked", "dunning_end_soon", "dunning_ended")


@pytest.fixture
def noon(stripe_account, clock):
    clock.turn_to(NOON)
    return clock


def declare(account, ending="stop_renewing"):
    owner, at = owner_of(account), product_clock.now()
    declare_cancellation(account, ending, by=By.customer(owner), at=at, user=owner)


def complete(account):
    complete_due_cancellations(at=product_clock.now())


@pytest.mark.parametrize(
    ("choice", "status", "owed"), [("void", "void", 0), ("used_part", "open", 378), ("full", "open", 2900)]
)
def test_a_declaration_stops_attempts_and_mails_and_the_terms_decide_the_rest(noon, choice, status, owed):
    account = failing_account(noon, open_invoice=choice)
    until = the_case(account).block_at

    days = pass_days(noon, account, 14, then={4: declare, 8: complete})

    assert sorted(days[4]) == sorted(LEAVING)
    assert set(days) == {0, 3, 4, 8}
    assert [text for text in days[8] if "dunning" in text or "payment" in text] == []
    assert DunningAttempt.objects.count() == 1
    assert Notice.objects.filter(kind__in=CHASING, status="sent").count() == 2  # both from before
    left = Cancellation.objects.get()
    assert (left.status, left.effective_at) == ("completed", until)
    invoice = the_invoice(account)
    assert (invoice.status, invoice.amount_remaining if invoice.status == "open" else 0) == (status, owed)


def test_whoever_stays_after_all_finds_the_dates_as_they_were(noon):
    account = failing_account(noon)
    before = the_case(account)

    def keep(account):
        left = Cancellation.objects.get()
        withdraw_cancellation(left, by=By.customer(owner_of(account)), at=product_clock.now())

    days = pass_days(noon, account, 8, then={4: declare, 5: keep})

    assert sorted(days[5]) == sorted(["cancellation.withdrawn", "dunning.resumed", "mail leaving_withdrawn"])
    assert days[6] == FAILED
    assert days[7] == ["mail block_soon", "account.frozen", "mail access_blocked"]
    case = the_case(account)
    assert (case.status, case.block_at, case.end_at) == ("open", before.block_at, before.end_at)


@pytest.mark.parametrize(
    ("day", "used"),
    [
        (39, dt.timedelta()),  # paid on day 25 after 18 days without access: the last day of the full refund
        (40, dt.timedelta(days=22, hours=-2)),
        (48, dt.timedelta(days=30, hours=-2)),  # the last hours, long after the end on the invoice
    ],
)
def test_whoever_paid_late_and_leaves_gets_back_what_is_left_of_the_days_that_were_paid(noon, day, used):
    """Days without access are never used time, and no more comes back than was paid."""
    account = failing_account(noon)
    then = {25: lambda account: paid_by("page", account), day: lambda account: declare(account, "stop_now")}
    pass_days(noon, account, day, then=then)

    quote = Cancellation.objects.get().quote
    whole = dt.timedelta(days=30)
    assert abs(quote.amount - 2900 * (1 - used / whole)) <= 1
    assert quote.amount <= the_invoice(account).amount_paid == 2900


@pytest.mark.parametrize(
    ("at", "used"), [(26, 8), (30, 12), (37, 12), (44, 12), (50, 18), (62, 30), (70, 30)]
)
def test_free_days_after_days_without_access_add_up(at, used):
    """Off from day 7 to 25 of 30, then fourteen free days from day 30 on: the paid days end on day 62."""
    account = make_account()
    invoice = Invoice.objects.create(
        account=account, provider_id="in_1", status="paid", paid_at=NOON, created_at=NOON, synced_at=NOON
    )
    line = invoice.lines.create(provider_id="il_1", net=2900, starts_at=NOON, ends_at=NOON + 30 * DAY)
    off = FreeTime(NOON + 7 * DAY, 18 * 86400, until=NOON + 25 * DAY)
    free = FreeTime(NOON + 30 * DAY, 14 * 86400, until=NOON + 30 * DAY)

    gift = given_within(invoice, [free, off] if at >= 30 else [off])

    since = int(gift.since.timestamp())
    seconds = used_seconds(
        as_paid_invoice(invoice, payment="", paid_cash=0, refunded=0, disputed=0).lines[0],
        int((line.starts_at + at * DAY).timestamp()),
        extension_seconds=gift.seconds,
        extension_from=since,
    )
    assert seconds == used * 86400


@pytest.mark.parametrize(("choice", "owed"), [("void", 0), ("used_part", 716), ("full", 2900)])
def test_ended_by_the_terms_it_has_one_mail_and_the_data_a_date(noon, choice, owed):
    account = failing_account(noon, dunning_end="cancel", open_invoice=choice)

    days = pass_days(noon, account, 12, then={12: complete})

    mails = [text for number in (11, 12) for text in days.get(number, []) if text.startswith("mail")]
    assert mails == ["mail dunning_end_soon", "mail leaving_received"]
    beat()
    account.refresh_from_db()
    assert account.state == "closed"
    assert Cancellation.objects.get().via == "unpaid"
    assert Closure.objects.get().status == "scheduled"
    assert not Subscription.objects.live().exists()
    assert sum(i.amount_remaining for i in Invoice.objects.unpaid()) == owed
    assert the_case(account).status == "ended"
