"""The sandbox as seen from outside: starting it and speaking to it over HTTP, as to Stripe."""

import json
import os
import re
import secrets
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.demo.processes import Process

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"^sandbox listening on (http://127\.0\.0\.1:\d+)", re.MULTILINE)
#: Deliveries to this host are not posted by the sandbox: tests pull them one by one.
PULL_URL = "https://pull.invalid/webhooks/stripe/"


def start_sandbox(*, port: int, database: str, log: Path) -> tuple[Process, str]:
    """Start the sandbox (port 0: any free one, database ":memory:" or a file); return it and its address."""
    process = Process(
        "sandbox",
        [sys.executable, "-u", "-m", "sandbox", "--port", str(port), "--db", database],
        log,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
    )
    try:
        process.wait_until(lambda: READY.search(process.output()) is not None)
    except BaseException:
        process.stop()
        raise
    found = READY.search(process.output())
    assert found is not None
    return process, found.group(1)


@dataclass(frozen=True)
class SandboxAccount:
    """One isolated Stripe account in the sandbox: every distinct secret key is one."""

    url: str
    secret_key: str
    publishable_key: str
    webhook_secret: str = ""

    @classmethod
    def open(cls, url: str, *, webhook_url: str = "", suffix: str = "") -> "SandboxAccount":
        """A fresh account; with a webhook URL its endpoint is registered and the signing secret kept."""
        suffix = suffix or secrets.token_hex(16)
        account = cls(url, f"sk_test_{suffix}", f"pk_test_{suffix}")
        if not webhook_url:
            return account
        endpoint = account.call(
            "POST", "/v1/webhook_endpoints", {"url": webhook_url, "enabled_events[0]": "*"}
        )
        return cls(url, account.secret_key, account.publishable_key, str(endpoint["secret"]))

    def call(self, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
        """One API call as this account with form-encoded parameters ("a[b][0]" keys); raises on an error."""
        body = urllib.parse.urlencode(form).encode() if form and method != "GET" else None
        query = f"?{urllib.parse.urlencode(form)}" if form and method == "GET" else ""
        return self._send(method, path + query, body, "application/x-www-form-urlencoded")

    def control(self, method: str, path: str, document: Any = None) -> Any:
        """One call of the sandbox's own controls ("/_sandbox/..."), JSON in and out."""
        body = None if document is None else json.dumps(document).encode()
        return self._send(method, path, body, "application/json")

    def _send(self, method: str, path: str, body: bytes | None, content_type: str) -> Any:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        request.add_header("Authorization", f"Bearer {self.secret_key}")
        if body is not None:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")
            raise RuntimeError(f"{method} {path} was answered {error.code}: {detail}") from error
