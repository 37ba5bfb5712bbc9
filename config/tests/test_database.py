"""What `migrate` leaves behind besides the tables of our models."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.core.management import call_command
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.django_db


def manage(database: str, *arguments: str) -> str:
    env = {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    command = [sys.executable, "manage.py", *arguments, "--skip-checks"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(180)
def test_every_migration_can_be_undone_and_done_again(own_database_url):
    manage(own_database_url, "migrate", "-v", "0")
    for app in ("offboarding", "billing", "accounts"):
        manage(own_database_url, "migrate", app, "zero", "-v", "0")
    left = manage(own_database_url, "showmigrations", "accounts", "billing", "offboarding")
    manage(own_database_url, "migrate", "-v", "0")

    assert "[X]" not in left
    assert "[ ]" in left
    manage(own_database_url, "migrate", "--check")


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


def test_no_index_is_the_beginning_of_another_one():
    for model in apps.get_models():
        if model._meta.app_label not in ("accounts", "billing", "offboarding"):
            continue
        ordered = [*model._meta.indexes, *model._meta.constraints]
        whole = [each for each in ordered if getattr(each, "fields", ()) and each.condition is None]
        first = {each.fields[0].lstrip("-"): each.name for each in whole}
        alone = {field.name for field in model._meta.local_fields if field.db_index and not field.unique}

        assert not alone & first.keys(), f"{model.__name__}: {first}"
