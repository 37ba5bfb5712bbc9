"""Development on one machine: as the demo, with debug pages; reads `.env` where there is one."""

from pathlib import Path

import environ

environment_file = Path(__file__).resolve().parents[2] / ".env"
if environment_file.exists():
    environ.Env.read_env(environment_file)

from config.settings.base import *  # noqa: E402, F403
from config.settings.base import BASE_DIR, env  # noqa: E402

DEBUG = True
SECRET_KEY = env("SECRET_KEY", default="development-only-secret-key-not-for-any-other-use")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
MIGRATION_MODULES = {"djstripe": "config.mirror_tables"}
# The mirror warns of any address but Stripe's; here that is the point.
SILENCED_SYSTEM_CHECKS = ["djstripe.W002"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = str(BASE_DIR / "var" / "dev" / "mail")
CLOCK_FILE = str(BASE_DIR / "var" / "dev" / "clock")
STRIPE_TEST_CLOCKS = True
STAFF_NEED_MFA = False
DEMO_PAGES = True
WEBHOOKS_MAY_STAY_HERE = True
