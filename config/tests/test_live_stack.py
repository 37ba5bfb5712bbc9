"""The stack that browser tests use: real web server, worker, broker, sandbox and a real browser."""

import json
import time
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.timeout(180)


def wait_until(holds, *, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_web_worker_and_sandbox_run_together(live_stack):
    with urllib.request.urlopen(f"{live_stack.url}/readyz") as answer:
        ready = json.load(answer)
    endpoints = live_stack.account.call("GET", "/v1/webhook_endpoints")["data"]

    assert ready == {"status": "ok", "reasons": {}}
    assert [endpoint["url"] for endpoint in endpoints] == [
        f"http://127.0.0.1:{live_stack.port}/webhooks/stripe/"
    ]


def test_a_worker_that_was_killed_is_started_again_and_works(live_stack):
    live_stack.process("worker").kill()
    worker = live_stack.restart_worker()
    wait_until(lambda: "config.tasks.heartbeat" in worker.output(), seconds=20)

    assert "config.tasks.heartbeat" in worker.output()
    assert live_stack.crashed() is None


def test_the_web_works_without_a_broker_and_the_worker_finds_its_way_back(live_stack):
    worker = live_stack.process("worker")
    done_before = worker.output().count("config.tasks.heartbeat")
    live_stack.process("broker").kill()
    with urllib.request.urlopen(f"{live_stack.url}/accounts/login/") as answer:
        page = answer.status
    with pytest.raises(urllib.error.HTTPError) as unready:
        urllib.request.urlopen(f"{live_stack.url}/readyz")
    live_stack.restart_broker()
    live_stack.manage("shell", "-c", "from config.tasks import heartbeat; heartbeat.delay()")
    wait_until(lambda: worker.output().count("config.tasks.heartbeat") > done_before, seconds=40)

    assert page == 200
    assert list(json.load(unready.value)["reasons"]) == ["broker"]
    assert worker.returncode is None


def test_a_browser_sees_the_pages_without_a_violated_policy(live_stack, page):
    complaints = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(live_stack.url)
    page.goto(f"{live_stack.url}/demo/mail/")

    assert page.locator("h1").count() == 1
    assert complaints == []
