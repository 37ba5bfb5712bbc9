"""For `collectstatic` while an image is built: static files only, no secret is known or needed."""

from config.settings.base import *  # noqa: F403

SECRET_KEY = "only-for-collecting-static-files"  # noqa: S105
