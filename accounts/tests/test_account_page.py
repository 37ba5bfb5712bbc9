"""What the account's page says: its state, what comes next, the cards of other apps, the language."""

import datetime as dt
import time

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import calendar, panels
from accounts.calendar import CalendarEntry, what_comes_next
from accounts.middleware import SEEN_FOR
from accounts.models import Account, User
from accounts.notices import owe
from accounts.panels import Panel
from accounts.standing import standing
from accounts.tests.worlds import NOON, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)


def client_of(user):
    client = Client()
    client.force_login(user)
    return client


def page_of(account, user=None):
    url = reverse("account_overview", args=[account.public_id])
    return client_of(user or owner_of(account)).get(url).content.decode()


@pytest.mark.parametrize("state", [state for state in Account.State.values if state != "erased"])
def test_each_state_has_its_words(state):
    account = Account(state=state, closed_at=NOON)
    found = standing(account, at=NOON)

    assert found.label
    assert found.text.endswith(".")
    assert found.tone in ("success", "warn", "danger", "info")


def test_the_last_moment_of_access_decides_not_the_state():
    account = Account(state="active", access_ends_at=NOON)

    before = standing(account, at=NOON - dt.timedelta(seconds=1))
    assert (before.label, before.tone) == ("access ends", "info")
    assert standing(account, at=NOON).label == "access off"


def test_mails_to_come_are_shown_with_their_reason():
    account = make_account()
    owe(account, "welcome", to=[owner_of(account)], period="p", at=NOON, window_from=NOON + HOUR)
    entry = what_comes_next(account, account.members.get(), at=NOON)[0]

    assert entry.at == NOON + HOUR
    assert str(entry.text) == "Welcome, with the terms that you accepted"
    assert str(entry.why) == "Because you opened this account."


def test_one_mail_to_several_people_is_one_line():
    account = make_account()
    people = [owner_of(account), make_member(account, "billing").user]
    owe(account, "welcome", to=people, period="p", at=NOON, window_from=NOON + HOUR)
    reader = account.members.owners().get()

    assert len([e for e in what_comes_next(account, reader, at=NOON) if e.at == NOON + HOUR]) == 1


def test_members_see_their_own_mails_only():
    account = make_account()
    seat = make_member(account)
    owe(account, "welcome", to=[owner_of(account)], period="p", at=NOON)

    assert not calendar.mails_to_come(account, seat, NOON)


def test_what_comes_next_is_in_order_whoever_says_it(monkeypatch):
    sources = {
        "late": lambda account, member, at: [CalendarEntry(at=at + 2 * HOUR, text="late")],
        "soon": lambda account, member, at: [CalendarEntry(at=at + HOUR, text="soon")],
    }
    monkeypatch.setattr(calendar, "_SOURCES", sources)
    account = make_account()

    assert [e.text for e in what_comes_next(account, account.members.get(), at=NOON)] == ["soon", "late"]


def test_cards_come_in_their_order_and_only_where_they_have_something_to_say(monkeypatch):
    words = "components/notice.html"
    made = {
        "b": Panel(code="b", order=2, template=words, context=lambda a, m, at: {"text": "second card"}),
        "a": Panel(code="a", order=1, template=words, context=lambda a, m, at: {"text": a.name}),
        "c": Panel(code="c", order=0, template=words, context=lambda a, m, at: None),
    }
    monkeypatch.setattr(panels, "_PANELS", made)
    page = page_of(make_account(name="<Sol & Sons>"))

    assert page.index("&lt;Sol &amp; Sons&gt;</p>") < page.index("second card")


def test_a_page_is_small():
    account = make_account()

    assert len(page_of(account)) < 100_000


def test_the_language_switch_holds_for_a_person_on_every_device():
    account = make_account()
    client_of(owner_of(account)).post(reverse("set_language"), {"language": "es", "next": "/"})

    assert '<html lang="es">' in page_of(account)
    assert User.objects.get(pk=owner_of(account).pk).language == "es"


@pytest.mark.parametrize("language", ["tlh", "", "en-gb-x"])
def test_a_language_that_we_do_not_speak_changes_nothing(language):
    account = make_account()
    client_of(owner_of(account)).post(reverse("set_language"), {"language": language})

    assert owner_of(account).language == "en"


def test_an_anonymous_switch_is_kept_in_a_cookie():
    client = Client()
    client.post(reverse("set_language"), {"language": "es", "next": "/"})

    assert '<html lang="es">' in client.get("/").content.decode()


def test_one_request_s_zone_is_not_the_next_one_s():
    account = make_account(time_zone="Pacific/Auckland")
    page_of(account)
    Client().get("/")

    assert timezone.get_current_timezone_name() == "UTC"


def test_a_person_changes_their_name_and_language():
    user = make_user()
    client_of(user).post(reverse("user_settings"), {"name": "Ana", "language": "es"})
    user.refresh_from_db()

    assert (user.name, user.language) == ("Ana", "es")


def test_a_person_cannot_change_more_than_that():
    user = make_user("ana@example.com")
    fields = {"name": "Ana", "language": "es", "is_staff": "on", "email": "x@example.com"}
    client_of(user).post(reverse("user_settings"), fields)
    user.refresh_from_db()

    assert (user.is_staff, user.email) == (False, "ana@example.com")


def test_the_start_page_is_for_everyone():
    assert Client().get("/").status_code == 200
    assert client_of(make_user()).get("/").status_code == 200


def sessions_of(client):
    return UserSession.objects.filter(session_key=client.session.session_key)


def test_a_look_at_a_page_is_no_write(django_assert_num_queries):
    client = client_of(make_user())
    client.get("/")

    with django_assert_num_queries(2):
        client.get("/")
    assert sessions_of(client).count() == 1


def test_another_browser_of_the_same_session_is_written_at_once():
    client = client_of(make_user())
    client.get("/", headers={"user-agent": "one"})
    client.get("/", headers={"user-agent": "two"})

    assert sessions_of(client).get().user_agent == "two"


def test_a_session_that_is_used_stays_seen(monkeypatch):
    client = client_of(make_user())
    client.get("/")
    before = sessions_of(client).get().last_seen_at
    later = time.time() + SEEN_FOR
    monkeypatch.setattr("accounts.middleware.time.time", lambda: later)
    client.get("/")

    assert sessions_of(client).get().last_seen_at > before
