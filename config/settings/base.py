"""Settings shared by every way to run; each other module names only its difference.

Every `env(...)` here is described in `.env.example`; a test holds the two together.
"""

from pathlib import Path
from typing import Any

import django_stubs_ext
import environ
from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _

from config.settings.policy import content_security_policy, database, mail_hours

# Lets Django's classes be written with their type (`ModelAdmin[Account]`) where strict typing asks for it.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = environ.Env()

SECRET_KEY = env("SECRET_KEY", default="")
#: Former keys still accepted for sessions and links while a new one is rolled out.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
DEBUG = False
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
SITE_URL = env("SITE_URL", default="http://localhost:8000").rstrip("/")
COMPANY_NAME = env("COMPANY_NAME", default="Good Terms")
SUPPORT_EMAIL = env("SUPPORT_EMAIL", default="support@example.com")
#: Days in reports are counted in the company's zone, and numbers restart with its calendar year.
COMPANY_TIME_ZONE = env("COMPANY_TIME_ZONE", default="Europe/Madrid")
#: What the company sells in (ISO 4217): offered at sign-up, kept for the life of the account.
CURRENCIES = env.list("CURRENCIES", default=["EUR", "USD", "GBP"])

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "anymail",
    "csp",
    "djstripe",
    "accounts",
    "billing",
    "offboarding",
    "config",
]

MIDDLEWARE = [
    "config.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.middleware.AdminPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.ReaderMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.ActivityMiddleware",
    "accounts.middleware.GateMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
        },
    }
]

# --- Database and cache -----------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": database(env.db_url("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'var' / 'db.sqlite3'}"))
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Rate limits and the replay guard of one-time codes need a cache that all processes share. It is in
# the database, not in Redis: signing in and leaving must work while Redis is gone.
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "shared_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# --- People and their sessions ----------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "account_list"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {"signup": "accounts.forms.SignupForm"}
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
#: Seconds that a sign-in or re-authentication is good for money, export and deletion.
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_REAUTHENTICATION_REQUIRED = True
#: Added to allauth's own limits. Public forms use `@rate_limit(action="public_form")` of allauth.
ACCOUNT_RATE_LIMITS = {
    "signup": "20/m/ip",
    "login": "30/m/ip",
    "request_login_code": "20/m/ip,3/m/key",
    "public_form": "10/m/ip,60/h/ip",
    "pay_link": "60/m/ip,600/h/ip",
}
#: How many proxies of ours stand before the web process: whose word on the client's address counts.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
USERSESSIONS_TRACK_ACTIVITY = True
MFA_TOTP_ISSUER = COMPANY_NAME
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
if SITE_URL.startswith("https://"):
    # Browsers allow security keys on secure origins only.
    MFA_SUPPORTED_TYPES.append("webauthn")

# --- Languages and time -----------------------------------------------------------------------
LANGUAGE_CODE = "en"
#: Dates in the admin's lists: short, so that a row stays a row.
FORMAT_MODULE_PATH = "config.formats"
LANGUAGES = [("en", _("English")), ("es", _("Spanish"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
#: A file with the offset by which demo and tests turn the product's clock; empty elsewhere.
CLOCK_FILE = ""

# --- Files ------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
#: Files that hold people's data (exports): never under STATIC_ROOT, served by a view only.
PRIVATE_FILES = Path(env("PRIVATE_FILES", default=str(BASE_DIR / "var" / "private")))

# --- Mail -------------------------------------------------------------------------------------
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default=f"{COMPANY_NAME} <hello@example.com>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_TIMEOUT = 20
#: Reminders and news arrive in these hours of these days, in the account's own time zone. Receipts, mails
#: about what just happened and what the law demands leave at any hour.
MAIL_HOURS = mail_hours(
    env("MAIL_HOURS_FROM", default="08:00"),
    env("MAIL_HOURS_TO", default="20:00"),
    env.list("MAIL_WORKDAYS", default=["mon", "tue", "wed", "thu", "fri"]),
)
#: Keep the notice rules of every country for everybody; off: only those of the account's own country.
LAW_STRICT = env.bool("LAW_STRICT", default=True)

# --- Webhooks of ours ---------------------------------------------------------------------------
#: Let webhooks go to this machine, by http too (demo, development and tests only).
WEBHOOKS_MAY_STAY_HERE = False

# --- Stripe -----------------------------------------------------------------------------------
STRIPE_SECRET_KEY = env("STRIPE_SECRET_KEY", default="")
STRIPE_PUBLISHABLE_KEY = env("STRIPE_PUBLISHABLE_KEY", default="")
STRIPE_WEBHOOK_SECRET = env("STRIPE_WEBHOOK_SECRET", default="")
#: Where the product calls Stripe and loads stripe.js; another address is refused in production.
STRIPE_API_BASE = env("STRIPE_API_BASE", default="https://api.stripe.com")
STRIPE_JS_URL = env("STRIPE_JS_URL", default="https://js.stripe.com/v3/")
#: Seconds after which a call without an answer counts as unanswered: its outcome is unknown.
STRIPE_TIMEOUT = env.int("STRIPE_TIMEOUT", default=20)
#: Put every new customer on a test clock of its own (demo and tests only).
STRIPE_TEST_CLOCKS = False

# dj-stripe mirrors; it decides nothing (see docs/decisions).
STRIPE_LIVE_MODE = STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_"))
STRIPE_TEST_SECRET_KEY = STRIPE_SECRET_KEY if not STRIPE_LIVE_MODE else ""
STRIPE_LIVE_SECRET_KEY = STRIPE_SECRET_KEY if STRIPE_LIVE_MODE else ""
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_SUBSCRIBER_MODEL = AUTH_USER_MODEL
if STRIPE_API_BASE != "https://api.stripe.com":
    STRIPE_API_HOST = STRIPE_API_BASE

CONTENT_SECURITY_POLICY = content_security_policy(STRIPE_API_BASE, STRIPE_JS_URL)

# --- Celery: the doorbell (config/celery.py holds the app and the timetable) --------------------
REDIS_URL = env("REDIS_URL", default="")
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_TASK_TIME_LIMIT = 900
CELERY_TASK_SOFT_TIME_LIMIT = 840
#: Seconds after which an unanswered task is rung again; longer than the longest task may take.
VISIBILITY_TIMEOUT = 1800
CELERY_VISIBILITY_TIMEOUT = VISIBILITY_TIMEOUT
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"visibility_timeout": VISIBILITY_TIMEOUT}
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "visibility_timeout": VISIBILITY_TIMEOUT,
    # A page that rings and hears nothing goes on after 200 ms; the sweeper finds the work.
    "socket_connect_timeout": 0.2,
    "socket_timeout": 0.2,
    "max_retries": 0,
    "connect_retries_timeout": 0.2,
}
CELERY_TASK_PUBLISH_RETRY = False

# --- Logs and alarms --------------------------------------------------------------------------
LOG_LEVEL = env("LOG_LEVEL", default="INFO")
LOGGING_CONFIG = None
SENTRY_DSN = env("SENTRY_DSN", default="")
#: Staff must have a second factor before admin opens (off in the demo only).
STAFF_NEED_MFA = True
#: Seconds without a heartbeat of the worker after which /readyz says so.
HEARTBEAT_LIMIT = 180
#: Show the pages under /demo/ (the mail viewer); never in production.
DEMO_PAGES = False

# --- The admin site ---------------------------------------------------------------------------
# Its colours are those of static/css/terms.css; its menu and first page are in config/navigation.py.
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": COMPANY_NAME,
    "SITE_HEADER": COMPANY_NAME,
    "SITE_ICON": lambda request: static("img/mark.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("img/mark.svg")}
    ],
    "STYLES": [lambda request: static("css/desk.css")],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "DASHBOARD_CALLBACK": "config.navigation.first_page",
    "SIDEBAR": {"show_search": False, "navigation": "config.navigation.menu"},
    "COLORS": {
        "primary": {
            "50": "#eef6f2",
            "100": "#e1efe8",
            "200": "#bfdfd1",
            "300": "#8fcbb2",
            "400": "#4fae8d",
            "500": "#238a6b",
            "600": "#0b5d4b",
            "700": "#0a5041",
            "800": "#084637",
            "900": "#063529",
            "950": "#04231c",
        }
    },
}
