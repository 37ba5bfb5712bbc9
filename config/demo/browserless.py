"""A visitor without a browser: pages over HTTP, forms filled in, mails read in the viewer."""

import html
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

TIMEOUT = 30


class StepFailed(Exception):
    """The journey did not go as it should; the message says what was seen."""


@dataclass
class Form:
    """One form of a page: where it goes and what it holds."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[dict[str, str]] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.forms.append(Form(found.get("action", "")))
        elif self._inside:
            self._field(tag, found)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"
        self._select = "" if tag == "select" else self._select

    def _field(self, tag: str, found: dict[str, str]) -> None:
        form, name = self.forms[-1], found.get("name", "")
        if tag == "button":
            form.buttons.append(found)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in found or self._select not in form.fields):
            form.fields[self._select] = found.get("value", "")
        elif tag == "textarea" or (tag == "input" and found.get("type") not in ("checkbox", "radio")):
            form.fields[name] = found.get("value", "")
        elif tag == "input" and "checked" in found:
            form.fields[name] = found.get("value", "on")


@dataclass
class Page:
    """An answer: its address, its words, its forms."""

    url: str
    status: int
    body: str

    @property
    def words(self) -> str:
        """What a person reads: tags gone, spaces folded."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.body)).split())

    def form(self, action: str = "", *, holding: str = "") -> Form:
        """The form that goes to an address with this in it, or that holds this field or button value."""
        parser = _Forms()
        parser.feed(self.body)
        for form in parser.forms:
            values = {button.get("value", "") for button in form.buttons}
            if action in form.action and (not holding or holding in form.fields or holding in values):
                return form
        raise StepFailed(f"{self.url} has no form for {action or holding}")


class Visitor:
    """A session with cookies that follows redirects and fills in forms."""

    def __init__(self, base_url: str) -> None:
        self.base_url, self.session = base_url, requests.Session()

    def get(self, path: str, *, status: int = 200) -> Page:
        """Open a page."""
        return self._page(self.session.get(urljoin(self.base_url, path), timeout=TIMEOUT), status)

    def send(self, page: Page, form: Form, **values: str) -> Page:
        """Send a form of a page with these values; ends where it redirects to."""
        target = urljoin(page.url, form.action)
        answer = self.session.post(
            target, data=form.fields | values, headers={"Referer": page.url}, timeout=TIMEOUT
        )
        return self._page(answer, 200)

    def post_json(self, page: Page, path: str) -> Any:
        """What a page's own script posts: the page's token, JSON back."""
        answer = self.session.post(
            urljoin(self.base_url, path),
            timeout=TIMEOUT,
            headers={
                "Referer": page.url,
                "X-CSRFToken": page.form(holding="csrfmiddlewaretoken").fields["csrfmiddlewaretoken"],
            },
        )
        return answer.json()

    def download(self, path: str) -> bytes:
        """A file."""
        answer = self.session.get(urljoin(self.base_url, path), timeout=TIMEOUT)
        if answer.status_code != 200:
            raise StepFailed(f"{path} answers {answer.status_code}")
        return answer.content

    def _page(self, answer: requests.Response, status: int) -> Page:
        if answer.status_code != status:
            raise StepFailed(f"{answer.url} answers {answer.status_code}, not {status}")
        return Page(answer.url, answer.status_code, answer.text)

    def wait_for(self, path: str, holds: Callable[[Page], bool], *, seconds: int = 60) -> Page:
        """Open a page again until it says what is waited for."""
        give_up = time.monotonic() + seconds
        while True:
            page = self.get(path)
            if holds(page):
                return page
            if time.monotonic() > give_up:
                raise StepFailed(f"{path} does not get there in {seconds} s: {page.words[:300]}")
            time.sleep(0.3)

    def mail(self, to: str, subject: str, *, seconds: int = 60) -> Page:
        """The newest mail to this address with these words, read in the mail viewer.

        As a stranger: whoever is signed in finds their own address on every page.
        """
        postman = Visitor(self.base_url)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            listed = postman.get("/demo/mail/").body
            for link in re.findall(r'href="(/demo/mail/[^"/]+/)"', listed):
                page = postman.get(link)
                if to in page.words and subject in page.words:
                    return page
            time.sleep(0.3)
        raise StepFailed(f"no mail “{subject}” to {to} in {seconds} s")
