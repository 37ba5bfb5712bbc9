"""Pure pieces of the settings: database options, the content security policy, and hours for mail."""

import datetime as dt
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

STRIPE = "https://api.stripe.com"


def database(parsed: dict[str, Any], *, pool: int = 0) -> dict[str, Any]:
    """Django's options for a database URL; `pool` is the most connections a PostgreSQL process keeps."""
    options = dict(parsed.get("OPTIONS", {}))
    if parsed["ENGINE"].endswith("sqlite3"):
        options |= {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
        }
    elif pool:
        parsed = {**parsed, "ENGINE": "config.postgresql"}
        options["pool"] = {"min_size": 1, "max_size": pool, "timeout": 10}
    return {**parsed, "OPTIONS": options, "CONN_HEALTH_CHECKS": True}


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as a policy names them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def content_security_policy(api_base: str, js_url: str) -> dict[str, Any]:
    """The policy of every customer page: own files, Stripe's form, nothing inline.

    https://docs.stripe.com/security/guide#content-security-policy
    """
    js, api = origin(js_url), origin(api_base)
    stripe_frames = [js, "https://hooks.stripe.com"] if api == STRIPE else [js, api]
    return {
        "DIRECTIVES": {
            "default-src": ["'none'"],
            "script-src": ["'self'", js],
            "style-src": ["'self'"],
            "img-src": ["'self'", "data:"],
            "font-src": ["'self'"],
            "connect-src": ["'self'", *dict.fromkeys([api, js])],
            "frame-src": ["'self'", *dict.fromkeys(stripe_frames)],
            "form-action": ["'self'"],
            "frame-ancestors": ["'none'"],
            "base-uri": ["'none'"],
            "manifest-src": ["'self'"],
        }
    }


#: The day must leave room for a reminder, even for one that waits for a worker.
SHORTEST_DAY = dt.timedelta(hours=2)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def mail_hours(opens: str, closes: str, workdays: Iterable[str]) -> tuple[dt.time, dt.time, frozenset[int]]:
    """When reminders and news may arrive, in the reader's own time; refuses what would keep them for ever."""
    try:
        start, end = (dt.time.fromisoformat(text.strip()) for text in (opens, closes))
    except ValueError:
        raise ImproperlyConfigured(
            f"MAIL_HOURS_FROM={opens} and MAIL_HOURS_TO={closes} must be times of day, such as 08:00."
        ) from None
    if _length(start, end) < SHORTEST_DAY:
        raise ImproperlyConfigured(
            "MAIL_HOURS_TO must be at least two hours after MAIL_HOURS_FROM, on the same day."
        )
    names = [name.strip().lower()[:3] for name in workdays]
    if not names or not set(names) <= set(WEEKDAYS):
        raise ImproperlyConfigured(f"MAIL_WORKDAYS must name one or more of: {', '.join(WEEKDAYS)}.")
    return start, end, frozenset(WEEKDAYS.index(name) for name in names)


def _length(start: dt.time, end: dt.time) -> dt.timedelta:
    day = dt.date(2000, 1, 1)
    return dt.datetime.combine(day, end) - dt.datetime.combine(day, start)
