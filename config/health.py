"""Two questions of the machinery around us: is it alive, is it ready."""

from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu import Connection
from kombu.exceptions import OperationalError

from config.tasks import heartbeat_age

BROKER_SECONDS = 0.5


@require_safe
@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """Alive: this process answers. Point the load balancer here: pages work without broker and jobs."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Ready: database, broker and jobs; 503 with the reasons. Point the monitoring here."""
    checks: dict[str, Callable[[], str]] = {"database": _database, "broker": _broker, "jobs": _jobs}
    reasons = {name: reason for name, check in checks.items() if (reason := check())}
    body = {"status": "unready" if reasons else "ok", "reasons": reasons}
    return JsonResponse(body, status=503 if reasons else 200)


def _database() -> str:
    """What is wrong with the database, empty when nothing is."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "the database does not answer"
    return ""


def _broker() -> str:
    options = dict(settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    if str(settings.CELERY_BROKER_URL).startswith(("redis", "unix")):
        options |= {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}
    try:
        with Connection(settings.CELERY_BROKER_URL, transport_options=options) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except (OperationalError, OSError):
        return "the broker does not answer; pages work, jobs wait"
    return ""


def _jobs() -> str:
    try:
        age = heartbeat_age()
    except DatabaseError:
        return "unknown while the database does not answer"
    if age is None:
        return "no worker has reported yet: start a worker and beat"
    if age > settings.HEARTBEAT_LIMIT:
        return f"the last report of a worker is {age:.0f} s old: is a worker running, and beat?"
    return ""
