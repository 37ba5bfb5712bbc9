from typing import Any

from django.db import migrations

STOPPED = ("offboarding.expire_exports", "offboarding.purge_due", "offboarding.purge_books")
REASON = "manage.py purge"


def turn_off_what_was_stopped(apps: Any, schema_editor: Any) -> None:
    """A brake that is pulled stays pulled, as the switches of the jobs that it stopped."""
    pulled = apps.get_model("offboarding", "Brake").objects.exclude(pulled_at=None).first()
    if pulled is not None:
        switch = apps.get_model("accounts", "JobSwitch")
        for name in STOPPED:
            switch.objects.create(
                name=name, is_off=True, actor="system", reason=REASON, at=pulled.pulled_at
            )


def pull_the_brake(apps: Any, schema_editor: Any) -> None:
    """Going back: where deleting is switched off, the brake is pulled."""
    turns = apps.get_model("accounts", "JobSwitch").objects.filter(name=STOPPED[1]).order_by("pk")
    last = turns.last()
    if last is not None and last.is_off:
        apps.get_model("offboarding", "Brake").objects.update_or_create(
            pk=1, defaults={"pulled_at": last.at}
        )


class Migration(migrations.Migration):

    dependencies = [
        ("offboarding", "0003_first_exit_reasons"),
        ("accounts", "0005_jobs_have_switches_and_say_what_they_skipped"),
    ]

    operations = [
        migrations.RunPython(turn_off_what_was_stopped, pull_the_brake),
        migrations.RemoveField(model_name="brake", name="pulled_at"),
    ]
