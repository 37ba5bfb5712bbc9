"""The tests' settings with what makes a server fast or slow: a pool of connections, the real clock."""

import os

from config.settings.base import env
from config.settings.policy import database
from config.settings.test import *  # noqa: F403

CLOCK_FILE = ""
LOG_LEVEL = "ERROR"
WHITENOISE_AUTOREFRESH = False
WEBHOOKS_MAY_STAY_HERE = False
DATABASES = {"default": database(env.db_url("DATABASE_URL"), pool=int(os.environ.get("BENCH_POOL", "10")))}
