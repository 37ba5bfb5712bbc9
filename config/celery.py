"""The Celery app and the whole timetable of beat jobs.

The database is the queue; Celery is the doorbell: losing the broker loses nothing, because every
task finds its work again in the database (the sweepers run every minute).
"""

import os

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

app = Celery("good_terms")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

every_minute = crontab()
hourly = crontab(minute=7)

app.conf.beat_schedule = {}
