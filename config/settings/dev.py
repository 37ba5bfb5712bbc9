"""Development on one machine: as the demo, with debug pages."""

from config.settings.base import *  # noqa: F403
from config.settings.base import env

DEBUG = True
SECRET_KEY = env("SECRET_KEY", default="development-only-secret-key-not-for-any-other-use")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
MIGRATION_MODULES = {"djstripe": None}
