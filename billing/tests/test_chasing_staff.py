"""What staff can do about an unpaid invoice, and about the next charge."""

import datetime as dt

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts.events import SYSTEM, By
from accounts.history import in_words
from accounts.holds import place_hold
from accounts.models import Event, Notice
from accounts.tests.worlds import PASSWORD, make_account, make_user
from billing.models import Subscription
from billing.tests.chasing import bank_says, failing_account, pass_days, the_case, the_invoice
from billing.tests.worlds import make_subscription, run_worker

pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def desk():
    """The browser of someone of support who has just signed in."""
    staff = make_user(password=PASSWORD, is_staff=True)
    staff.groups.add(Group.objects.get(name="support"))
    browser = Client()
    browser.post(reverse("account_login"), {"login": staff.email, "password": PASSWORD})
    return browser


def act(name, row, code):
    return reverse(f"admin:billing_{name}_act", args=[row.pk, code])


def test_support_sees_the_queue_and_has_the_card_tried(noon, desk):
    account = failing_account(noon)
    bank_says(account, None)
    case = the_case(account)

    assert (
        b"Try the card now" in desk.get(reverse("admin:billing_dunningcase_change", args=[case.pk])).content
    )
    assert desk.get(reverse("admin:billing_dunningcase_changelist") + "?status=open").status_code == 200
    assert "This field is required" in desk.post(act("dunningcase", case, "retry")).content.decode()
    asked = desk.post(act("dunningcase", case, "retry"), {"reason": "funds"}).content.decode()
    assert "attempt to charge an unpaid invoice: €29.00" in asked
    assert not case.attempts.exists()
    why = {"reason": "funds", "confirmed": "yes"}
    assert desk.post(act("dunningcase", case, "retry"), why).status_code == 302
    run_worker()

    account.refresh_from_db()
    assert (the_case(account).status, account.state) == ("paid", "active")
    tried = Event.objects.filter(kind="dunning.attempted").last()
    assert (tried.actor, tried.facts) == ("staff", {"reason": "funds"})
    assert in_words(tried) == "Support had the card on file tried again: there is money on it again."


def test_a_hold_is_ended_early_with_a_reason(noon, desk):
    account = failing_account(noon)
    hold = place_hold(
        account, reason="promise", until=noon.now() + dt.timedelta(days=3), by=SYSTEM, at=noon.now()
    )
    end = reverse("admin:accounts_hold_act", args=[hold.pk, "end"])

    assert desk.post(end, {"confirmed": "yes"}).status_code == 200
    assert desk.post(end, {"reason": "settled", "confirmed": "yes"}).status_code == 302
    ended = Event.objects.get(kind="hold.ended")
    assert (ended.actor, in_words(ended)) == ("staff", "The hold is over: the matter is settled.")


def test_support_writes_off_with_a_reason(noon, desk):
    account = failing_account(noon)
    pass_days(noon, account, 8)
    case = the_case(account)

    assert desk.post(act("dunningcase", case, "write_off"), {"reason": ""}).status_code == 200
    why = {"reason": "A long-standing customer"}
    asked = desk.post(act("dunningcase", case, "write_off"), why).content.decode()
    assert "no end is set" in asked
    assert the_case(account).status == "open"
    desk.post(act("dunningcase", case, "write_off"), why | {"confirmed": "yes"})
    run_worker()

    account.refresh_from_db()
    case = the_case(account)
    assert (case.status, case.closed_reason) == ("written_off", "A long-standing customer")
    assert the_invoice(account).status == "uncollectible"
    assert (account.state, account.access_ends_at) == ("active", None)
    assert not Notice.objects.filter(account=account, status="owed").exists()


def test_support_moves_the_next_charge_and_sees_before_what_it_means(noon, desk):
    account = make_account(owner=make_user(password=PASSWORD))
    row = make_subscription(account)
    url = act("subscription", row, "postpone")
    beside = reverse("admin:accounts_account_act", args=[account.pk, "move_charge"])
    assert beside in desk.get(reverse("admin:accounts_account_change", args=[account.pk])).content.decode()
    assert desk.get(beside).url == url

    page = desk.post(url, {"days": "10", "reason": "asked"}).content.decode()
    assert "€29.00" in page
    assert f"{account.name} · {row.plan.name}" in page
    assert f"<h2>Move the next charge: {row.provider_id}" not in page
    assert Subscription.objects.get(pk=row.pk).period_end == row.period_end
    desk.post(url, {"days": "10", "reason": "asked", "confirmed": "yes"})
    run_worker()

    moved = Subscription.objects.get(pk=row.pk)
    assert moved.period_end - row.period_end == dt.timedelta(days=10)
    assert "From 1 to 30" in desk.post(url, {"days": "31", "reason": "asked"}).content.decode()


def test_a_hold_moves_every_day_and_tells_so(noon, desk):
    account = failing_account(noon)
    before, at = the_case(account), noon.now()

    place_hold(account, reason="promise", until=at + dt.timedelta(days=5), by=By("staff"), at=at)

    after = the_case(account)
    assert after.block_at - before.block_at == after.end_at - before.end_at == dt.timedelta(days=5)
    account.refresh_from_db()
    assert account.access_ends_at == after.block_at
    assert Notice.objects.filter(kind="dunning_moved", status="owed").exists()
