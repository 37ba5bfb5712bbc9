"""Fixtures for every app: the Stripe sandbox as a real process, a clock to turn, a real browser."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from config.demo.browser import FLAGS, find_chromium
from config.demo.stack import Stack
from config.demo.stripe_sandbox import PULL_URL, SandboxAccount, start_sandbox


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a sandbox in memory, one process for this test worker."""
    log = tmp_path_factory.mktemp("sandbox") / "sandbox.log"
    process, url = start_sandbox(port=0, database=":memory:", log=log)
    yield url
    process.stop()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """On SQLite, let the flush after a transactional test pass the triggers that refuse deletion.

    PostgreSQL truncates, which fires no row triggers; SQLite deletes, so they step aside for it. On
    every connection: Django opens one of its own beside a browser's event loop.
    """
    from django.db import connection

    if connection.vendor != "sqlite":
        yield
        return
    operations = type(connection.ops)
    flush = operations.execute_sql_flush

    def flush_without_triggers(self: Any, statements: list[str]) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
        drop = [f'DROP TRIGGER "{name}"' for name, _ in triggers]
        flush(self, [*drop, *statements, *(sql for _, sql in triggers)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "execute_sql_flush", flush_without_triggers)
        yield


@pytest.fixture(autouse=True)
def _fresh_reader() -> None:
    """Nothing of another test: rate limits, who was let in, the language and zone of its last page."""
    from django.conf import settings
    from django.core.cache import cache
    from django.utils import timezone, translation

    from accounts import activity, copies

    cache.clear()
    timezone.deactivate()
    translation.activate(settings.LANGUAGE_CODE)
    copies.new_version()
    activity.forget_seen()


@pytest.fixture
def stripe_account(sandbox_url: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> SandboxAccount:
    """A Stripe account of this test alone, which the settings point at; its webhooks are pulled."""
    account = SandboxAccount.open(sandbox_url, webhook_url=PULL_URL)
    point_settings_at(account, settings, monkeypatch)
    return account


@pytest.fixture(scope="module")
def stripe_account_of_module(sandbox_url: str) -> Iterator[SandboxAccount]:
    """The same for a whole module, for worlds that several of its tests share."""
    from django.test import override_settings

    account, pointed = SandboxAccount.open(sandbox_url, webhook_url=PULL_URL), SimpleNamespace()
    with pytest.MonkeyPatch.context() as patch:
        point_settings_at(account, pointed, patch)
        with override_settings(**vars(pointed)):
            yield account


def point_settings_at(account: SandboxAccount, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the product and dj-stripe's mirror call this sandbox account."""
    settings.STRIPE_API_BASE = settings.STRIPE_API_HOST = account.url
    settings.STRIPE_JS_URL = f"{account.url}/v3/"
    settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = account.secret_key
    settings.STRIPE_PUBLISHABLE_KEY = settings.STRIPE_TEST_PUBLIC_KEY = account.publishable_key
    settings.STRIPE_WEBHOOK_SECRET = account.webhook_secret
    monkeypatch.setattr("stripe.api_base", account.url)
    monkeypatch.setattr("stripe.api_key", account.secret_key)


class TurnedClock:
    """The product's clock, turned as the demo turns it."""

    def now(self) -> datetime:
        """What the product believes it is."""
        from accounts import clock

        return clock.now()

    def turn_to(self, moment: datetime) -> None:
        """From here on the product's time runs on from `moment`."""
        from accounts import clock

        clock.turn_to(moment)

    def forward(self, **span: float) -> None:
        """Add a timedelta's arguments: `clock.forward(days=3, seconds=1)`."""
        self.turn_to(self.now() + timedelta(**span))


@pytest.fixture
def clock(settings: Any, tmp_path: Path) -> TurnedClock:
    """The product's clock for this test alone, at noon of an ordinary day; it runs right again afterwards.

    `BEGIN_AT=2026-03-29T00:30Z` begins at another moment, to see that no test depends on the hour.
    """
    from accounts.tests.worlds import NOON

    # A file of its own, so that no other test, worker or demo turns with it; it goes with the test.
    settings.CLOCK_FILE = str(tmp_path / "clock")
    turned = TurnedClock()
    turned.turn_to(datetime.fromisoformat(os.environ.get("BEGIN_AT") or NOON.isoformat()))
    return turned


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium; without one the test is skipped and the run's summary says how to get it."""
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium: install chromium, or set CHROMIUM to its path")
    from playwright.sync_api import sync_playwright

    # Playwright runs an event loop in this thread; the tests themselves are synchronous.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page in a browser context of its own (no cookies of another test)."""
    context = browser.new_context(locale="en-GB", timezone_id="Europe/Madrid")
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def live_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole product as `bin/demo` runs it, without example customers, on a database of its own.

    `live_stack.url` is the address, `.manage("command", ...)` runs a command inside, `.account` is its
    Stripe account; mails are files in `.folder / "mail"`, and the page /demo/mail/ shows them.
    """
    folder = tmp_path_factory.mktemp("live")
    with database_of_its_own(os.environ.get("DATABASE_URL", "")) as database_url:
        stack = Stack(folder, database_url=database_url)
        stack.start()
        yield stack
        stack.stop()


@pytest.fixture
def own_database_url(tmp_path: Path) -> Iterator[str]:
    """A new, empty database of the kind that the tests run on, for commands in processes of their own."""
    with database_of_its_own(os.environ.get("DATABASE_URL", "")) as url:
        yield url or f"sqlite:///{tmp_path / 'own.sqlite3'}"


@contextmanager
def database_of_its_own(url: str) -> Iterator[str]:
    """On PostgreSQL a new database beside the tests' own, dropped afterwards; else "" (SQLite in a file)."""
    if not url.startswith("postgres"):
        yield ""
        return
    import psycopg

    name = f"own_{secrets.token_hex(8)}"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
