"""Celery is only the doorbell: the work is already in the database when it rings.

A broker that is gone costs nothing but a minute: the sweepers of the timetable find the work.
"""

import logging
import threading
from typing import Final

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

#: Seconds in which bells for the same task are one.
TOGETHER: Final = 0.05
_about_to_ring: set[str] = set()
_lock = threading.Lock()


def ring(task: str, *ids: int | str) -> None:
    """After the commit, tell a worker that this task has something to do; failing is harmless."""
    transaction.on_commit(lambda: _publish(task, *ids), robust=True)


def ring_soon(task: str) -> None:
    """For what comes in floods: after the commit, one bell for all that came within `TOGETHER` seconds.

    A thread rings it, so that nobody waits for the broker; if the process ends before, the sweeper finds
    the work as it does after any bell that was lost.
    """
    transaction.on_commit(lambda: _ring_later(task), robust=True)


def _ring_later(task: str) -> None:
    with _lock:
        if task in _about_to_ring:
            return
        _about_to_ring.add(task)
    bell = threading.Timer(TOGETHER, _ring_now, [task])
    bell.daemon = True
    bell.start()


def _ring_now(task: str) -> None:
    with _lock:
        _about_to_ring.discard(task)  # before it rings: what comes from now on gets a bell of its own
    _publish(task)


def _publish(task: str, *ids: int | str) -> None:
    try:
        current_app.send_task(task, args=ids, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        logger.warning(
            "broker does not answer, the sweeper will find it",
            extra={"task": task, "why": type(error).__name__},
        )
