"""Support runs the wizard for a caller: the same endings, the same money, and never for oneself."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Event, Member, Notice, User
from accounts.tests.worlds import PASSWORD, make_account, make_member, owner_of
from billing.models import Refund
from offboarding.callers import Identified
from offboarding.models import Cancellation, Closure, ExitSurvey
from offboarding.tests.leaving import latest, marks, paying_account, signed_in, work
from offboarding.tests.test_admin_roles import make_staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(client: Client) -> Client:
    """A browser in which a member of support has just signed in."""
    return signed_in(make_staff("support", password=PASSWORD))


def page(about: str, account: Account, *ids: str, caller: User | None = None, how: str = "callback") -> str:
    """The address of a page of a call by this person (the owner unless told otherwise)."""
    user = caller or owner_of(account)
    url = reverse(f"admin:call_{about}", args=[account.public_id, *ids])
    return f"{url}?caller={user.public_id}&identified={how}"


def declare(desk: Client, account: Account, ending: str, **call: Any) -> Cancellation:
    """Show the four endings and choose one for the caller."""
    url = page("leave", account, **call)
    shown = marks(desk.get(url).content.decode())
    answer = desk.post(url, {"ending": ending, "shown": shown})
    assert answer.status_code == 302, answer.content
    return latest(account)


def confirm(desk: Client, account: Account, **answers: str) -> Any:
    cancellation = latest(account)
    url = page("confirm", account, cancellation.public_id)
    found = re.search(r'name="quote" value="([^"]+)"', desk.get(url).content.decode())
    assert found
    return desk.post(url, {"quote": found.group(1)} | answers)


def test_a_caller_stops_now_and_gets_the_quoted_refund(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    cancellation = declare(desk, account, "stop_now")
    confirm(desk, account)
    work()
    cancellation.refresh_from_db()
    refund = Refund.objects.get(account=account)

    assert (cancellation.via, cancellation.caller_identified) == ("staff", Identified.CALLBACK)
    assert cancellation.declared_by == owner_of(account)
    assert (refund.amount, refund.state) == (cancellation.quote.amount, "succeeded")


def test_the_customer_gets_receipt_and_undo_link_by_mail(
    stripe_account: Any, desk: Client, mailoutbox: Any
) -> None:
    account = paying_account()
    work()
    mailoutbox.clear()
    cancellation = declare(desk, account, "stop_renewing")
    work()
    [mail] = [m for m in mailoutbox if cancellation.receipt_number in m.body]

    assert mail.to == [owner_of(account).email]
    assert "/receipt/" in mail.body
    assert "/undo/" in mail.body
    assert Notice.objects.filter(account=account, kind="leaving_received", status="sent").exists()


def test_history_says_who_helped_whom_and_how_they_were_identified(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    declare(desk, account, "stop_renewing", how="invoice")
    events = Event.objects.filter(account_ref=account.public_id)
    identified = events.get(kind="caller.identified")

    assert identified.subject == owner_of(account).public_id
    assert identified.facts == {"how": "invoice"}
    assert {events.get(kind="cancellation.received").actor, identified.actor} == {"staff"}


def test_the_answers_of_the_survey_are_written_down_for_them(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    cancellation = declare(desk, account, "stop_now")
    url = page("survey", account, cancellation.public_id)
    answer = desk.post(url, {"problem": "Invoices took too long", "usage": "low"})

    assert answer["Location"] == page("confirm", account, cancellation.public_id)
    assert ExitSurvey.objects.get(cancellation=cancellation).usage == "low"


def test_a_caller_takes_it_back(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    cancellation = declare(desk, account, "stop_renewing")
    url = page("keep", account, cancellation.public_id)
    looked = desk.get(url)
    cancellation.refresh_from_db()
    before = cancellation.status
    desk.post(url)
    cancellation.refresh_from_db()

    assert looked.status_code == 200
    assert before in Cancellation.OPEN
    assert cancellation.status == "withdrawn"


def test_free_days_and_then_the_kept_refund_for_a_caller(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    cancellation = declare(desk, account, "free_days")
    confirm(desk, account)
    work()
    desk.post(page("claim", account, cancellation.public_id))
    work()

    assert Refund.objects.get(account=account).amount == cancellation.quote.amount


def test_an_owner_who_calls_stops_the_deletion(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    declare(desk, account, "close_delete")
    confirm(desk, account, when="soon")
    before = Closure.objects.open().get(account=account).purge_on
    answer = desk.post(page("keep_data", account))
    closure = Closure.objects.open().get(account=account)

    assert answer.status_code == 302
    assert closure.purge_on > before
    assert not closure.waived_retrieval


def test_a_billing_member_who_calls_cannot_have_the_data_deleted(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    billing = make_member(account, Member.Role.BILLING).user
    url = page("leave", account, caller=billing)
    html = desk.get(url).content.decode()
    desk.post(url, {"ending": "close_delete", "shown": marks(html)})

    assert 'value="close_delete"' not in html
    assert not Cancellation.objects.exists()


def test_without_a_caller_it_is_asked_first_and_nothing_is_done(desk: Client) -> None:
    account = make_account()
    url = reverse("admin:call_leave", args=[account.public_id])
    posted = desk.post(url, {"ending": "close_delete"})
    html = desk.get(url).content.decode()

    assert owner_of(account).get_full_name() in html
    assert 'name="identified"' in html
    assert posted.status_code == 200
    assert not Cancellation.objects.exists()


def test_a_stranger_and_a_plain_member_are_no_callers(desk: Client) -> None:
    account, other = make_account(), make_account()
    for caller in (owner_of(other), make_member(account).user):
        answer = desk.post(page("leave", account, caller=caller), {"ending": "stop_renewing"})

        assert answer.status_code == 200
        assert not Cancellation.objects.exists()


@pytest.mark.parametrize("about", ["leave", "keep_data"])
def test_nobody_helps_themselves(about: str) -> None:
    staff = make_staff("support", password=PASSWORD)
    account = make_account()
    make_member(account, user=staff)
    browser = signed_in(staff)

    assert browser.get(page(about, account)).status_code == 403
    assert browser.post(page(about, account), {"ending": "stop_renewing"}).status_code == 403
    assert not Cancellation.objects.exists()


def test_a_superuser_does_not_help_themselves_either() -> None:
    staff = make_staff(is_superuser=True, password=PASSWORD)
    account = make_account(owner=staff)

    assert signed_in(staff).get(page("leave", account)).status_code == 403


def test_finance_and_customers_have_no_business_here() -> None:
    account = make_account()
    finance = signed_in(make_staff("finance", password=PASSWORD))
    customer = Client()
    customer.force_login(owner_of(account))

    assert finance.get(page("leave", account)).status_code == 403
    assert customer.get(page("leave", account)).status_code in (302, 403)
    assert Client().get(page("leave", account)).status_code == 302


def test_a_stale_sign_in_is_asked_for_again_before_a_call(
    monkeypatch: pytest.MonkeyPatch, desk: Client
) -> None:
    account = make_account()
    monkeypatch.setattr("accounts.admin.base.is_fresh", lambda request: False)
    answer = desk.get(page("leave", account))

    assert answer.status_code == 302
    assert "/admin/" not in answer["Location"].partition("?next=")[0]


def test_the_four_endings_are_those_that_the_customer_sees(stripe_account: Any, desk: Client) -> None:
    account = paying_account()
    ours = desk.get(page("leave", account)).content.decode()
    theirs = signed_in(owner_of(account)).get(reverse("leave", args=[account.public_id])).content.decode()
    facts = re.compile(r"<dd[^>]*>.*?</dd>", re.S)

    assert facts.findall(ours) == facts.findall(theirs)
    assert len(facts.findall(ours)) >= 16
