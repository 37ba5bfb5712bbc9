"""A pause: agreed for whole months, without charge, ended by its date or by the customer."""

import datetime as dt

import pytest
from django.urls import reverse

from accounts.access import decide_access
from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Notice
from accounts.tests.worlds import make_account, owner_of
from billing.coming import subscription_entries
from billing.models import Pause, Subscription
from billing.pauses import end_pause, pause_choices, resume_due_pauses, start_pause
from billing.tests.worlds import advance, control, make_subscription, run_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture
def paying():
    return make_subscription(make_account())


def pause_for(subscription, months, clock):
    account = subscription.account
    pause = start_pause(subscription, months, by=By.customer(owner_of(account)), at=clock.now())
    run_worker()
    return pause


def paid_invoices():
    return [i for i in control("GET", "/v1/invoices")["data"] if i["amount_paid"]]


def is_open(account, at):
    account.refresh_from_db()
    return decide_access(state=account.state, access_ends_at=account.access_ends_at, at=at).is_open


def test_a_pause_begins_with_the_paid_end_and_lasts_whole_months(paying, clock):
    pause = pause_for(paying, 2, clock)

    assert pause.starts_at == paying.period_end
    assert (pause.resumes_at.month - pause.starts_at.month) % 12 == 2
    assert [n for n, _day in pause_choices(paying, at=clock.now())] == []


def test_what_comes_next_says_when_it_begins_before_it_ends(paying, clock):
    pause_for(paying, 2, clock)

    said = [entry.text for entry in subscription_entries(paying, at=clock.now())]

    assert said[0] == "Your pause begins: no charge and no access"
    assert said[1].startswith("Your pause ends and ")


def test_nothing_is_charged_while_it_lasts_and_access_ends(paying, clock):
    pause = pause_for(paying, 2, clock)
    advance(clock, pause.starts_at + dt.timedelta(days=5))

    assert len(paid_invoices()) == 1
    assert not is_open(paying.account, clock.now())


def test_it_ends_by_itself_with_a_notice_before(paying, clock):
    pause = pause_for(paying, 1, clock)
    advance(clock, Notice.objects.get(kind="pause_ends").window_from + dt.timedelta(hours=1))
    advance(clock, pause.resumes_at + dt.timedelta(hours=3))
    resume_due_pauses(at=clock.now())
    run_worker()

    assert len(paid_invoices()) == 2
    assert is_open(paying.account, clock.now())
    assert Notice.objects.get(kind="pause_ends").status == "sent"
    assert Pause.objects.get().status == "ended"


def test_giving_it_up_before_it_begins_changes_nothing(paying, clock):
    pause = pause_for(paying, 1, clock)
    before = paying.period_end
    end_pause(pause, by=By.customer(owner_of(paying.account)), at=clock.now())
    run_worker()

    assert Subscription.objects.get(pk=paying.pk).period_end.date() == before.date()
    assert is_open(paying.account, clock.now())
    assert Notice.objects.get(kind="pause_ends").status == "dropped"


def test_ending_it_early_charges_now_and_opens_the_account(paying, clock):
    pause = pause_for(paying, 2, clock)
    advance(clock, pause.starts_at + dt.timedelta(days=5))
    end_pause(pause, by=By.customer(owner_of(paying.account)), at=clock.now())
    advance(clock, clock.now() + dt.timedelta(hours=3))

    assert len(paid_invoices()) == 2
    assert is_open(paying.account, clock.now())


def test_a_second_pause_within_the_terms_months_is_refused(paying, clock):
    pause = pause_for(paying, 1, clock)
    advance(clock, Notice.objects.get(kind="pause_ends").window_from + dt.timedelta(hours=1))
    advance(clock, pause.resumes_at + dt.timedelta(hours=3))
    resume_due_pauses(at=clock.now())
    paying.refresh_from_db()

    with pytest.raises(WrongState):
        start_pause(paying, 1, by=By.customer(owner_of(paying.account)), at=clock.now())


def test_a_member_cannot_end_it_and_a_stranger_sees_nothing(paying, clock, client):
    pause_for(paying, 1, clock)
    stranger = owner_of(make_account())
    client.force_login(stranger)

    assert client.post(reverse("end_pause", args=[paying.account.public_id])).status_code == 404
    assert Pause.objects.get().status == "planned"
