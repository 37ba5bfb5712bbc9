"""The project package: settings, the Celery app with its timetable, URLs."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
