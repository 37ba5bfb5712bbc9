"""The project package as an app: its commands, its checks, the shared cache's table, the logs."""

import os
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.auth.management import create_permissions
from django.contrib.contenttypes.management import create_contenttypes
from django.core.management import call_command
from django.db.models.signals import post_migrate


def create_cache_table(using: str = "default", **_: Any) -> None:
    """`migrate` makes the shared cache's table too, so that there is one command and not two."""
    call_command("createcachetable", database=using, verbosity=0)


def create_mirror_permissions(using: str = "default", **_: Any) -> None:
    """Give staff roles the mirror's permissions where its tables come from `config.mirror_tables`.

    Django makes them from the migrations' state, which leaves these models out.
    """
    mirror = apps.get_app_config("djstripe")
    create_contenttypes(mirror, verbosity=0, using=using, apps=apps)
    create_permissions(mirror, verbosity=0, using=using, apps=apps)


class ProjectConfig(AppConfig):
    name = "config"
    verbose_name = "Good Terms"

    def ready(self) -> None:
        from django.conf import settings

        from config import checks  # noqa: F401 (registers them)
        from config.borrowed_words import name_columns
        from config.logs import configure
        from config.roles import write_roles

        name_columns()
        # An app without models gets no signal of its own.
        post_migrate.connect(
            create_cache_table, sender=apps.get_app_config("accounts"), dispatch_uid="shared_cache"
        )
        # The last app of the list that has models: by then every permission is there.
        post_migrate.connect(
            write_roles, sender=apps.get_app_config("offboarding"), dispatch_uid="staff_roles"
        )
        if "djstripe" in settings.MIGRATION_MODULES:
            post_migrate.connect(
                create_mirror_permissions,
                sender=apps.get_app_config("djstripe"),
                dispatch_uid="mirror_permissions",
            )
        if "PYTEST_VERSION" not in os.environ:
            configure(settings.LOG_LEVEL)
