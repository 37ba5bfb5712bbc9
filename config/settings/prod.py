"""A server: everything from the environment, and no start with a missing or unsafe setting."""

import os

from django.core.exceptions import ImproperlyConfigured

from config.settings.base import *  # noqa: F403
from config.settings.base import ALLAUTH_TRUSTED_PROXY_COUNT, SENTRY_DSN, SITE_URL, env
from config.settings.policy import database
from config.settings.safety import problems

found = problems(os.environ)
if found:
    remedy = "See .env.example and docs/operations.md."
    raise ImproperlyConfigured("\n".join(["Good Terms does not start:", *found, remedy]))

# Each web process and each worker process keeps up to this many connections.
DATABASES = {"default": database(env.db_url("DATABASE_URL"), pool=env.int("DATABASE_POOL", default=4))}

# --- Mail: "smtp", or the name of a provider that anymail speaks to -----------------------------
EMAIL_PROVIDER = env("EMAIL_PROVIDER", default="")
ANYMAIL = env.json("ANYMAIL", default={})
if EMAIL_PROVIDER == "smtp":
    vars().update(env.email_url("EMAIL_URL", default="smtp://localhost"))
else:
    EMAIL_BACKEND = f"anymail.backends.{EMAIL_PROVIDER}.EmailBackend"

# --- Transport --------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = True
#: The container's own health check speaks plain HTTP to itself.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
if ALLAUTH_TRUSTED_PROXY_COUNT:
    # Believed from our own proxy only: it must set or strip this header.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_TRUSTED_ORIGINS = [SITE_URL]
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"

if SENTRY_DSN:
    import sentry_sdk

    from config.logs import without_personal_facts

    sentry_sdk.init(
        dsn=SENTRY_DSN,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=without_personal_facts,
    )
