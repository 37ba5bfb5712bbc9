"""What `migrate` leaves behind besides the tables of our models."""

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

pytestmark = pytest.mark.django_db


def test_staff_roles_find_the_mirrors_permissions():
    found = Permission.objects.filter(content_type__app_label="djstripe", codename="view_subscription")

    assert found.count() == 1


def test_the_mirror_has_all_its_tables():
    assert {"djstripe_customer", "djstripe_refund"} <= set(connection.introspection.table_names())


def test_the_shared_cache_has_its_table_after_every_migration(settings):
    from config.settings import base

    settings.CACHES = {"default": base.CACHES["default"]}
    call_command("migrate", verbosity=0)
    call_command("migrate", verbosity=0)
    caches["default"].set("key", {"a": 1})

    assert caches["default"].get("key") == {"a": 1}


def test_sqlite_is_set_as_the_invariants_ask():
    if connection.vendor != "sqlite":
        pytest.skip("SQLite only: its pragmas")
    with connection.cursor() as cursor:
        found = [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "foreign_keys")]

    assert found == [2, 1]
    assert connection.transaction_mode == "IMMEDIATE"
