"""System checks of the house: what the settings must not say together."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from config.settings.policy import STRIPE


@register(Tags.security, deploy=True)
def check_server(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Refuse on a server what only the demo and the tests may do."""
    found: list[CheckMessage] = []
    if settings.CLOCK_FILE:
        found.append(Error("CLOCK_FILE turns the clock.", hint="Leave it empty.", id="config.E001"))
    if settings.STRIPE_TEST_CLOCKS:
        found.append(Error("STRIPE_TEST_CLOCKS is on.", hint="It is for the demo.", id="config.E002"))
    if settings.DEMO_PAGES:
        found.append(Error("DEMO_PAGES shows all mails to anybody.", hint="Switch it off.", id="config.E003"))
    if settings.STRIPE_API_BASE != STRIPE:
        found.append(Error("STRIPE_API_BASE is not Stripe's.", hint="Remove it.", id="config.E004"))
    if not settings.STAFF_NEED_MFA:
        found.append(Error("Staff may sign in without a second factor.", id="config.E005"))
    if settings.WEBHOOKS_MAY_STAY_HERE:
        found.append(Error("WEBHOOKS_MAY_STAY_HERE is on.", hint="It is for the demo.", id="config.E007"))
    return found


@register()
def check_cache(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Rate limits and one-time codes need one cache for all processes."""
    backend = settings.CACHES["default"]["BACKEND"]
    if backend.endswith("DummyCache"):
        return [Error("The dummy cache switches rate limits off.", id="config.E006")]
    if backend.endswith("LocMemCache") and settings.SETTINGS_MODULE != "config.settings.test":
        hint = "Use the database cache of config.settings.base."
        return [Warning("Each process counts rate limits alone.", hint=hint, id="config.W001")]
    return []
