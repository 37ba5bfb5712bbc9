"""/healthz and /readyz tell a load balancer and a monitor what they need."""

import socket
import time

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.utils import OperationalError

from config import tasks


@pytest.mark.django_db
def test_a_machine_with_database_broker_and_worker_is_ready(client):
    tasks.heartbeat()
    response = client.get("/readyz")

    assert response.json() == {"status": "ok", "reasons": {}}
    assert response.status_code == 200


@pytest.mark.django_db
def test_a_worker_that_never_reported_is_a_reason(client):
    response = client.get("/readyz")

    assert response.status_code == 503
    assert "worker" in response.json()["reasons"]["jobs"]


@pytest.mark.django_db
def test_a_worker_that_fell_silent_is_a_reason(client):
    cache.set(tasks.HEARTBEAT, time.time() - 181, None)
    reasons = client.get("/readyz").json()["reasons"]

    assert "181 s old" in reasons["jobs"]
    assert set(reasons) == {"jobs"}


@pytest.mark.django_db
def test_a_broker_that_is_gone_is_a_reason_within_two_seconds(client, settings):
    tasks.heartbeat()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        started = time.monotonic()
        response = client.get("/readyz")

    assert set(response.json()["reasons"]) == {"broker"}
    assert time.monotonic() - started < 2


@pytest.mark.django_db
def test_a_database_that_is_gone_is_a_reason(client, monkeypatch):
    def gone():
        raise OperationalError("no")

    monkeypatch.setattr(connection, "cursor", gone)
    response = client.get("/readyz")

    assert response.status_code == 503
    assert "database" in response.json()["reasons"]["database"]


def test_being_alive_asks_nobody(client, settings):
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.post("/healthz").status_code == 405
