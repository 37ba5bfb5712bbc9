"""Logs carry ids, never an address, a key or a path."""

import json
import logging
import sys

import pytest
from django.http import HttpResponse
from django.urls import path

from config import logs
from config.middleware import RequestMiddleware


def line(message: str, *arguments: object, name: str = "good_terms.test", **extra: object) -> dict:
    record = logging.LogRecord(name, logging.INFO, __file__, 1, message, arguments or None, None)
    vars(record).update(extra)
    return json.loads(logs.JsonFormatter().format(record))


@pytest.mark.parametrize(
    "secret",
    [
        "ana.perez+x@kunde.example.com",
        "sk_live_51Habcdefghijkl",
        "whsec_abcdef",
        "seti_1N_secret_abcDEF123",
        "192.168.10.7",
        "4242 4242 4242 4242",
    ],
)
def test_what_identifies_a_person_or_opens_a_door_is_masked(secret):
    assert secret not in line("failed for %s (again)", secret)["message"]
    assert "again" in line("failed for %s (again)", secret)["message"]


def test_only_known_fields_are_written():
    written = line("request", route="/a/<str:account_id>/", status=200, email="a@b.test", name2="Ana")

    assert written["route"] == "/a/<str:account_id>/"
    assert "email" not in written
    assert "name2" not in written


def test_an_exception_is_masked_too():
    try:
        raise ValueError("Key (email)=(ana@example.org) already exists")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, sys.exc_info())
    written = json.loads(logs.JsonFormatter().format(record))

    assert "ValueError" in written["exception"]
    assert "ana@example.org" not in written["exception"]


def test_djangos_own_line_about_a_request_says_no_path():
    written = line("Not Found: %s", "/r/secret-receipt-token/", name="django.request")

    assert "secret-receipt-token" not in json.dumps(written)


def page(request, account_id):
    logging.getLogger("good_terms.test").info("inside")
    return HttpResponse("ok")


class Urls:
    urlpatterns = [path("a/<str:account_id>/page/", page)]


def test_each_request_gets_one_line_with_request_and_account_id(client, settings, caplog):
    settings.ROOT_URLCONF = Urls
    settings.MIDDLEWARE = ["config.middleware.RequestMiddleware"]
    seen: list[tuple[str, str]] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append((logs.request_id.get(), logs.account_id.get()))
    logger = logging.getLogger("good_terms")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        response = client.get("/a/acc123/page/?q=ana@example.org", headers={"X-Request-ID": "proxy-id-12345"})
    finally:
        logger.removeHandler(handler)

    assert seen == [("proxy-id-12345", "acc123")] * 2
    assert response["X-Request-ID"] == "proxy-id-12345"
    assert logs.account_id.get() == ""


def test_a_hostile_request_id_is_replaced(rf):
    response = RequestMiddleware(lambda request: HttpResponse())(
        rf.get("/", headers={"X-Request-ID": 'x"}\n{"level":"error"'})
    )

    assert "level" not in response["X-Request-ID"]
    assert len(response["X-Request-ID"]) == 20


def test_an_error_tracker_gets_no_person_and_no_address():
    event = {
        "user": {"email": "ana@example.org"},
        "request": {
            "url": "https://x.test/r/token/",
            "method": "POST",
            "headers": {"Cookie": "s"},
            "data": "d",
        },
        "exception": {"values": [{"type": "ValueError", "value": "ana@example.org is wrong"}]},
        "breadcrumbs": {"values": [{"message": "ana@example.org"}]},
    }
    sent = json.dumps(logs.without_personal_facts(event, None))

    assert "ana" not in sent
    assert "token" not in sent
    assert "ValueError" in sent
