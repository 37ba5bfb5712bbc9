"""Structured logs: one JSON object a line, with request, task and account id and no personal data.

Nothing here logs a URL's path, a query string, a header or an address: the route's pattern names the
page, and addresses and keys that stray into a message are masked.
"""

import json
import logging
import logging.config
import re
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

request_id: ContextVar[str] = ContextVar("request_id", default="")
task_id: ContextVar[str] = ContextVar("task_id", default="")
account_id: ContextVar[str] = ContextVar("account_id", default="")

#: Extra fields of a record that may be written; anything else could carry what nobody thought of.
FIELDS = ("method", "route", "status", "ms", "task", "job", "kind", "count", "reason", "why", "event")
MASKS = (
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "<address>"),
    (re.compile(r"\b(?:sk|rk|pk)_(?:test|live)_\w+|\bwhsec_\w+|\b(?:seti|pi|cs)_\w+_secret_\w+"), "<key>"),
    (re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"), "<ip>"),
    (re.compile(r"\b(?:\d[ -]?){12,18}\d\b"), "<number>"),
)


def masked(text: str) -> str:
    """`text` without e-mail addresses, keys, client secrets, IP addresses and card-like numbers."""
    for pattern, instead in MASKS:
        text = pattern.sub(instead, text)
    return text


class JsonFormatter(logging.Formatter):
    """One line of JSON for a record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(_message(record)),
        }
        for name, variable in (("request", request_id), ("task_id", task_id), ("account", account_id)):
            if variable.get():
                line[name] = variable.get()
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def _message(record: logging.LogRecord) -> str:
    """The message; Django's own lines about a request name the path, which may be a secret link."""
    if record.name.startswith(("django.request", "django.security")) and isinstance(record.args, tuple):
        return str(record.msg).replace("%s", "-")
    return record.getMessage()


def configure(level: str = "INFO") -> None:
    """Send every logger of this process to the error stream as JSON."""
    quiet = {"level": "WARNING", "handlers": [], "propagate": True}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
            "handlers": {"stream": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level, "handlers": ["stream"]},
            "loggers": {
                # The access line of RequestMiddleware says the same without the path.
                "django.request": {"level": "ERROR", "handlers": [], "propagate": True},
                "django.server": {"level": "ERROR", "handlers": [], "propagate": True},
                "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
                "stripe": quiet,
                "urllib3": quiet,
                "celery.app.trace": quiet,
                "celery.worker.strategy": quiet,
            },
        }
    )
    logging.captureWarnings(True)


def milliseconds_since(start: float) -> int:
    """Whole milliseconds since a `time.monotonic()`."""
    return round((time.monotonic() - start) * 1000)


def without_personal_facts(event: Any, hint: Any) -> Any:
    """What may be sent to an error tracker: no user, no request beyond its method, messages masked."""
    event.pop("user", None)
    request = event.pop("request", None)
    if request and request.get("method"):
        event["request"] = {"method": request["method"]}
    event["transaction"] = None
    event["breadcrumbs"] = {"values": []}
    event.setdefault("tags", {}).update(request_id=request_id.get(), account_id=account_id.get())
    for value in (event.get("exception") or {}).get("values", []):
        value["value"] = masked(str(value.get("value", "")))
    if "logentry" in event:
        event["logentry"] = {"message": masked(str(event["logentry"].get("message", "")))}
    return event
