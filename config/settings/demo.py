"""The evaluation on one machine (`bin/demo`): SQLite, sandbox, mails as files, a clock to turn.

`bin/demo` sets the environment; nothing here is fit for a server.
"""

import os
from pathlib import Path

from config.settings.base import *  # noqa: F403
from config.settings.base import BASE_DIR, REDIS_URL, env

#: Everything the demo keeps: database, mails, logs, keys.
DEMO_DIR = Path(os.environ.get("DEMO_DIR", BASE_DIR / "var" / "demo"))

SECRET_KEY = env("SECRET_KEY", default="demonstration-only-secret-key-not-for-any-other-use")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
MIGRATION_MODULES = {"djstripe": "config.mirror_tables"}
# The mirror warns of any address but Stripe's; here that is the point.
SILENCED_SYSTEM_CHECKS = ["djstripe.W002"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = str(DEMO_DIR / "mail")
CLOCK_FILE = str(DEMO_DIR / "clock")
PRIVATE_FILES = DEMO_DIR / "private"
STRIPE_TEST_CLOCKS = True
STAFF_NEED_MFA = False
DEMO_PAGES = True
WEBHOOKS_MAY_STAY_HERE = True
if not REDIS_URL:
    # No Redis can be had here: folders as the broker. The database is the queue, so nothing is lost.
    queue = DEMO_DIR / "broker"
    queue.mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_URL = "filesystem://"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(queue),
        "data_folder_out": str(queue),
        "control_folder": str(queue / "control"),
    }
