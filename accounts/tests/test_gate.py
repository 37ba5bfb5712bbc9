"""Whose access is off gets past nothing but the ways out; whoever is let in costs nothing more."""

import datetime as dt

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import clock as product_clock
from accounts import copies, ways_out
from accounts.events import SYSTEM
from accounts.keys import make_key, revoke_key
from accounts.models import Account, ActivityDay, ApiKey, Member
from accounts.states import move_account
from accounts.tests.worlds import NOON, PASSWORD, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

CLOSED = {
    "frozen": {"state": "frozen"},
    "closed": {"state": "closed", "closed_at": NOON},
    "ended": {"state": "active", "access_ends_at": NOON},
}


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def freshly_signed_in(user):
    """With a password, through the page: what is confirmed for five minutes."""
    user.set_password(PASSWORD)
    user.save()
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


def check(client=None, *, key="", account="", **headers):
    if key:
        headers["Authorization"] = f"Bearer {key}"
    if account:
        headers["X-Account"] = account
    return (client or Client()).get(reverse("access_check"), headers=headers)


def key_of(account):
    return make_key(account, "app", by_user=owner_of(account), at=NOON)[1]


def freeze(account):
    move_account(account, "frozen", by=SYSTEM, at=product_clock.now(), reason="test")


@pytest.mark.parametrize("why", CLOSED)
def test_a_person_gets_a_page_with_the_reason_and_a_machine_a_problem_document(why):
    account = make_account(**CLOSED[why])
    browser, url = signed_in(owner_of(account)), reverse("people", args=[account.public_id])
    page, answer = browser.get(url), browser.get(url, headers={"Accept": "application/json"})

    assert page.status_code == answer.status_code == 402
    assert "text/html" in page["Content-Type"]
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == 402
    assert body["reason"] == why
    assert body["payment"].endswith(reverse("account_overview", args=[account.public_id]))


def test_the_page_shows_the_first_way_in_as_its_one_button(monkeypatch):
    monkeypatch.setattr(ways_out, "_WAYS", {})
    for order, code in ((20, "time"), (10, "pay")):
        made = ways_out.Exit(label=code, url=f"/{code}/", facts=[("Price", "€29")])
        ways_out.register(
            ways_out.WayOut(code=code, leads="in", order=order, find=lambda a, m, at, made=made: made)
        )
    account = make_account(state="frozen")
    page = signed_in(owner_of(account)).get(reverse("account_overview", args=[account.public_id]))

    html = page.content.decode()
    assert 'class="button" href="/pay/"' in html
    assert 'class="button quiet" href="/time/"' in html
    assert "€29" in html


def test_who_may_not_pay_is_told_who_may_and_can_leave_the_team():
    account = make_account(state="frozen")
    browser = signed_in(make_member(account).user)
    page = browser.get(reverse("account_overview", args=[account.public_id]))

    assert owner_of(account).email in page.content.decode()
    assert reverse("leave_team", args=[account.public_id]) in page.content.decode()
    assert browser.get(reverse("leave_team", args=[account.public_id])).status_code == 200


def test_a_view_that_forgot_everything_is_shut_all_the_same(settings, rf):
    """Deny by default: no decorator of ours, and no mark."""
    settings.ROOT_URLCONF = "config.tests.forgetful_urls"
    account = make_account(state="frozen")
    url = f"/a/{account.public_id}/forgotten/"

    assert signed_in(owner_of(account)).get(url).status_code == 402
    assert signed_in(make_user()).get(url).status_code == 404
    assert Client().get(url).status_code == 302
    assert Client().get(url, headers={"Accept": "application/json"}).status_code == 401


def test_a_page_costs_no_query_more_than_loading_the_account(settings):
    account = make_account()
    browser, url = signed_in(owner_of(account)), reverse("account_settings", args=[account.public_id])
    browser.get(url)  # today is written down
    costs = {}
    for name, middleware in (
        ("gate", settings.MIDDLEWARE),
        ("none", [each for each in settings.MIDDLEWARE if "GateMiddleware" not in each]),
    ):
        settings.MIDDLEWARE = middleware
        browser = signed_in(owner_of(account))
        browser.get("/me/")
        for asked in ("miss", "hit"):
            if asked == "miss":
                copies.new_version()
            with CaptureQueriesContext(connection) as seen:
                assert browser.get(url).status_code == 200
            costs[name, asked] = len(seen)

    assert set(costs.values()) == {costs["none", "miss"]}
    assert costs["none", "miss"] == 3  # session, person, seat with account and terms


@pytest.mark.parametrize("credential", ["key", "session"])
def test_the_check_costs_one_query_and_none_from_a_copy(credential, django_assert_num_queries):
    account = make_account()
    client, key = signed_in(owner_of(account)), key_of(account) if credential == "key" else ""
    client.get("/me/")  # the session is listed
    check(client, key=key)  # today is written down
    copies.new_version()

    with django_assert_num_queries(1):
        assert check(client, key=key).status_code == 200
    with django_assert_num_queries(0):
        assert check(client, key=key).status_code == 200


def test_the_check_says_who_it_is():
    account = make_account(state="trialing", access_ends_at=NOON.replace(year=2100))
    owner = owner_of(account)
    by_session, by_key = check(signed_in(owner)), check(key=key_of(account))

    assert by_session["X-Account-Id"] == by_key["X-Account-Id"] == account.public_id
    assert (by_session["X-User-Id"], by_key["X-User-Id"]) == (owner.public_id, "")
    assert by_session["X-Role"] == "owner"
    assert by_key["X-Api-Key"] == ApiKey.objects.get().prefix
    assert by_session["X-Account-State"] == "trialing"
    assert by_session["X-Access-Until"] == "2100-03-11T12:00:00+00:00"
    assert by_session["Cache-Control"] == "no-store"


@pytest.mark.parametrize("why", CLOSED)
def test_the_check_says_where_to_pay(why):
    account = make_account(**CLOSED[why])
    for answer in (check(signed_in(owner_of(account))), check(key=key_of(account))):
        assert answer.status_code == 402
        assert answer["Content-Type"] == "application/problem+json"
        assert answer["X-Payment-Url"].endswith(f"/a/{account.public_id}/")
        assert answer["Link"].endswith('rel="payment"')
        assert answer["X-Access-Reason"] == why


def test_the_check_knows_nobody_without_a_credential_that_holds():
    account = make_account()
    token = key_of(account)
    revoke_key(ApiKey.objects.select_related("account").get(), by=SYSTEM, at=NOON)
    gone = signed_in(owner_of(account))
    gone.logout()
    for answer in (check(), check(key=token), check(key="gt_nothing"), check(gone)):
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer ")
        assert answer["X-Sign-In-Url"].endswith(reverse("account_login"))


def test_a_session_opens_nothing_once_its_person_is_gone_or_has_another_password():
    for change in ({"is_active": False}, {"password": "another"}):
        account = make_account()
        owner = owner_of(account)
        browser = signed_in(owner)
        type(owner).objects.filter(pk=owner.pk).update(**change)

        assert check(browser).status_code == 401, change


def test_a_session_names_its_account_where_there_are_several():
    user = make_user()
    mine, other, strangers = make_account(owner=user), make_account(owner=user), make_account()
    browser = signed_in(user)

    assert check(browser).status_code == 403
    assert check(browser, account=mine.public_id)["X-Account-Id"] == mine.public_id
    by_address = browser.get(reverse("access_check"), {"account": other.public_id})
    assert by_address["X-Account-Id"] == other.public_id
    assert check(browser, account=strangers.public_id).status_code == 403
    assert check(key=key_of(mine), account=other.public_id).status_code == 403


def test_a_proxy_may_have_browsers_led_to_the_page_for_it():
    account = make_account()
    browser, asked = signed_in(owner_of(account)), f"{reverse('access_check')}?redirect=1"
    going = {"X-Forwarded-Uri": "/reports?year=2026&a=b"}
    stranger = Client().get(asked, headers=going)
    let_in = browser.get(asked, headers=going)
    freeze(account)
    off, script = browser.get(asked), browser.get(asked, headers={"Accept": "application/json"})
    program = Client().get(asked, headers={"Authorization": "Bearer gt_wrong"})

    sign_in = reverse("account_login")
    assert stranger["Location"].endswith(f"{sign_in}?next=%2Freports%3Fyear%3D2026%26a%3Db")
    assert off["Location"].endswith(reverse("account_overview", args=[account.public_id]))
    answers = stranger, let_in, off, script, program
    assert [answer.status_code for answer in answers] == [302, 200, 302, 402, 401]


def test_an_erased_account_is_nobodys():
    account = make_account(state="erased", closed_at=NOON)
    token = key_of(account)

    assert check(key=token).status_code == 401
    assert check(signed_in(owner_of(account))).status_code == 403


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_check_is_asked_by_get_only(method):
    assert getattr(Client(), method)(reverse("access_check")).status_code == 405


def test_a_freeze_is_seen_at_once_by_whoever_wrote_it():
    account = make_account()
    token = key_of(account)
    browser, url = signed_in(owner_of(account)), reverse("people", args=[account.public_id])
    assert [check(key=token).status_code, browser.get(url).status_code] == [200, 200]
    freeze(account)

    assert [check(key=token).status_code, browser.get(url).status_code] == [402, 402]
    move_account(account, "active", by=SYSTEM, at=product_clock.now(), reason="test")
    assert [check(key=token).status_code, browser.get(url).status_code] == [200, 200]


def test_a_freeze_by_another_process_is_seen_within_seconds(monkeypatch):
    """Another process has no way to end our copies: only their age does. On pages the row itself decides."""
    account = make_account()
    token = key_of(account)
    browser, url = signed_in(owner_of(account)), reverse("people", args=[account.public_id])
    assert [check(key=token).status_code, browser.get(url).status_code] == [200, 200]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_account SET state = 'frozen' WHERE id = %s", [account.pk])

    assert [check(key=token).status_code, browser.get(url).status_code] == [200, 402]
    started = copies.time.monotonic()
    monkeypatch.setattr(copies.time, "monotonic", lambda: started + copies.LIFE + 0.1)
    assert check(key=token).status_code == 402


def test_the_last_moment_of_access_is_kept_to_the_second_by_a_copy_too(clock):
    account = make_account(access_ends_at=clock.now() + dt.timedelta(minutes=5))
    token = key_of(account)
    assert check(key=token).status_code == 200
    clock.forward(minutes=5)

    assert check(key=token).status_code == 402


def test_who_was_removed_is_kept_out_at_once():
    account = make_account()
    seat = make_member(account)
    browser = signed_in(seat.user)
    assert check(browser).status_code == 200
    Member.objects.filter(pk=seat.pk).update(left_at=NOON)

    assert check(browser).status_code == 403


def test_a_day_with_activity_is_written_once_and_in_the_accounts_own_calendar(
    clock, django_assert_num_queries
):
    clock.turn_to(dt.datetime(2030, 3, 11, 12, tzinfo=dt.UTC))
    account = make_account(time_zone="Pacific/Auckland")
    token = key_of(account)
    check(key=token)
    with django_assert_num_queries(0):
        check(key=token)
    clock.forward(hours=24)
    check(key=token)

    days = ActivityDay.objects.active_days(account, dt.date(2030, 1, 1)).order_by("day")
    assert [row.day for row in days] == [dt.date(2030, 3, 12), dt.date(2030, 3, 13)]
    assert ActivityDay.objects.active_days(account, dt.date(2030, 3, 13)).count() == 1
    assert ApiKey.objects.get().last_used_on == dt.date(2030, 3, 13)


def test_no_day_is_counted_for_who_was_not_let_in_or_only_went_out():
    account = make_account()
    signed_in(owner_of(account)).get(reverse("leave_team", args=[account.public_id]))
    frozen = make_account(state="frozen")
    check(key=key_of(frozen))
    signed_in(owner_of(frozen)).get(reverse("people", args=[frozen.public_id]))

    assert not ActivityDay.objects.exists()


# --- Keys -------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_owners_are_told():
    account = make_account()
    second = make_member(account, "owner").user
    browser, at = freshly_signed_in(owner_of(account)), reverse("keys", args=[account.public_id])
    made = browser.post(reverse("key_new", args=[account.public_id]), {"name": "Warehouse"})
    secret = made.content.decode().split("<code>")[1].split("<")[0]
    key = ApiKey.objects.get()
    listed = browser.get(at).content.decode()

    assert check(key=secret)["X-Account-Id"] == account.public_id
    assert secret not in listed
    assert key.prefix in listed
    assert "Warehouse" in listed
    assert secret.startswith(f"{key.prefix}_")
    assert not ApiKey.objects.filter(token_hash__contains=secret[12:30]).exists()
    owed = set(account.notices.filter(kind="key_made").values_list("user", flat=True))
    assert owed == {owner_of(account).pk, second.pk}
    browser.post(reverse("key_revoke", args=[account.public_id, key.pk]))
    assert check(key=secret).status_code == 401


def test_a_key_is_made_and_revoked_with_the_sign_in_fresh_only():
    account = make_account()
    make_key(account, "x", by_user=owner_of(account), at=NOON)
    stale = signed_in(owner_of(account))  # without a sign-in that is on record
    stale.post(reverse("key_new", args=[account.public_id]), {"name": "y"})
    stale.post(reverse("key_revoke", args=[account.public_id, ApiKey.objects.get().pk]))

    assert ApiKey.objects.live().count() == 1


def test_a_key_of_another_account_cannot_be_revoked():
    mine, theirs = make_account(), make_account()
    make_key(theirs, "x", by_user=owner_of(theirs), at=NOON)
    browser = freshly_signed_in(owner_of(mine))
    url = reverse("key_revoke", args=[mine.public_id, ApiKey.objects.get().pk])

    assert browser.post(url).status_code == 404
    assert ApiKey.objects.live().count() == 1


def test_a_key_on_a_page_for_people_is_told_so():
    account = make_account()
    token, url = key_of(account), reverse("people", args=[account.public_id])
    asked = {"Authorization": f"Bearer {token}"}

    assert Client().get(url, headers=asked).status_code == 403
    assert Client().get(url, headers={"Authorization": "Bearer gt_unknown"}).status_code == 401
    freeze(Account.objects.get(pk=account.pk))
    assert Client().get(url, headers=asked).status_code == 402
