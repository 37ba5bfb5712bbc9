"""The page of downloads: re-authentication, own account only, nothing but a page after its days."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Member
from accounts.tests.worlds import PASSWORD, make_account, make_member, make_user
from offboarding import exports
from offboarding.models import Export

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.PRIVATE_FILES = tmp_path / "private"


def signed_in(account: Account, role: str = Member.Role.OWNER) -> tuple[Client, Member]:
    """A member who has signed in and has just shown the password once more."""
    member = make_member(account, role, user=make_user(password=PASSWORD))
    client = Client()
    client.post(reverse("account_login"), {"login": member.user.email, "password": PASSWORD})
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    return client, member


def make_ready(member: Member, *, at: dt.datetime, own_only=False, days=7) -> Export:
    export = Export.objects.create(
        account=member.account,
        requested_by=member.user,
        own_only=own_only,
        status="ready",
        file_name="x.zip",
        size=3,
        requested_at=at,
        ready_at=at,
        expires_at=at + dt.timedelta(days=days),
    )
    exports.path_of(export).write_bytes(b"zip")
    return export


def page(name: str, account: Account, *args: str) -> str:
    return reverse(name, args=[account.public_id, *args])


def test_a_member_sees_what_is_held_and_asks_for_a_download():
    account = make_account()
    client, _ = signed_in(account)
    client.post(page("export_request", account), {"scope": "account"})
    answer = client.get(page("exports", account))

    assert Export.objects.get().own_only is False
    assert "<progress" in answer.content.decode()
    assert 'http-equiv="refresh"' in answer.content.decode()
    assert "Kept for some years" in answer.content.decode()


def test_a_page_with_nothing_under_way_does_not_reload():
    account = make_account()
    client, _ = signed_in(account)

    assert "http-equiv" not in client.get(page("exports", account)).content.decode()


def test_a_member_who_asks_for_the_whole_account_is_told_who_can():
    account = make_account()
    client, _ = signed_in(account, Member.Role.MEMBER)
    answer = client.post(page("export_request", account), {"scope": "account"}, follow=True)

    assert not Export.objects.exists()
    assert "Owners and billing members" in answer.content.decode()


def test_the_file_comes_as_an_attachment_that_nobody_stores(clock):
    account = make_account()
    client, member = signed_in(account)
    export = make_ready(member, at=clock.now())
    answer = client.get(page("export_download", account, export.public_id))

    assert b"".join(answer.streaming_content) == b"zip"
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith("attachment")


def test_asking_and_fetching_need_a_fresh_sign_in(clock, settings):
    account = make_account()
    client, member = signed_in(account)
    export = make_ready(member, at=clock.now())
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    fetched = client.get(page("export_download", account, export.public_id))
    asked = client.post(page("export_request", account), {"scope": "own"})

    assert (fetched.status_code, asked.status_code) == (302, 302)
    assert reverse("account_reauthenticate") in fetched.url
    assert Export.objects.count() == 1


def test_after_its_days_a_page_says_so_even_before_the_file_is_removed(clock):
    account = make_account()
    client, member = signed_in(account)
    export = make_ready(member, at=clock.now() - dt.timedelta(days=7))
    answer = client.get(page("export_download", account, export.public_id))

    assert answer.status_code == 410
    assert "no longer here" in answer.content.decode()


def test_strangers_and_other_members_get_404(clock):
    account = make_account()
    _, owner = signed_in(account)
    stranger, _ = signed_in(make_account())
    member, _ = signed_in(account, Member.Role.MEMBER)
    export = make_ready(owner, at=clock.now())

    assert stranger.get(page("exports", account)).status_code == 404
    assert stranger.post(page("export_request", account), {"scope": "own"}).status_code == 404
    assert stranger.get(page("export_download", account, export.public_id)).status_code == 404
    assert member.get(page("export_download", account, export.public_id)).status_code == 404
    assert member.get(page("export_download", account, "nonsense")).status_code == 404


def test_somebody_not_signed_in_is_asked_to():
    account = make_account()

    assert Client().get(page("exports", account)).status_code == 302


def test_getting_the_address_that_asks_changes_nothing():
    account = make_account()
    client, _ = signed_in(account)

    assert client.get(page("export_request", account)).status_code == 405
    assert not Export.objects.exists()


def test_the_page_costs_few_queries_however_many_downloads(clock, django_assert_max_num_queries):
    account = make_account()
    client, member = signed_in(account)
    for _ in range(15):
        make_ready(member, at=clock.now())
    client.get(page("exports", account))

    with django_assert_max_num_queries(10):
        client.get(page("exports", account))


@pytest.mark.parametrize("kind", ["export_ready", "export_failed", "purge_soon", "data_deleted"])
@pytest.mark.parametrize("language", ["en", "es"])
def test_each_mail_is_written_in_each_language(kind, language, clock):
    from accounts.models import Notice
    from accounts.notices import owe, render_notice
    from offboarding.tests.test_retention import make_closed_account, make_closure

    account = make_closed_account(owner=make_user(language=language))
    member = account.members.get()
    closure = make_closure(account, at=clock.now())
    export = make_ready(member, at=clock.now())
    subject = export.ref if kind.startswith("export") else f"closure:{closure.pk}"
    owe(account, kind, to=[member.user], period="x", subject=subject, at=clock.now())
    message = render_notice(Notice.objects.get(period="x"), at=clock.now())

    assert message.subject
    assert message.to == member.user.email
    assert "None" not in message.text
