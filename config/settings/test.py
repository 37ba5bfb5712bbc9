"""Tests: real database, real sandbox, real broker where a test needs one; only hashing is cheap."""

from config.settings.base import *  # noqa: F403
from config.settings.base import BASE_DIR

SECRET_KEY = "tests-only-secret-key-that-is-long-enough-for-signing"
ALLOWED_HOSTS = ["*"]
MIGRATION_MODULES = {"djstripe": "config.mirror_tables"}
# The mirror warns of any address but Stripe's; here that is the point.
SILENCED_SYSTEM_CHECKS = ["djstripe.W002"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
STRIPE_TEST_CLOCKS = True
CLOCK_FILE = str(BASE_DIR / "var" / "test-clock")
STAFF_NEED_MFA = False
DEMO_PAGES = True
WEBHOOKS_MAY_STAY_HERE = True
WHITENOISE_AUTOREFRESH = True
