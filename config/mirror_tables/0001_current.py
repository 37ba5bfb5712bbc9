"""The mirror's tables as its models are today, in seconds.

Its own history takes about 100 s of CPU per database and only matters where there are rows to carry
over: a server runs it, everything else runs this. Run as a migration and not by `--run-syncdb`, because
that comes before ours, and PostgreSQL refuses a foreign key to users that do not exist yet.
"""

from django.apps import apps
from django.conf import settings
from django.db import migrations
from django.db.migrations.operations.base import Operation


class CreateCurrentTables(Operation):
    """Every model of the app, from its code and not from its history."""

    reversible = True

    def state_forwards(self, app_label, state):
        """Nothing: no migration of ours names these models, and carrying them would triple the time."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        for model in apps.get_app_config(app_label).get_models():
            schema_editor.create_model(model)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        for model in reversed(list(apps.get_app_config(app_label).get_models())):
            schema_editor.delete_model(model)

    def describe(self):
        return "Create every table of the mirror"


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.DJSTRIPE_SUBSCRIBER_MODEL)]
    operations = [CreateCurrentTables()]
