"""Every field of every model is classified once, or the build fails (D3)."""

from collections.abc import Iterator

import pytest
from django.core.checks.registry import registry as system_checks
from django.db import models
from django.test.utils import isolate_apps

from accounts.classification import (
    DELETE,
    KEEP,
    NOT_PERSONAL,
    Registry,
    all_models,
    check_deletion_map,
    classify,
    find_faults,
)
from accounts.models import Member


def faults() -> list[str]:
    return [fault.id for fault in check_deletion_map(None)]


def declared(label: str = "accounts.Pet", fate=DELETE, **parts) -> Registry:
    entries = Registry()
    classify(label, fate, **({"path": "account", "name": "pets"} | parts), into=entries)
    return entries


@pytest.fixture
def pet() -> Iterator[type[models.Model]]:
    with isolate_apps("accounts"):

        class Pet(models.Model):  # noqa: DJ008
            name = models.CharField(max_length=9)

            class Meta:
                app_label = "accounts"

        yield Pet


def test_everything_that_exists_is_classified():
    assert [fault.msg for fault in check_deletion_map(None)] == []
    assert len(all_models()) > 80


def test_the_check_runs_with_every_command():
    assert check_deletion_map in system_checks.get_checks()


def test_a_new_field_fails_until_it_is_classified():
    nickname = models.CharField(max_length=9)
    nickname.contribute_to_class(Member, "nickname")
    try:
        found = check_deletion_map(None)
    finally:
        Member._meta.local_fields.remove(nickname)
        Member._meta._expire_cache()

    assert [fault.msg for fault in found] == ["accounts.Member.nickname is not classified."]
    assert 'Add nickname to exported="…" or hidden="…"' in found[0].hint


def test_a_new_field_of_the_mirror_fails_too():
    from djstripe.models import Charge

    novelty = models.CharField(max_length=9)
    novelty.contribute_to_class(Charge, "novelty")
    try:
        found = faults()
    finally:
        Charge._meta.local_fields.remove(novelty)
        Charge._meta._expire_cache()

    assert found == ["accounts.E001"]


def test_a_new_model_fails_and_the_hint_is_what_to_type(pet):
    (fault,) = find_faults(Registry(), [pet])

    assert fault.id == "accounts.E001"
    assert 'classify("accounts.Pet", DELETE, path="account", exported="id name", hidden="")' in fault.hint


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"exported": "name"}, "E001"),
        ({"exported": "id name", "hidden": "name"}, "E002"),
        ({"exported": "id name colour"}, "E003"),
        ({"exported": "id name", "anonymise": {"colour": ""}}, "E003"),
        ({"exported": "id name", "path": ""}, "E004"),
        ({"exported": "id name", "fate": KEEP}, "E005"),
        ({"exported": "id name", "name": ""}, "E006"),
    ],
)
def test_each_fault_in_a_declaration_is_found(pet, parts, code):
    assert [fault.id for fault in find_faults(declared(**parts), [pet])] == [f"accounts.{code}"]


def test_a_right_declaration_has_no_fault(pet):
    assert find_faults(declared(exported="name", hidden="id"), [pet]) == []


def test_a_model_classified_twice_or_gone_fails(pet):
    entries = declared(exported="id name")
    classify("accounts.pet", DELETE, path="account", name="pets", exported="id name", into=entries)
    classify("accounts.Ghost", NOT_PERSONAL, hidden="id", into=entries)

    assert [fault.id for fault in find_faults(entries, [pet])] == ["accounts.E002", "accounts.E003"]


def test_a_row_that_stays_may_not_point_at_one_that_goes(pet):
    owner = pet
    with isolate_apps("accounts"):

        class Tag(models.Model):  # noqa: DJ008
            pet = models.ForeignKey(owner, models.CASCADE)

            class Meta:
                app_label = "accounts"

        entries = declared(exported="id name")
        classify("accounts.Tag", KEEP, path="pet__account", hidden="id pet", because="law", into=entries)

        assert [fault.id for fault in find_faults(entries, [pet, Tag])] == ["accounts.E007"]
