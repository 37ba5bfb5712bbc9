"""What stands before every page: the policy of content, rate limits, the staff's second factor."""

import pytest
from django.urls import reverse

pytestmark = pytest.mark.django_db


def policy(response) -> dict[str, list[str]]:
    parts = [part.split() for part in response["Content-Security-Policy"].split(";")]
    return {name: sources for name, *sources in parts}


def test_a_customer_page_allows_nothing_inline_and_no_stranger(client):
    found = policy(client.get(reverse("account_login")))

    assert found["default-src"] == ["'none'"]
    assert found["script-src"] == ["'self'", "https://js.stripe.com"]
    assert found["connect-src"] == ["'self'", "https://api.stripe.com", "https://js.stripe.com"]
    assert found["frame-src"] == ["'self'", "https://js.stripe.com", "https://hooks.stripe.com"]
    assert found["frame-ancestors"] == ["'none'"]
    assert "unsafe" not in str(found)


def test_in_admin_only_its_theme_gets_more(admin_client):
    found = policy(admin_client.get("/admin/"))

    assert "'unsafe-eval'" in found["script-src"]
    assert found["default-src"] == ["'none'"]


def test_signing_in_is_limited_per_address(client):
    url = reverse("account_login")
    codes = [client.post(url, {"login": f"u{n}@x.test", "password": "wrong"}).status_code for n in range(40)]

    assert codes[0] == 200
    assert codes[-1] == 429


def test_guessing_one_persons_password_is_limited_from_any_address(client):
    url = reverse("account_login")
    answers = [
        client.post(url, {"login": "ana@x.test", "password": "wrong"}, REMOTE_ADDR=f"203.0.113.{n}")
        for n in range(8)
    ]

    assert "Too many" not in answers[0].content.decode()
    assert "Too many" in answers[-1].content.decode()


def test_signing_up_is_limited_per_address(client):
    url = reverse("account_signup")
    codes = [client.post(url, {"email": "bad", "password1": "x"}).status_code for _ in range(25)]

    assert (codes[0], codes[-1]) == (200, 429)


def test_a_public_form_is_limited_and_reading_it_is_not(rf, settings):
    from allauth.decorators import rate_limit
    from django.http import HttpResponse

    @rate_limit(action="public_form")
    def form(request):
        return HttpResponse("ok")

    posts = [form(rf.post("/")).status_code for _ in range(12)]
    reads = [form(rf.get("/")).status_code for _ in range(12)]

    assert posts[:10] == [200] * 10
    assert posts[10:] == [429] * 2
    assert set(reads) == {200}


def test_an_address_that_a_client_made_up_is_not_believed(client):
    url = reverse("account_login")
    codes = [
        client.post(
            url, {"login": f"u{n}@x.test", "password": "wrong"}, headers={"X-Forwarded-For": f"10.0.0.{n}"}
        )
        for n in range(40)
    ]

    assert codes[-1].status_code == 429


@pytest.fixture
def strict(settings):
    settings.STAFF_NEED_MFA = True


def test_staff_without_a_second_factor_are_sent_to_set_one_up(admin_client, strict):
    response = admin_client.get("/admin/")

    assert response.status_code == 302
    assert response["Location"] == reverse("mfa_index")


def test_staff_with_a_second_factor_get_in(admin_client, admin_user, strict):
    from allauth.mfa.totp.internal.auth import TOTP

    TOTP.activate(admin_user, "JBSWY3DPEHPK3PXP")

    assert admin_client.get("/admin/").status_code == 200


def test_admin_signs_in_through_the_same_door(client):
    response = client.get("/admin/login/")

    assert response["Location"].startswith(reverse("account_login"))
