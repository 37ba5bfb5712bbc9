"""The process: where it listens, how it stops, what it keeps."""

import subprocess
import sys
from pathlib import Path

from sandbox.control import ACTIONS
from sandbox.routes import ROUTES
from sandbox.tests.conftest import ROOT, Account


def start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().removeprefix("sandbox listening on ").strip()


def stop(process: "subprocess.Popen[str]") -> int:
    process.terminate()
    process.communicate(timeout=10)
    return process.returncode


def test_a_file_keeps_everything_over_a_restart(tmp_path: Path) -> None:
    file, key = str(tmp_path / "stripe.db"), "sk_test_restart0123456789"
    first = start("--db", file)
    before = Account(address(first), key)
    secret = before.listen()
    customer = before.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k"}).id
    stopped = stop(first)

    second = start("--db", file)
    after = Account(address(second), key)
    same = after.v1.customers.create({"name": "Ada"}, {"idempotency_key": "k"}).id
    deliveries = after.control("GET", "/deliveries")["deliveries"]
    stop(second)

    assert stopped == 0
    assert same == customer
    assert [d["event"]["type"] for d in deliveries] == ["customer.created"]
    assert secret.startswith("whsec_")


def test_it_listens_on_loopback_only() -> None:
    process = start("--host", "0.0.0.0")
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 2
    assert "binds loopback only" in errors


def test_every_address_is_documented() -> None:
    text = (ROOT / "docs" / "sandbox.md").read_text()
    nouns = {route.rule.removeprefix("/v1/").partition("/<")[0] for route in ROUTES}
    controls = {rule.removeprefix("/_sandbox").replace("<id>", ":id") for _, rule, _ in ACTIONS}

    assert {noun for noun in nouns if f"`{noun}" not in text} == {"invoices/create_preview"}
    assert {path for path in controls if path not in text} == set()
