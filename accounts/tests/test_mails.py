"""Every registered mail can be written in every language, as text and as HTML."""

import datetime as dt

import pytest
from django.conf import settings
from django.core import mail as outbox

from accounts import notices
from accounts.models import Invitation, Link, Notice, User
from accounts.notices import render_notice, send_due_notices
from accounts.opening import Company, open_account
from accounts.people import accept_invitation, invite_member, remove_member
from accounts.tests.worlds import NOON, current_terms, make_user

pytestmark = pytest.mark.django_db

OURS = ["welcome", "invitation", "member_joined", "removed"]


def a_team(language="en"):
    """An account through which all our mails have become owed: opened, joined by Luis, who is removed."""
    owner = make_user("ana@example.com", name="Ana <b>Ruiz</b>", language=language)
    company = Company(
        name="Sol & Sons", country="ES", time_zone="Europe/Madrid", language=language, currency="EUR",
        kind="business",
    )  # fmt: skip
    account = open_account(company, owner=owner, terms=current_terms(), immediate_start=True, at=NOON)
    luis = make_user("luis@example.com", name="Luis", language=language)
    offered = invite_member(account, luis.email, "billing", by_user=owner, at=NOON)
    seat = accept_invitation(offered, user=luis, at=NOON)
    remove_member(seat, by_user=owner, at=NOON)
    return account


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES])
@pytest.mark.parametrize("kind", OURS)
def test_each_of_our_mails_is_complete_in_each_language(kind, language):
    a_team(language)
    message = render_notice(Notice.objects.get(kind=kind), at=NOON)

    assert message.subject
    assert message.language == language
    assert f'lang="{language}"' in message.html
    for part in (message.subject, message.text, message.html):
        assert "None" not in part
        assert "{{" not in part
        assert "{%" not in part
    assert "Sol & Sons" in message.text
    assert "Sol &amp; Sons" in message.html
    assert "http" in message.text


@pytest.mark.parametrize("kind", sorted(notices.kinds()))
def test_each_registered_kind_has_a_template_and_words_for_the_account_page(kind, settings):
    from django.template.loader import get_template

    get_template(f"mail/{kind}.html")
    found = notices.kinds()[kind]

    assert str(found.title)
    assert str(found.why).endswith(".")


def test_all_our_kinds_are_registered():
    assert set(OURS) <= set(notices.kinds())


def test_a_name_with_markup_is_text_in_html():
    a_team()
    message = render_notice(Notice.objects.get(kind="invitation"), at=NOON)

    assert "<b>" not in message.html
    assert "Ana <b>Ruiz</b>" in message.text


def test_an_invitation_s_link_is_kept_as_a_hash_only():
    a_team()
    message = render_notice(Notice.objects.get(kind="invitation"), at=NOON)
    link = Link.objects.get(purpose="invitation")

    assert "/invitations/" in message.text
    assert link.token_hash not in message.text
    assert link.subject == str(Invitation.objects.get().pk)
    assert link.expires_at == Invitation.objects.get().expires_at


def test_what_is_owed_reaches_the_right_people():
    a_team()
    sent = send_due_notices(at=NOON)

    # The invitation was accepted and the newcomer is gone again: both mails are no longer true.
    assert sent == 2
    assert {mail.to[0] for mail in outbox.outbox} == {"ana@example.com", "luis@example.com"}
    assert set(Notice.objects.filter(status="dropped").values_list("kind", flat=True)) == {
        "invitation",
        "member_joined",
    }


def test_an_invitation_is_not_mailed_after_it_was_withdrawn_or_expired():
    owner = make_user()
    company = Company("Sol", "ES", "UTC", "en", "EUR", "business")
    account = open_account(company, owner=owner, terms=current_terms(), immediate_start=False, at=NOON)
    invite_member(account, "eva@example.com", "member", by_user=owner, at=NOON)
    Invitation.objects.update(expires_at=NOON + dt.timedelta(days=1))
    send_due_notices(at=NOON + dt.timedelta(days=1))

    assert Notice.objects.get(kind="invitation").status == "dropped"
    assert User.objects.count() == 1
