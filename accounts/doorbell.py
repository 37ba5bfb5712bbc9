"""Celery is only the doorbell: the work is already in the database when it rings.

A broker that is gone costs nothing but a minute: the sweepers of the timetable find the work.
"""

import logging

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ring(task: str, *ids: int | str) -> None:
    """After the commit, tell a worker that this task has something to do; failing is harmless."""
    transaction.on_commit(lambda: _publish(task, *ids), robust=True)


def _publish(task: str, *ids: int | str) -> None:
    try:
        current_app.send_task(task, args=ids, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        logger.warning(
            "broker does not answer, the sweeper will find it",
            extra={"task": task, "why": type(error).__name__},
        )
