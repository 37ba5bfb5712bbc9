"""Pure pieces of the settings: database options and the content security policy."""

from typing import Any
from urllib.parse import urlsplit

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
