"""The timetable rings for tasks that exist, and never lets bells pile up."""

import pytest

from accounts.jobs import jobs
from config.celery import TIMETABLE, app


@pytest.mark.django_db
def test_every_entry_names_a_task_that_exists():
    app.loader.import_default_modules()
    unknown = {entry["task"] for entry in app.conf.beat_schedule.values()} - set(app.tasks)

    assert unknown == set()
    assert set(TIMETABLE) - set(jobs()) == {"config.tasks.heartbeat"}, "declare it with @beat_job"


def test_a_bell_that_nobody_heard_is_not_kept():
    kept = [
        name for name, entry in app.conf.beat_schedule.items() if not entry.get("options", {}).get("expires")
    ]

    assert kept == [], "give each entry an `expires`, so that an outage does not end in a burst"
