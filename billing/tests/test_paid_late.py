"""Paid after days without access: the next charge comes later by them, once, and everything says so."""

import datetime as dt

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import translation

from accounts import clock as product_clock
from accounts.calendar import mails_to_come
from accounts.events import SYSTEM, By
from accounts.history import read_history
from accounts.models import Account, Event, Member, Notice
from accounts.templatetags.terms_format import day
from accounts.tests.worlds import NOON, PASSWORD, make_account, make_user, owner_of
from billing import outgoing
from billing.checkout import pay_invoice
from billing.dunning_cases import close_case
from billing.dunning_late import days_come_back_until
from billing.models import Customer, DunningCase, Instruction, Invoice, Plan, Subscription
from billing.periods import add_local_days
from billing.renewals import push_charge
from billing.stripe_api import calling
from billing.sync import sync_everything
from billing.tests.chasing import bank_says, failing_account, pass_days, the_case, the_invoice
from billing.tests.trial_worlds import make_local_plan
from billing.tests.worlds import (
    advance,
    let_the_provider_follow,
    make_plan,
    make_subscription,
    run_worker,
)

# The rule and the provider are proven here: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]
DAY = dt.timedelta(days=1)


def pay(account):
    bank_says(account, None)
    pay_invoice(the_invoice(account), by=By.customer(owner_of(account)), at=product_clock.now())


def the_subscription(account):
    return Subscription.objects.select_related("plan", "account__terms").get(account=account)


def moved(account):
    return list(Event.objects.filter(account_ref=account.public_id, kind="charge.days_given_back"))


# --- At the provider -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("language", "said", "line", "soft"),
    [
        (
            "en",
            "renews on 14 May 2026. That is 3 days later than planned: for the time without access you pay",
            "The next charge was moved from 11 May 2026 to 14 May 2026, 3 days later, because access was",
            "3 days later than planned, because access was off.",
        ),
        (
            "es",
            "14 de mayo de 2026. Son 3 días más tarde de lo previsto: por el tiempo sin acceso no pagas nada",
            "El próximo cobro pasa del 11 de mayo de 2026 al 14 de mayo de 2026, 3 días más tarde",
            "3 días más tarde de lo previsto, porque el acceso estuvo cerrado.",
        ),
    ],
)
def test_mail_page_and_history_name_the_new_day_and_it_is_charged_then(
    noon, client, language, said, line, soft
):
    account = failing_account(noon, language=language)
    pass_days(noon, account, 10, then={10: pay})

    assert said in " ".join(mail.outbox[-1].body.split())
    client.login(email=owner_of(account).email, password=PASSWORD)
    page = client.get(reverse("billing_overview", args=[account.public_id])).content.decode()
    assert soft in page
    with translation.override(language):
        assert page.count(day(the_subscription(account).renews_at)) >= 2  # the plan, and what comes next
        lines, _more = read_history(account, reader=Member.objects.get(account=account))
    assert any(line in found.text for found in lines)

    renews_at = the_subscription(account).renews_at
    advance(noon, renews_at - DAY)
    assert Invoice.objects.filter(account=account).count() == 2
    advance(noon, renews_at + dt.timedelta(hours=2))
    assert the_invoice(account).status == "paid"
    assert the_invoice(account).period_start == renews_at
    assert (the_subscription(account).status, len(moved(account))) == ("active", 1)


@pytest.mark.parametrize(
    ("language", "said", "soft"),
    [
        (
            "en",
            "cost nothing: if you pay before 11 May 2026, the next charge comes later by as many days.",
            "Only if the unpaid invoice is paid before; then later by as many days as access was off.",
        ),
        (
            "es",
            "si pagas antes del 11 de mayo de 2026, el próximo cobro llega otros tantos días más tarde.",
            "Solo si antes se paga la factura pendiente; entonces, tantos días más tarde como haya estado",
        ),
    ],
)
def test_it_is_said_as_soon_as_access_is_off(noon, client, language, said, soft):
    account = failing_account(noon, language=language)
    pass_days(noon, account, 8)

    assert said in " ".join(mail.outbox[-1].body.split())
    client.login(email=owner_of(account).email, password=PASSWORD)
    assert soft in client.get(reverse("billing_overview", args=[account.public_id])).content.decode()


def test_it_is_not_promised_where_the_subscription_ends(noon):
    account = failing_account(noon)
    pass_days(noon, account, 8)
    case, at = the_case(account), product_clock.now()
    renews_at = the_subscription(account).renews_at
    assert days_come_back_until(case, at=at) == renews_at

    assert days_come_back_until(case, at=renews_at) is None
    Subscription.objects.filter(account=account).update(cancel_at=renews_at)
    assert days_come_back_until(the_case(account), at=at) is None


def test_it_is_promised_only_until_the_terms_end_the_subscription(noon):
    account = failing_account(noon, dunning_end="cancel")
    pass_days(noon, account, 8)
    case = the_case(account)

    until = days_come_back_until(case, at=product_clock.now())
    assert until == case.end_at < the_subscription(account).renews_at


def test_news_that_comes_twice_moves_it_once(noon):
    account = failing_account(noon)
    pass_days(noon, account, 10, then={10: pay})
    customer, renews_at = Customer.objects.get(account=account), the_subscription(account).renews_at

    for _ in range(2):
        sync_everything(customer, at=product_clock.now() + 5 * DAY)
        assert not close_case(the_case(account), "paid", by=SYSTEM, at=product_clock.now() + 5 * DAY)
        run_worker()

    assert the_subscription(account).renews_at == renews_at
    assert len(moved(account)) == 1
    assert Notice.objects.filter(account=account, kind="payment_recovered").count() == 1


def test_the_first_payment_after_a_trial_can_be_late_too(noon):
    account = make_account()
    trial = make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    bank_says(account, "insufficient_funds")
    advance(noon, trial.trial_end + dt.timedelta(hours=2))
    pass_days(noon, account, 9, then={9: pay})

    account.refresh_from_db()
    row = the_subscription(account)
    assert (account.state, account.access_ends_at) == ("active", None)
    assert row.renews_at == add_local_days(the_invoice(account).period_end, 2, account.time_zone)
    assert row.is_free_time
    assert not Notice.objects.filter(account=account, status="owed").exists()


def test_a_year_is_announced_for_the_new_day_only(noon):
    account = make_account(owner=make_user(password=PASSWORD))
    yearly = make_subscription(account, make_plan(amount=29000, interval="year"))
    bank_says(account, "insufficient_funds")
    advance(noon, yearly.period_end + dt.timedelta(hours=2))
    pass_days(noon, account, 10, then={10: pay})

    at, owner = product_clock.now(), Member.objects.get(account=account)
    renews_at = the_subscription(account).renews_at
    assert renews_at == add_local_days(the_invoice(account).period_end, 3, account.time_zone)
    ahead = [row.at for row in mails_to_come(account, owner, at) if row.kind == "renewal_ahead"]
    assert sorted((renews_at - moment).days for moment in ahead) == [25, 45]


def test_a_charge_that_came_before_it_could_be_moved_is_left_to_a_person(noon):
    """Moved after the renewal was charged, the next one would come weeks earlier."""
    account = make_account()
    row = make_subscription(account)
    push_charge(row, row.period_end + 2 * DAY, "charge.postponed", by=SYSTEM, at=noon.now(), reason="blocked")
    later = row.period_end + dt.timedelta(hours=3)
    noon.turn_to(later)
    let_the_provider_follow(later)
    outgoing.send_due_instructions(at=later)

    with calling() as stripe:
        there = stripe.v1.subscriptions.retrieve(row.provider_id)
    assert there["items"].data[0].current_period_end > (later + 25 * DAY).timestamp()
    said = Instruction.objects.latest("pk")
    assert (said.status, said.error) == ("dead", "charged_before_it_was_moved")


# --- Rows alone ----------------------------------------------------------------------------------

#: The period that is paid begins a month before; the one after it a month later.
START = NOON
ENDS = (NOON + 31 * DAY, NOON + 61 * DAY)


def blocked(*, renews=ENDS[0], block=7, **columns):
    """A frozen account with a subscription that the provider knows."""
    account = make_account(state="frozen", access_ends_at=START + block * DAY, time_zone="UTC")
    plan = Plan.objects.first() or make_local_plan(0)
    Subscription.objects.create(
        account=account,
        plan=plan,
        provider_id=f"sub_{account.pk}",
        status="past_due",
        started_at=START - 90 * DAY,
        period_start=START,
        period_end=renews,
        **columns,
    )
    return account


def unpaid(account, number=0, *, block=7):
    """The case of the invoice of one of the two periods, blocked on this day."""
    start = (START, *ENDS)[number]
    opened = {"currency": "EUR", "created_at": start, "synced_at": start, "amount_remaining": 2900}
    invoice = Invoice.objects.create(
        account=account,
        subscription=account.subscriptions.get(),
        provider_id=f"in_{account.pk}_{number}",
        status="open",
        period_start=start,
        period_end=ENDS[number],
        **opened,
    )
    return DunningCase.objects.create(
        account=account,
        invoice=invoice,
        terms=account.terms,
        opened_at=start,
        told_at=start,
        block_at=START + block * DAY,
        end_at=START + 90 * DAY,
        next_at=START + 90 * DAY,
        blocked_at=START + block * DAY,
    )


def close(case, on, status="paid"):
    columns = {"paid_at": START + on * DAY} if status == "paid" else {}
    invoice_status = {"written_off": "uncollectible"}.get(status, status)
    Invoice.objects.filter(pk=case.invoice_id).update(status=invoice_status, **columns)
    return close_case(case, status, by=By("staff"), at=START + on * DAY)


def told_the_provider():
    """By how many days the newest word to the provider moves the charge of each subscription."""
    newest = Instruction.objects.filter(status="pending").order_by("pk").last()
    return newest.desired.get("trial_end") if newest else None


@pytest.mark.usefixtures("alone")
class TestRows:
    def test_two_unpaid_invoices_are_counted_once_whichever_is_paid_last(self):
        found = []
        for first, last in ((0, 1), (1, 0)):
            account = blocked(renews=ENDS[1])
            cases = unpaid(account, 0, block=7), unpaid(account, 1, block=38)
            close(cases[first], 45)
            assert moved(account) == []  # access is still off
            close(cases[last], 47)
            found.append([event.facts["days"] for event in moved(account)])
            assert told_the_provider() == int((ENDS[1] + 40 * DAY).timestamp())

        assert found == [[40], [40]]

    def test_while_another_invoice_is_unpaid_nothing_moves_yet(self):
        account = blocked(renews=ENDS[1])
        older, newer = unpaid(account, 0), unpaid(account, 1, block=50)
        close(older, 45)
        assert Account.objects.get(pk=account.pk).state == "grace"
        assert moved(account) == []
        close(newer, 48)

        assert [event.facts["days"] for event in moved(account)] == [45 - 7]

    def test_what_was_paid_for_a_block_that_another_write_off_lifts_is_given_back(self):
        account = blocked(renews=ENDS[1], block=20)
        older, newer = unpaid(account, 0, block=20), unpaid(account, 1, block=38)
        close(newer, 45)
        close(older, 47, "written_off")

        assert [event.facts["days"] for event in moved(account)] == [16]  # from day 31 on it is paid

    def test_where_billing_had_stopped_the_days_that_are_free_already_are_taken_off(self):
        account = blocked(renews=ENDS[1])
        close(unpaid(account), 58)

        assert [event.facts["days"] for event in moved(account)] == [24 - 3]

    @pytest.mark.parametrize(
        ("change", "on", "status"),
        [
            ({}, 7.9, "paid"),  # less than a day
            ({}, 20, "written_off"),
            ({}, 20, "void"),
            ({}, 40, "paid"),  # the period is over: the provider bills the next one
            ({"cancel_at": ENDS[0]}, 20, "paid"),
            ({"status": "canceled", "ended_at": START}, 20, "paid"),
            ({"provider_id": None}, 20, "paid"),
        ],
    )
    def test_nothing_moves_where_nothing_paid_was_lost_or_nothing_goes_on(self, change, on, status):
        account = blocked()
        case = unpaid(account)
        Subscription.objects.update(**change)

        assert close(case, on, status)
        assert moved(account) == []
        assert told_the_provider() is None

    def test_nothing_moves_for_whoever_is_leaving_before_the_provider_knows(self):
        account = blocked()
        case = unpaid(account)
        row = account.subscriptions.get()
        Instruction.objects.create(
            account=account,
            kind="subscription",
            subject=f"subscription:{row.provider_id}",
            version=1,
            desired={"subscription": row.provider_id, "ends": "period_end"},
            idempotency_key="k",
            next_attempt_at=START,
            created_at=START,
        )
        close(case, 20)

        assert moved(account) == []
        assert Account.objects.get(pk=account.pk).state == "active"
