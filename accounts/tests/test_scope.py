"""Who sees which page: a stranger, a member, a billing member, an owner."""

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts import calendar, panels, urls
from accounts.models import Account, Invitation, Member, User
from accounts.people import invite_member
from accounts.tests.worlds import NOON, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

#: Every address under an account, and how little is enough to see it; POST-only ones are asked with POST.
MATRIX = {
    "account_overview": ("get", "member"),
    "account_history": ("get", "member"),
    "account_settings": ("get", "owner"),
    "people": ("get", "member"),
    "leave_team": ("get", "member"),
    "invite": ("post", "owner"),
    "withdraw_invitation": ("post", "owner"),
    "change_role": ("post", "owner"),
    "remove_member": ("get", "owner"),
    "keys": ("get", "owner"),
    "key_new": ("post", "owner"),
    "key_revoke": ("post", "owner"),
}


def address(name: str, account: Account) -> str:
    person = owner_of(account).public_id
    try:
        return reverse(name, args=[account.public_id])
    except NoReverseMatch:
        pass
    if name in ("withdraw_invitation", "key_revoke"):
        return reverse(name, args=[account.public_id, 1])
    return reverse(name, args=[account.public_id, person])


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_every_address_under_an_account_is_in_the_matrix():
    under_an_account = {route.name for route in urls.urlpatterns if "account_id" in str(route.pattern)}

    assert under_an_account == set(MATRIX)


@pytest.mark.parametrize("name", MATRIX)
def test_a_stranger_sees_nothing_there(name):
    account, method = make_account(), MATRIX[name][0]
    make_account()

    assert getattr(signed_in(make_user()), method)(address(name, account)).status_code == 404


@pytest.mark.parametrize("name", MATRIX)
def test_an_unknown_account_looks_the_same_to_its_owner_as_to_a_stranger(name):
    account = make_account()
    url = address(name, account).replace(account.public_id, "0" * 26, 1)

    assert getattr(signed_in(owner_of(account)), MATRIX[name][0])(url).status_code == 404


@pytest.mark.parametrize("name", MATRIX)
def test_nobody_gets_in_without_signing_in(name):
    response = getattr(Client(), MATRIX[name][0])(address(name, make_account()))

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("account_login"))


@pytest.mark.parametrize("role", ["member", "billing"])
@pytest.mark.parametrize("name", MATRIX)
def test_a_member_gets_as_far_as_the_role_goes(name, role):
    account = make_account()
    client = signed_in(make_member(account, role).user)
    method, enough = MATRIX[name]
    response = getattr(client, method)(address(name, account))

    assert response.status_code == (200 if enough == "member" else 403)


def test_who_may_not_is_told_who_may():
    account = make_account()
    response = signed_in(make_member(account, "billing").user).get(address("account_settings", account))

    assert response.status_code == 403
    assert owner_of(account).email in response.content.decode()


def test_who_has_left_is_a_stranger():
    account = make_account()
    seat = make_member(account, left_at=NOON)

    assert signed_in(seat.user).get(address("account_overview", account)).status_code == 404


def test_an_erased_account_is_gone_for_its_owner_too():
    account = make_account(state="erased", closed_at=NOON)

    assert signed_in(owner_of(account)).get(address("account_overview", account)).status_code == 404


def test_an_invitation_of_another_account_cannot_be_withdrawn(clock):
    mine, theirs = make_account(), make_account()
    offered = invite_member(theirs, "ana@example.com", "member", by_user=owner_of(theirs), at=clock.now())
    url = reverse("withdraw_invitation", args=[mine.public_id, offered.pk])
    response = signed_in(owner_of(mine)).post(url)

    assert response.status_code == 404
    assert Invitation.objects.get().withdrawn_at is None


def test_entering_an_account_costs_one_query(django_assert_num_queries):
    account = make_account()
    client, url = signed_in(make_member(account).user), address("leave_team", account)
    client.get("/")

    # session, person, and in one: seat, account, terms; the page itself asks nothing more for a member
    with django_assert_num_queries(3):
        client.get(url)


@pytest.mark.parametrize("people", [0, 12])
def test_our_part_of_the_overview_costs_the_same_however_much_there_is(
    people, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(panels, "_PANELS", {})
    monkeypatch.setattr(calendar, "_SOURCES", {"mails": calendar.mails_to_come})
    monkeypatch.setattr(calendar, "_MOOT", {})
    account = make_account()
    owner = owner_of(account)
    invite_member(account, "eva@example.com", "member", by_user=owner, at=NOON)
    for number in range(people):
        invite_member(account, f"p{number}@example.com", "member", by_user=owner, at=NOON)
        make_member(account)
    client, url = signed_in(owner), address("account_overview", account)
    client.get(url)  # the first visit of a day is written down

    # session, person, seat; events, names; mails to come
    with django_assert_num_queries(5):
        assert client.get(url).status_code == 200


def test_the_page_speaks_the_reader_s_language_and_the_account_s_zone():
    account = make_account(time_zone="Pacific/Auckland", access_ends_at=NOON.replace(year=2100))
    reader = make_member(account, Member.Role.BILLING, user=make_user(language="es")).user
    page = signed_in(reader).get(address("account_overview", account)).content.decode()

    assert '<html lang="es">' in page
    assert "12 de marzo de 2100" in page
