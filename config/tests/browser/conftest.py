"""A running product with a few customers, and people who use it in a real browser."""

import datetime as dt
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from config.demo.password import PASSWORD
from config.demo.stack import Stack
from config.mail_viewer import StoredMail, stored_mails

SEED = "from config.tests.browser.people import make; make()"


@dataclass
class House:
    """The running product, as its tests see it from outside."""

    stack: Stack

    @property
    def url(self) -> str:
        return self.stack.url

    def ask_provider(self, path: str, **query: str) -> Any:
        return self.stack.account.call("GET", path, query)

    def subscription(self, email: str) -> Any:
        """What the provider has, newest first."""
        customer = self.customer(email)
        return self.ask_provider("/v1/subscriptions", customer=customer, status="all")["data"][0]

    def customer(self, email: str) -> str:
        """The provider's id of the company that is named after this address."""
        name = f"{email.partition('@')[0].capitalize()} Ltd"
        query = (
            "SELECT c.provider_id FROM billing_customer c JOIN accounts_account a ON a.id = c.account_id "
            "WHERE a.name = ?"
        )
        with sqlite3.connect(f"file:{self.stack.folder / 'db.sqlite3'}?mode=ro", uri=True) as database:
            return str(database.execute(query, [name]).fetchone()[0])

    def mail(self, to: str, subject: str) -> StoredMail:
        """The newest mail with these words in its subject, waited for."""
        return wait_for(lambda: next(iter(self.mails(to, subject)), None))

    def mails(self, to: str, subject: str = "") -> list[StoredMail]:
        found = stored_mails(self.stack.folder / "mail")
        return [mail for mail in found if to in mail.to and subject in mail.subject]

    def turn_clock(self, **span: float) -> None:
        """Every process of the product sees this much later; the provider does not."""
        seconds = int(dt.timedelta(**span).total_seconds())
        (self.stack.folder / "clock").write_text(str(seconds))


def wait_for(read: Callable[[], Any], *, seconds: float = 40) -> Any:
    """What `read` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)
    return found


@dataclass
class Person:
    """Someone in front of a browser."""

    page: Any
    base: str

    def open(self, path: str) -> "Person":
        self.page.goto(path if path.startswith("http") else self.base + path)
        return self

    def sign_in(self, email: str) -> "Person":
        self.open("/accounts/login/")
        self.page.fill("[name=login]", email)
        self.page.fill("[name=password]", PASSWORD)
        self.press("Sign in")
        return self

    def press(self, name: str, *, within: str = "main") -> "Person":
        """A button or a link by its words; who it is is said once more where that is asked."""
        place = self.page.locator(within)
        words = re.compile(rf"^\s*{re.escape(name)}\s*$")
        place.get_by_role("button", name=words).or_(place.get_by_role("link", name=words)).first.click()
        if self.page.locator("h1", has_text="Confirm that it is you").count():
            self.page.fill("[name=password]", PASSWORD)
            self.page.locator("main form", has=self.page.locator("[name=password]")).locator(
                "button"
            ).first.click()
        return self

    def tab(self, name: str) -> "Person":
        self.page.locator(".tabs").get_by_role("link", name=name, exact=True).click()
        return self

    @property
    def words(self) -> str:
        """What stands on the page, spaces folded."""
        return " ".join(self.page.locator("main").inner_text().split())

    @property
    def heading(self) -> str:
        return str(self.page.locator("h1").first.inner_text())

    def until(self, text: str) -> "Person":
        """Look again until the page says so."""
        wait_for(lambda: text in self.words or (self.page.reload() and False))
        return self

    def figure(self, pattern: str) -> str:
        """The part in parentheses of what stands on the page."""
        found = re.search(pattern, self.words)
        assert found, f"no {pattern} in: {self.words}"
        return found.group(1)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Web, worker, sandbox, broker; with its customers, whose past is made before the worker starts."""
    stack = Stack(tmp_path_factory.mktemp("house"))
    stack.start(lambda: stack.manage("shell", "-c", SEED))
    yield House(stack)
    stack.stop()


@pytest.fixture
def someone(browser: Any, house: House) -> Iterator[Callable[..., Person]]:
    """Opens a browser of its own for each person: without JavaScript, unless the card form needs it."""
    contexts = []

    def come(email: str = "", *, javascript: bool = False) -> Person:
        context = browser.new_context(
            java_script_enabled=javascript, accept_downloads=True, locale="en-GB", timezone_id="Europe/Madrid"
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        person = Person(context.new_page(), house.url)
        return person.sign_in(email) if email else person

    yield come
    for context in contexts:
        context.close()


@pytest.fixture
def later(house: House) -> Iterator[Callable[..., None]]:
    """Turns the product's clock; it runs right again afterwards."""
    yield house.turn_clock
    (house.stack.folder / "clock").unlink(missing_ok=True)
