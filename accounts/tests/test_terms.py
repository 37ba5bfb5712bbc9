"""The terms as people read, accept and compare them."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.models import Event, Terms, TermsText
from accounts.terms import (
    accept_terms,
    difference,
    new_draft,
    plain_text,
    publish_terms,
    rule_columns,
    sentences,
    text_hash,
)
from accounts.tests.worlds import LONG_AGO, NOON, make_account, make_terms, owner_of

pytestmark = pytest.mark.django_db

#: For each column another value that is allowed; the sentence must change with it.
OTHER = {
    "dunning_attempt_days": [2, 6, 9],
    "dunning_end": "cancel",
    "open_invoice": "full",
    "refund_after": "none",
    "refund_keeps_access": False,
    "offers_call": False,
    "trial_grace_days": 0,
    "trial_end_plan": "free_plan",
}


def words(terms, language="en"):
    return {s.rule: s.text for section in sentences(terms, language) for s in section.sentences}


def test_every_rule_column_has_its_sentence():
    assert set(rule_columns()) <= set(words(make_terms()))


@pytest.mark.parametrize("column", rule_columns())
def test_another_value_makes_another_sentence_and_no_other_change(column):
    old = make_terms()
    present = getattr(old, column)
    new = make_terms(2, **{column: OTHER.get(column, present + 1 if isinstance(present, int) else None)})

    changed = [change.rule for change in difference(old, new)]
    assert [rule for rule in changed if rule in rule_columns()] == [column]
    assert set(changed) <= {column, "dunning_block_day"}  # which follows from three of them


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("value", [0, 1, 2])
def test_no_sentence_leaves_a_placeholder_open(language, value):
    numbers = {name: value for name in rule_columns() if name not in OTHER}
    terms = Terms(version=9, in_force_from=NOON, dunning_attempt_days=[3, 6][: value or 1], **numbers)

    for text in words(terms, language).values():
        assert "%(" not in text
        assert text.endswith(".") or "?" in text


def test_each_kind_of_end_and_open_invoice_has_its_own_sentence():
    ends = {words(Terms(version=1, dunning_end=code))["dunning_end"] for code in Terms.DunningEnd.values}
    bills = {words(Terms(version=1, open_invoice=code))["open_invoice"] for code in Terms.OpenInvoice.values}

    assert len(ends) == 4
    assert len(bills) == 3


def test_the_hash_stands_for_the_words_of_one_language():
    old, new = make_terms(), make_terms(2, refund_full_days=7)

    assert len({text_hash(old, "en"), text_hash(old, "es"), text_hash(new, "en")}) >= 2
    assert text_hash(old, "en") == text_hash(Terms.objects.get(version=1), "en")
    assert text_hash(old, "en") != text_hash(new, "en")


def test_a_draft_is_published_and_then_stands(clock):
    draft = new_draft(make_terms(), in_force_from=clock.now() + dt.timedelta(days=30))
    publish_terms(draft, by=SYSTEM, at=clock.now())

    assert draft.version == 2
    with pytest.raises(WrongState):
        publish_terms(draft, by=SYSTEM, at=clock.now())


def test_a_draft_may_be_changed_and_published_terms_may_not():
    terms = make_terms()
    draft = new_draft(terms)
    Terms.objects.filter(pk=draft.pk).update(free_days=1)

    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        Terms.objects.filter(pk=terms.pk).update(free_days=1)
    with pytest.raises(IntegrityError, match="cannot be changed"), transaction.atomic():
        terms.delete()


@pytest.mark.parametrize("days", [-1, 0])
def test_terms_never_come_into_force_in_the_past_nor_before_published_ones(days):
    announced = make_terms(in_force_from=NOON + dt.timedelta(days=5))
    early = new_draft(announced, in_force_from=NOON + dt.timedelta(days=days))

    with pytest.raises(ValidationError) as refused:
        publish_terms(early, by=SYSTEM, at=NOON)
    assert list(refused.value.message_dict) == ["in_force_from"]


def test_the_very_first_terms_may_have_been_in_force_before_we_came():
    first = Terms.objects.create(version=1, in_force_from=LONG_AGO)
    publish_terms(first, by=SYSTEM, at=NOON)

    assert Terms.objects.in_force(NOON) == first


def test_rules_that_contradict_each_other_are_not_published():
    draft = Terms.objects.create(version=1, in_force_from=NOON, dunning_block_after=5)

    with pytest.raises(ValidationError) as refused:
        publish_terms(draft, by=SYSTEM, at=NOON)
    assert list(refused.value.message_dict) == ["dunning_block_after"]


@pytest.mark.parametrize(
    ("columns", "refused"),
    [
        (
            {"dunning_attempt_days": [3, 5, 7]},
            "dunning_attempt_days",
        ),  # blocked on day 7, nobody tries on day 6
        ({"dunning_attempt_days": []}, "dunning_attempt_days"),
        ({"dunning_attempt_days": [6, 3]}, "dunning_attempt_days"),
        ({"dunning_attempt_days": ["3"]}, "dunning_attempt_days"),
        ({"dunning_attempt_days": [1, 2], "dunning_grace_days": 0}, "dunning_grace_days"),  # blocked on day 2
        ({"trial_extension_engaged_days": 3}, "trial_extension_engaged_days"),
        ({"dunning_attempt_days": [3, 6, 10]}, ""),
        ({"dunning_attempt_days": [3], "dunning_grace_days": 4}, ""),
        ({"dunning_attempt_days": [4, 8], "dunning_block_after": 3, "dunning_grace_days": 0}, ""),
    ],
)
def test_attempts_that_do_not_fit_are_refused(columns, refused):
    draft = Terms(version=3, in_force_from=NOON, **columns)

    try:
        draft.full_clean(exclude=["published_at"])
        found = ""
    except ValidationError as error:
        (found,) = error.message_dict
    assert found == refused


def test_the_days_of_block_and_end_follow_from_the_attempts():
    days = [
        (t.dunning_block_day, t.dunning_end_day)
        for t in (
            Terms(),
            Terms(dunning_attempt_days=[3, 9, 15], dunning_block_after=3, dunning_grace_days=0),
            Terms(dunning_attempt_days=[3], dunning_grace_days=4),
        )
    ]

    assert days == [(7, 11), (10, 16), (4, 4)]


def test_what_is_in_force_depends_on_the_moment():
    old, new = make_terms(), make_terms(2, in_force_from=NOON)

    assert Terms.objects.in_force(NOON - dt.timedelta(seconds=1)) == old
    assert Terms.objects.in_force(NOON) == new


def test_an_account_keeps_the_version_it_accepted_with_its_words():
    account, new = make_account(), make_terms(2, in_force_from=NOON, free_days=3)
    owner = owner_of(account)
    accepted = accept_terms(account, new, by_user=owner, language="es", immediate_start=True, at=NOON)
    account.refresh_from_db()

    assert account.terms == new
    assert (accepted.accepted_at, accepted.language, accepted.immediate_start) == (NOON, "es", True)
    assert TermsText.objects.get(text_hash=accepted.text_hash).text == plain_text(new, "es")
    assert Event.objects.get().facts["text_hash"] == accepted.text_hash


def test_accepting_twice_is_accepting_once():
    account, new = make_account(), make_terms(2)
    for language in ("en", "es"):
        accept_terms(
            account, new, by_user=owner_of(account), language=language, immediate_start=False, at=NOON
        )

    assert account.acceptances.get().language == "en"
    assert Event.objects.count() == 1


def test_terms_that_are_not_in_force_cannot_be_accepted():
    account, announced = make_account(), make_terms(2, in_force_from=NOON)

    with pytest.raises(WrongState):
        accept_terms(
            account,
            announced,
            by_user=owner_of(account),
            language="en",
            immediate_start=True,
            at=NOON - dt.timedelta(seconds=1),
        )


@pytest.mark.parametrize("language", ["en", "es"])
def test_anybody_can_read_the_terms_in_their_language(language):
    terms = make_terms()
    page = Client(headers={"accept-language": language}).get("/terms/").content.decode()

    for text in words(terms, language).values():
        assert text in page.replace("&#x27;", "'").replace("&quot;", '"')


def test_drafts_are_not_public_and_announced_versions_are():
    make_terms(2, in_force_from=NOON.replace(year=2100))
    new_draft(make_terms())

    assert Client().get("/terms/2/").status_code == 200
    assert Client().get("/terms/3/").status_code == 404
    assert Client().get("/terms/1/3/").status_code == 404


def test_the_difference_page_shows_both_sentences():
    old, new = make_terms(refund_full_days=14), make_terms(2, refund_full_days=7)
    page = Client().get("/terms/1/2/").content.decode()

    assert words(old)["refund_full_days"] in page
    assert words(new)["refund_full_days"] in page
    assert words(new)["free_days"] not in page


def test_reading_the_terms_costs_little(django_assert_max_num_queries):
    for version in range(1, 6):
        make_terms(version)

    with django_assert_max_num_queries(2):
        Client().get("/terms/3/")
