"""Whatever moves money, data or rights asks once more who it is, also those without a password."""

import re

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core import mail as outbox
from django.test import Client
from django.urls import reverse

from accounts.tests.worlds import PASSWORD, make_account, make_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    """An owner who signs in by mailed codes only, a member to be made owner, and that form's address."""
    owner = make_user("owner@example.com")
    account = make_account(owner=owner)
    seat = make_member(account)
    client = Client()
    client.force_login(owner)
    return client, seat, reverse("change_role", args=[account.public_id, seat.user.public_id])


def send(client, url):
    client.post(url, {"action": "send"})
    return re.search(r"^([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})$", outbox.outbox[-1].body, re.MULTILINE)[1]


def role_of(seat):
    seat.refresh_from_db()
    return seat.role


def test_someone_without_a_password_is_asked_for_a_mailed_code(world):
    client, seat, url = world
    response = client.post(url, {"role": "owner"})

    assert response["Location"].startswith(reverse("confirm_by_code"))
    assert role_of(seat) == "member"


def test_looking_at_the_page_sends_nothing(world):
    client, _, url = world
    client.get(client.post(url, {"role": "owner"})["Location"])

    assert not outbox.outbox


@pytest.mark.parametrize("typed", [str, str.lower, lambda code: f" {code.replace('-', ' ')} "])
def test_the_code_lets_what_was_begun_go_through(world, typed):
    client, seat, url = world
    asked = client.post(url, {"role": "owner"})["Location"]
    code = send(client, asked)
    client.post(asked, {"action": "confirm", "code": typed(code)})

    assert role_of(seat) == "owner"


def test_a_wrong_code_can_be_typed_three_times(world):
    client, seat, url = world
    asked = client.post(url, {"role": "owner"})["Location"]
    code = send(client, asked)
    for _ in range(3):
        client.post(asked, {"action": "confirm", "code": "AAAA-AAAA"})
    client.post(asked, {"action": "confirm", "code": code})

    assert role_of(seat) == "member"


def test_a_code_works_once(world):
    client, seat, url = world
    asked = client.post(url, {"role": "owner"})["Location"]
    code = send(client, asked)
    client.post(asked, {"action": "confirm", "code": code})
    session = client.session
    del session["account_authentication_methods"]
    session.save()
    client.post(url, {"role": "member"})
    client.post(asked, {"action": "confirm", "code": code})

    assert role_of(seat) == "owner"


def test_a_code_works_for_ten_minutes(world, clock):
    client, seat, url = world
    asked = client.post(url, {"role": "owner"})["Location"]
    code = send(client, asked)
    clock.forward(minutes=10)
    client.post(asked, {"action": "confirm", "code": code})

    assert role_of(seat) == "member"


def test_the_code_is_not_in_the_session(world):
    client, _, url = world
    code = send(client, client.post(url, {"role": "owner"})["Location"])

    assert code.replace("-", "") not in str(dict(client.session)).replace("-", "")


def test_a_code_of_one_session_is_nothing_in_another(world):
    client, seat, url = world
    asked = client.post(url, {"role": "owner"})["Location"]
    code = send(client, asked)
    other = Client()
    other.force_login(client.get("/me/").wsgi_request.user)
    other.post(url, {"role": "owner"})
    other.post(asked, {"action": "confirm", "code": code})

    assert role_of(seat) == "member"


def test_codes_are_not_mailed_without_end(world):
    client, _, url = world
    asked = client.post(url, {"role": "owner"})["Location"]
    for _ in range(6):
        client.post(asked, {"action": "send"})

    assert len(outbox.outbox) == 3


def test_it_leads_nowhere_outside(world):
    client, _, _ = world
    asked = f"{reverse('confirm_by_code')}?next=https://evil.example/"
    response = client.post(asked, {"action": "confirm", "code": send(client, asked)})

    assert response["Location"] == reverse("account_list")


def test_someone_with_a_password_may_take_either(world):
    client, _, url = world
    user = client.get("/me/").wsgi_request.user
    user.set_password(PASSWORD)
    user.save()
    client.force_login(user)
    asked = client.post(url, {"role": "owner"})["Location"]

    assert asked.startswith(reverse("account_reauthenticate"))
    assert reverse("confirm_by_code") in client.get(asked).content.decode()


def test_a_second_factor_is_not_replaced_by_the_weaker_mail(world):
    client, _, url = world
    TOTP.activate(client.get("/me/").wsgi_request.user, generate_totp_secret())
    asked = client.post(url, {"role": "owner"})["Location"]

    assert asked.startswith(reverse("mfa_reauthenticate"))
    assert client.get(reverse("confirm_by_code")).status_code == 302
