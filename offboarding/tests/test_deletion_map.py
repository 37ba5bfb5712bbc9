"""The ways that the map names lead to real rows, on either database."""

import pytest

from accounts.classification import KEEP, Subject, registry
from accounts.law import STRICTEST_YEARS, TAX_RETENTION, books_end, tax_years
from accounts.tests.worlds import NOON, make_account, owner_of
from billing.models import Customer

pytestmark = pytest.mark.django_db


def test_every_way_to_the_rows_can_be_asked():
    account = make_account()
    Customer.objects.create(account=account, provider_id="cus_1")
    subject = Subject(account.pk, account.public_id, (owner_of(account).pk,))
    asked = 0
    for entry in registry:
        if entry.is_personal or entry.name:
            for rows in (entry.rows, entry.doomed, entry.rows_to_export, entry.own_rows):
                list(rows(subject).values_list("pk"))
                asked += 1

    assert asked > 150


def test_names_of_exported_files_are_unique():
    names = [entry.name for entry in registry if entry.name]

    assert len(names) == len(set(names)) > 20


def test_kept_rows_say_why():
    assert all(entry.because for entry in registry if entry.fate is KEEP)


def test_books_end_with_a_whole_number_of_calendar_years():
    assert books_end("ES", NOON).isoformat() == "2033-01-01T00:00:00+00:00"
    assert books_end("de", NOON).year == NOON.year + 9


def test_an_unknown_country_gets_the_longest_term():
    assert tax_years("XX") == STRICTEST_YEARS == max(rule.years for rule in TAX_RETENTION.values())
