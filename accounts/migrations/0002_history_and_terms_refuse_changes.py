from django.db import migrations

from accounts.triggers import refuse_changes


class Migration(migrations.Migration):
    """The history is append-only (C10) and published terms stand as they were published."""

    dependencies = [("accounts", "0001_initial")]

    operations = [
        refuse_changes("accounts_event", name="event_append_only", message="The history is append-only."),
        refuse_changes(
            "accounts_terms", name="terms_immutable", when="OLD.published_at IS NOT NULL",
            message="Published terms cannot be changed.",
        ),
    ]
