"""The Celery app and the whole timetable of beat jobs.

The database is the queue; Celery is the doorbell: losing the broker loses nothing, because every
task finds its work again in the database (the sweepers run every minute).
"""

import logging
import os
from typing import Any

from celery import Celery, signals
from celery.schedules import crontab

# Whoever names no settings gets the strict ones, never those of a developer.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.prod")
logger = logging.getLogger("good_terms.task")


app = Celery("good_terms")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

every_minute = crontab()
hourly = crontab(minute=7)

#: Every job finds its own work; one that a broker kept too long is dropped, the next one does it.
TIMETABLE = {
    "config.tasks.heartbeat": every_minute,
    "accounts.send_notices": every_minute,
    "accounts.send_webhooks": every_minute,
    "billing.send_instructions": every_minute,
    "billing.apply_events": every_minute,
    "billing.run_trials": every_minute,
    "billing.run_dunning": every_minute,
    "offboarding.complete_due": every_minute,
    "offboarding.resume_pauses": every_minute,
    "offboarding.run_exports": every_minute,
    "offboarding.expire_exports": hourly,
    "offboarding.lapse_reservations": hourly,
    "offboarding.owe_purge_notices": hourly,
    "offboarding.purge_due": hourly,
    "offboarding.purge_books": hourly,
    "billing.backfill": hourly,
    "billing.reconcile": hourly,
    "accounts.forget_webhooks": hourly,
    "billing.owe_card_notices": hourly,
    "billing.run_prices": hourly,
    "accounts.audit": hourly,
    "accounts.forget_old_runs": hourly,
}
app.conf.beat_schedule = {
    name: {"task": name, "schedule": schedule, "options": {"expires": 50}}
    for name, schedule in TIMETABLE.items()
}


@signals.celeryd_init.connect
def listen_patiently(conf: Any = None, **_: Any) -> None:
    """A worker waits for its broker; only a page that rings has a budget of 200 ms."""
    options = dict(conf.broker_transport_options)
    for name in ("socket_timeout", "socket_connect_timeout", "max_retries", "connect_retries_timeout"):
        options.pop(name, None)
    conf.broker_transport_options = options


@signals.celeryd_init.connect
def wait_for_the_broker(**_: Any) -> None:
    """A worker whose broker dies while it works waits for it, and does not die too."""
    from config import broker

    broker.outlive_the_broker()


@signals.setup_logging.connect
def log_as_the_web_does(**_: Any) -> None:
    """Keep Celery from installing its own handlers."""
    from django.conf import settings

    from config import logs

    logs.configure(settings.LOG_LEVEL)


@signals.before_task_publish.connect
def hand_on_the_request(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """A task carries the id of the request that rang for it."""
    from config import logs

    if headers is not None and logs.request_id.get():
        headers["request_id"] = logs.request_id.get()


@signals.task_prerun.connect
def bind_task(task_id: str = "", task: Any = None, **_: Any) -> None:
    """Name the task, and the request behind it, in every line it logs."""
    from config import logs

    logs.task_id.set(task_id)
    logs.request_id.set(str(getattr(task.request, "request_id", None) or ""))
    logs.account_id.set("")


@signals.task_postrun.connect
def log_task(task: Any = None, state: str = "", **_: Any) -> None:
    """One line for each task that ran."""
    from config import logs

    logger.info("task %s", (state or "ended").lower(), extra={"task": task.name})
    logs.task_id.set("")


@signals.worker_ready.connect
def beat_at_once(**_: Any) -> None:
    """A worker that just started is seen to be alive before the first minute is over."""
    app.send_task("config.tasks.heartbeat")
