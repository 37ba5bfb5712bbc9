"""The history in words: everything recorded anywhere has a sentence, in every language and zone."""

import datetime as dt
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from accounts import history
from accounts.events import PROVIDER, SYSTEM, By, record
from accounts.history import in_words, known_kinds, read_history
from accounts.models import Account, Event
from accounts.opening import change_account
from accounts.tests.worlds import NOON, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

#: `record(account, "kind"`, over line breaks; an f-string's fixed beginning is what can be read off.
RECORDED = re.compile(r'\brecord(?:_many)?\(\s*[\w.]+,\s*(f?)"([^"]+)"')


def recorded_kinds():
    """(kind, is a pattern) for every kind that the product's code records."""
    found = set()
    for app in ("accounts", "billing", "offboarding", "config"):
        for file in (Path(settings.BASE_DIR) / app).rglob("*.py"):
            if "tests" not in file.parts:
                found |= {(kind, bool(f)) for f, kind in RECORDED.findall(file.read_text())}
    return sorted(found)


def test_the_search_finds_what_is_recorded():
    assert ("account.opened", False) in recorded_kinds()
    assert ("account.{state}", True) in recorded_kinds()


@pytest.mark.parametrize(("kind", "is_pattern"), recorded_kinds())
def test_every_kind_that_is_recorded_has_words(kind, is_pattern):
    if is_pattern:
        pattern = re.sub(r"\\\{.*?\\\}", ".+", re.escape(kind))

        assert any(re.fullmatch(pattern, known) for known in known_kinds())
    else:
        assert kind in known_kinds()


def test_every_state_has_words():
    assert {f"account.{state}" for state in Account.State.values} <= known_kinds()


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("kind", sorted(known_kinds()))
def test_no_sentence_shows_a_code_even_when_its_facts_are_missing(kind, language):
    with translation.override(language):
        text = in_words(Event(account_ref="a", seq=1, kind=kind, actor="system", at=NOON))

    assert kind not in text
    assert "%(" not in text
    assert "None" not in text


def test_a_kind_without_words_is_never_shown_by_its_code():
    text = in_words(Event(account_ref="a", seq=7, kind="x.y_z", actor="system", at=NOON))

    assert "x.y" not in text
    assert "7" in text


def test_it_says_who_did_it():
    account = make_account()
    owner, other = owner_of(account), make_member(account, user=make_user(name="Luis")).user
    gone = make_user()
    for by in (By.customer(owner), By.customer(other), By.customer(gone), By.staff(other), PROVIDER, SYSTEM):
        record(account, "member.invited", by=by, at=NOON, role="member")
    gone.delete()
    lines, _ = read_history(account, reader=account.members.get(user=owner))

    assert [line.who for line in reversed(lines)] == [
        "You",
        "Luis",
        "Someone of your team",
        "Our support",
        "The payment provider",
        "Automatic",
    ]


def test_it_names_the_person_as_long_as_there_is_one():
    account, luis = make_account(), make_user(name="Luis")
    event = record(account, "member.left", by=SYSTEM, at=NOON, subject=luis.public_id)
    reader = account.members.get()
    before, _ = read_history(account, reader=reader)
    luis.delete()
    after, _ = read_history(account, reader=reader)

    assert before[0].text == "Luis left the team."
    assert "Luis" not in after[0].text
    assert "Luis" not in str(event.facts)


def test_members_who_do_not_pay_see_no_money(monkeypatch):
    monkeypatch.setitem(history._WORDS, "refund.paid", history.Words("A refund was paid.", {}))
    account = make_account()
    record(account, "refund.paid", by=SYSTEM, at=NOON)
    record(account, "account.active", by=SYSTEM, at=NOON)
    seats = [make_member(account, "member"), make_member(account, "billing")]

    assert [len(read_history(account, reader=seat)[0]) for seat in seats] == [1, 2]


def test_customers_do_not_read_of_our_orders_to_the_provider():
    account = make_account()
    record(account, "instruction.given", by=SYSTEM, at=NOON, version=1)
    record(account, "account.active", by=SYSTEM, at=NOON)
    lines, _ = read_history(account, reader=account.members.get())

    assert [line.text for line in lines] == [in_words(Event.objects.get(kind="account.active"))]


def test_amounts_and_days_are_written_for_the_reader():
    facts = {"amount": 12345, "currency": "EUR", "until": "2026-03-31T22:30:00+00:00"}
    madrid = account_zone("Europe/Madrid")
    with translation.override("es"), timezone.override(madrid):
        texts = [history.money("amount")(facts), history.day("until")(facts)]

    assert texts == ["123,45\xa0€", "1 de abril de 2026"]


def account_zone(name):
    return Account(time_zone=name).zone


def test_pages_follow_each_other_without_gap_or_overlap():
    account = make_account()
    for _ in range(70):
        record(account, "account.active", by=SYSTEM, at=NOON)
    reader, seen, before = account.members.get(), [], None
    while True:
        lines, before = read_history(account, reader=reader, before=before)
        seen += [line.seq for line in lines]
        if before is None:
            break

    assert seen == list(range(70, 0, -1))


def test_a_page_costs_one_query(django_assert_num_queries):
    account = make_account()
    for number in range(30):
        by = By.customer(make_user(f"p{number}@example.com"))
        record(account, "account.active", by=by, at=NOON)
    reader = account.members.select_related("user").get()

    with django_assert_num_queries(1):
        read_history(account, reader=reader)


@pytest.mark.parametrize("before", ["", "x", "-1", "9" * 30, "0", "2"])
def test_the_history_page_answers_whatever_is_asked(before):
    account = make_account()
    for _ in range(3):
        record(account, "account.active", by=SYSTEM, at=NOON)
    client = Client()
    client.force_login(owner_of(account))
    url = reverse("account_history", args=[account.public_id])

    assert client.get(url, {"before": before}).status_code == 200


def test_a_changed_country_is_in_the_history_with_both_values():
    account = make_account()
    by = By.customer(owner_of(account))
    changed = change_account(
        account, {"country": "DE", "name": "Sol GmbH", "state": "closed"}, by=by, at=NOON
    )
    account.refresh_from_db()
    country, others = Event.objects.order_by("seq")

    assert changed == ["name", "country"]
    assert account.state == "active"
    assert country.facts == {"before": "ES", "after": "DE"}
    assert others.facts == {"columns": ["name"]}
    assert in_words(country) == "The country was changed from Spain to Germany."


def test_no_change_is_no_event():
    account = make_account()

    assert change_account(account, {"country": "ES"}, by=SYSTEM, at=NOON) == []
    assert not Event.objects.exists()


def test_settings_are_changed_from_the_page_and_the_next_page_uses_them():
    account = make_account()
    client = Client()
    client.force_login(owner_of(account))
    fields = {"name": "Sol", "country": "NZ", "time_zone": "Pacific/Auckland", "language": "es"}
    client.post(reverse("account_settings", args=[account.public_id]), fields)
    account.refresh_from_db()

    assert (account.country, account.time_zone, account.language) == ("NZ", "Pacific/Auckland", "es")
    assert account.zone.utcoffset(dt.datetime(2026, 1, 1)) == dt.timedelta(hours=13)
