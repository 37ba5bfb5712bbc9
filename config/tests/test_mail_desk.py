"""Staff and mail: how each reads, what could not be sent, to whom none goes, and which laws ask for it."""

import datetime as dt

import pytest
from django.core import mail as outbox
from django.urls import reverse

from accounts import clock
from accounts.events import By
from accounts.kinds import kinds
from accounts.models import Event, Link, Notice, Suppression, User
from accounts.notices import owe, suppress_address
from accounts.people import invite_member
from accounts.previews import preview_mail, readable_kinds
from accounts.tests.worlds import make_account, make_member, make_user, owner_of
from offboarding.tests.leaving import choose, owners_browser, paying_account
from offboarding.tests.test_admin_roles import browser

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """The member of staff has just signed in."""
    monkeypatch.setattr("accounts.admin.base.is_fresh", lambda request: True)


def look(client, account, kind, language):
    page = reverse("admin:account_mails", args=[account.pk])
    return client.post(page, {"kind": kind, "language": language}).content.decode()


def test_every_mail_of_an_account_can_be_read_in_both_languages_and_none_is_sent():
    account, support = paying_account(), browser("support")
    choose(owners_browser(account), account, "stop_now")
    outbox.outbox.clear()
    kinds = set(Notice.objects.filter(account=account).values_list("kind", flat=True)) | {"card_changed"}

    for kind in kinds:
        english, spanish = (look(support, account, kind, language) for language in ("en", "es"))
        assert "srcdoc" in english, kind
        assert "lang=&quot;en&quot;" in english, kind
        assert "lang=&quot;es&quot;" in spanish, kind
    assert {"payment_received", "leaving_received", "leaving_last_step"} <= kinds
    assert outbox.outbox == []
    looked = Event.objects.filter(kind="mail.previewed", actor="staff")
    assert looked.count() == 2 * len(kinds)


def test_a_preview_makes_no_link_and_shows_no_secret():
    account = make_account()
    invite_member(account, "new@example.com", "member", by_user=owner_of(account), at=clock.now())
    links = Link.objects.count()

    page = look(browser("support"), account, "invitation", "en")
    assert "/invitations/…" in page
    assert Link.objects.count() == links


def test_a_mail_about_nothing_says_so():
    page = look(browser("support"), make_account(), "refund_sent", "en")

    assert "nothing in this account" in page
    assert not Event.objects.filter(kind="mail.previewed").exists()


def test_every_kind_of_mail_about_nothing_says_so_and_none_breaks_the_page():
    account = make_account()
    owner, shown = owner_of(account), {}
    for number, code in enumerate(kinds()):
        period, subject = ("", "") if number % 2 else ("a:1:c", "b:2")
        Notice.objects.filter(account=account, kind=code).delete()
        owe(account, code, to=[owner], at=clock.now(), period=period or f"{number}", subject=subject)
        shown[code] = preview_mail(account, code, language="en", by=By.staff(owner), at=clock.now())

    assert len(shown) > 30
    assert [
        shown[code] for code in ("payment_received", "trial_ends", "payment_failed", "leaving_received")
    ] == [None] * 4


def test_the_page_of_mails_is_cheap_and_says_when_each_comes(django_assert_max_num_queries):
    account, support = paying_account(), browser("support")
    for days in (9, 2):
        start = (clock.now() + dt.timedelta(days=days)).replace(hour=12)
        about = {"period": str(days), "window_from": start, "window_to": start + dt.timedelta(days=9)}
        owe(account, "refund_claim_reminder", to=[owner_of(account)], at=clock.now(), subject="c:x", **about)
    page = reverse("admin:account_mails", args=[account.pk])
    support.get(page)
    with django_assert_max_num_queries(15):
        text = support.get(page).content.decode()

    assert '<span class="desk-here">Mails</span>' in text
    assert text.index("Your refund can still be claimed") < text.index("Welcome, with the terms")
    assert "Reminder" in text
    [claim] = [one for one in readable_kinds(account, at=clock.now()) if one.coming]
    assert claim.coming.at < start + dt.timedelta(days=3)


def test_finance_reads_no_mails_of_customers():
    account = make_account()

    assert browser("finance").get(reverse("admin:account_mails", args=[account.pk])).status_code == 403


def test_support_lifts_a_suppression_with_a_reason():
    account, support = make_account(owner=make_user("ana@example.com")), browser("support")
    owe(account, "removed", to=[owner_of(account)], period="p", at=clock.now())
    suppress_address("ana@example.com", "bounce", at=clock.now())
    desk = support.get(reverse("admin:accounts_account_change", args=[account.pk])).content.decode()
    page = reverse("admin:account_lift", args=[account.pk, owner_of(account).public_id])
    assert page in desk

    assert support.post(page, {"reason": "because"}).status_code == 200
    assert Suppression.objects.exists()
    assert support.post(page, {"reason": "asked"}).status_code == 302
    assert not Suppression.objects.exists()
    assert support.get(page).status_code == 404


@pytest.mark.parametrize("role", ["finance", ""])
def test_nobody_else_lifts_one(role):
    account = make_account(owner=make_user("ana@example.com"))
    suppress_address("ana@example.com", "bounce", at=clock.now())
    page = reverse("admin:account_lift", args=[account.pk, owner_of(account).public_id])

    assert browser(*filter(None, [role])).post(page, {"reason": "asked"}).status_code == 403
    assert Suppression.objects.exists()


def test_nobody_lifts_one_on_an_account_of_their_own():
    account = make_account(owner=make_user("ana@example.com"))
    suppress_address("ana@example.com", "bounce", at=clock.now())
    support = browser("support", email="me@example.com")
    make_member(account, user=User.objects.get(email="me@example.com"))
    page = reverse("admin:account_lift", args=[account.pk, owner_of(account).public_id])

    assert support.post(page, {"reason": "asked"}).status_code == 403


def test_what_could_not_be_sent_waits_on_the_first_page_until_a_person_has_seen_to_it():
    account, support = make_account(), browser("support")
    Notice.objects.filter(account=account).delete()
    owe(account, "pause_ends", to=[owner_of(account)], period="p:1", at=clock.now())
    Notice.objects.update(status="failed", reason="window_closed")
    first = support.get(reverse("admin:index")).context["waiting"]
    by_title = {str(kind["title"]): kind for kind in first}

    legal = by_title["Required by law, not sent"]
    assert (legal["count"], by_title["Mails not sent"]["count"]) == (1, 1)
    assert "Your pause ends" in support.get(legal["url"]).content.decode()
    act = reverse("admin:accounts_notice_act", args=[Notice.objects.get().pk, "seen-to"])
    assert support.post(act).status_code == 302
    assert Notice.objects.needing_a_person().count() == 0
    assert "Your pause ends" not in support.get(legal["url"]).content.decode()
    assert Event.objects.get(kind="mail.seen_to").facts == {"mail": "pause_ends", "why": "window_closed"}


def test_the_rules_of_law_are_listed_with_what_nobody_verified():
    page = browser("support").get(reverse("admin:law")).content.decode()

    assert '<span class="desk-here">Rules of law</span>' in page
    assert "es-ley-10-2025" in page
    assert "not verified" in page
    assert "Strict mode is on" in page
    assert browser("finance").get(reverse("admin:law")).status_code == 403
