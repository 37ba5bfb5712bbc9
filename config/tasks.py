"""The worker's sign of life."""

import time

from celery import shared_task
from django.core.cache import cache

HEARTBEAT = "config.heartbeat"


@shared_task
def heartbeat() -> None:
    """Every minute: beat, broker, worker and database work together, else this stops being written."""
    cache.set(HEARTBEAT, time.time(), None)


def heartbeat_age() -> float | None:
    """Seconds of real time since the last heartbeat; None where there never was one."""
    at = cache.get(HEARTBEAT)
    return None if at is None else max(0.0, time.time() - float(at))
