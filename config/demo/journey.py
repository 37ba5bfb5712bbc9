"""The main journey over HTTP: sign up, pay, leave, answer, get the refund, fetch the data, close books."""

import csv
import datetime as dt
import hashlib
import io
import json
import re
import secrets
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from config.demo.browserless import Page, StepFailed, Visitor
from config.demo.cards import card_number
from config.demo.password import PASSWORD

CARD = {"exp_month": 12, "exp_year": 2034, "cvc": "123"}
SIGN_IN = "/accounts/login/"


@dataclass
class Journey:
    """One new customer, from the first page to the end; each step returns what it saw, in words."""

    base_url: str
    sandbox_url: str
    publishable_key: str
    secret_key: str
    visitor: Visitor = field(init=False)
    email: str = field(default_factory=lambda: f"journey-{secrets.token_hex(4)}@example.com")
    account: str = ""
    leaving: Page | None = None
    receipt: str = ""
    refund: int = 0

    def __post_init__(self) -> None:
        self.visitor = Visitor(self.base_url)

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Every step with its title, in order."""
        yield "the terms are public", self.read_terms
        yield "sign up, with the mailed code", self.sign_up
        yield "pay through Stripe's protocol", self.pay
        yield "open “Leave”: four endings", self.see_endings
        yield "leave, in two clicks", self.leave
        yield "the mail with the receipt", self.read_mail
        yield "answer the exit survey", self.answer
        yield "say who it is once more", self.prove
        yield "confirm what is shown", self.confirm
        yield "the receipt, without sign-in", self.follow_receipt
        yield "the money at the provider", self.ask_provider
        yield "download the data", self.download
        yield "finance’s CSV", self.close_books

    def read_terms(self) -> str:
        page = self.visitor.get("/terms/")
        self._expect(page, "refund")
        return f"{len(page.body) / 1000:.1f} KB"

    def sign_up(self) -> str:
        page = self.visitor.get("/accounts/signup/")
        page = self.visitor.send(
            page,
            page.form(holding="company"),
            email=self.email,
            password1=PASSWORD,
            name="Nina Journey",
            company="Journey & Daughters",
            country="ES",
            kind="business",
            currency="EUR",
            language="en",
            time_zone="Europe/Madrid",
            accept_terms="on",
            immediate_start="on",
        )
        mail = self.visitor.mail(self.email, "code")
        code = re.search(r"\b([A-Z0-9]{3,4}-[A-Z0-9]{3,4})\b", mail.words)
        if code is None:
            raise StepFailed(f"the mail holds no code: {mail.words[:300]}")
        page = self.visitor.send(page, page.form(holding="code"), code=code.group(1))
        page = self.visitor.get("/a/")
        found = re.search(r"/a/([0-9a-z]{26})/", page.url)
        if found is None:
            raise StepFailed(f"no account after signing up: {page.url}")
        self.account = found.group(1)
        return self.email

    def pay(self) -> str:
        page = self.visitor.get(f"/a/{self.account}/pay/team-monthly/")
        started = self.visitor.post_json(page, f"/a/{self.account}/pay/team-monthly/start/")
        if "client_secret" not in started:
            raise StepFailed(f"the form did not start: {started}")
        confirmed = requests.post(
            f"{self.sandbox_url}/v3/confirm",
            timeout=30,
            json={
                "key": self.publishable_key,
                "client_secret": started["client_secret"],
                "card": {"number": card_number()} | CARD,
                "return_url": f"{self.base_url}/a/{self.account}/pay/done/",
            },
        ).json()
        if confirmed.get("status") != "succeeded":
            raise StepFailed(f"the card form answers {confirmed}")
        self.visitor.get(f"/a/{self.account}/pay/done/")
        page = self.visitor.wait_for(f"/a/{self.account}/", lambda seen: "We received" in seen.words)
        return self._figure(page, r"Price (\S+ a month)")

    def see_endings(self) -> str:
        self.leaving = page = self.visitor.get(f"/a/{self.account}/leave/")
        for ending in ("stop_renewing", "stop_now", "free_days", "close_delete"):
            page.form("/leave/choose/", holding=ending)
        return self._figure(page, r"(\S+ back to your payment method, by [^.]*?\d{4})")

    def leave(self) -> str:
        page = self._page()
        form = page.form("/leave/choose/", holding="stop_now")
        self.leaving = page = self.visitor.send(page, form, ending="stop_now")
        self._expect(page, "One step left")
        return self._figure(page, r"\b([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})\b")

    def read_mail(self) -> str:
        mail = self.visitor.mail(self.email, "on record")
        found = re.search(r"/receipt/[\w-]+/", mail.body)
        if found is None:
            raise StepFailed("the mail has no receipt")
        self.receipt = found.group(0)
        self._expect(mail, "One step left")
        return "receipt, undo link and the step left"

    def answer(self) -> str:
        page = self._page()
        survey = self.visitor.get(self._link(page, r'href="([^"]+/survey/)"'))
        self.leaving = self.visitor.send(
            survey,
            survey.form(holding="problem"),
            problem="Counting olives",
            usage="medium",
            change="A smaller plan, please",
            wants_news="on",
        )
        return "saved; next is the last step"

    def prove(self) -> str:
        """Money moves next, so the product asks who it is."""
        page = self._page()
        self._expect(page, "Confirm that it is you")
        self.leaving = self.visitor.send(page, page.form(holding="password"), password=PASSWORD)
        self._expect(self.leaving, "How the refund is worked out")
        return "by password; a mailed code would do"

    def confirm(self) -> str:
        page = self._page()
        shown = self._figure(page, r"Back to your payment method \W?([\d.,]+)")
        self.refund = round(float(shown.replace(",", "")) * 100)
        self.leaving = self.visitor.send(page, page.form(holding="quote"))
        return f"€{shown} quoted"

    def follow_receipt(self) -> str:
        stranger = Visitor(self.base_url)
        page = stranger.wait_for(self.receipt, lambda seen: "was sent to the card" in seen.words)
        return self._figure(page, r"(\S+ was sent to the card ending in \d{4})")

    def ask_provider(self) -> str:
        found = requests.get(
            f"{self.sandbox_url}/v1/refunds",
            params={"limit": 1},
            timeout=30,
            headers={"Authorization": f"Bearer {self.secret_key}"},
        ).json()["data"]
        if not found or found[0]["amount"] != self.refund or found[0]["status"] != "succeeded":
            raise StepFailed(f"quoted {self.refund}, the provider has {found}")
        return f"{found[0]['id']}: {found[0]['amount']} minor units, {found[0]['status']}"

    def download(self) -> str:
        path = f"/a/{self.account}/data/"
        page = self.visitor.get(path)
        self.visitor.send(page, page.form("/data/ask/"))
        page = self.visitor.wait_for(
            path, lambda seen: re.search(r'href="[^"]*/data/\w{26}/"', seen.body) is not None
        )
        packed = self.visitor.download(self._link(page, r'href="([^"]*/data/\w{26}/)"'))
        files, rows = check_archive(packed)
        return f"{len(packed) / 1000:.1f} KB, {files} files, {rows} rows, every checksum right"

    def close_books(self) -> str:
        finance = Visitor(self.base_url)
        page = finance.get(SIGN_IN)
        finance.send(page, page.form(holding="login"), login="finance@good-terms.example", password=PASSWORD)
        address = "/admin/billing/refundmovement/reports/"
        asked = finance.get(address).form(holding="first").fields
        days = f"first={asked['first']}&last={dt.datetime.now(dt.UTC) + dt.timedelta(days=1):%Y-%m-%d}"
        rows = list(csv.reader(io.StringIO(finance.download(f"{address}refunds.csv?{days}").decode())))
        if not any(self.account in cell for row in rows for cell in row):
            raise StepFailed("the refund is not in the CSV")
        return f"{len(rows)} lines"

    def _page(self) -> Page:
        if self.leaving is None:
            raise StepFailed("a step was left out")
        return self.leaving

    @staticmethod
    def _expect(page: Page, words: str) -> None:
        if words not in page.words:
            raise StepFailed(f"{page.url} does not say “{words}”: {page.words[:400]}")

    @staticmethod
    def _figure(page: Page, pattern: str) -> str:
        found = re.search(pattern, page.words)
        if found is None:
            raise StepFailed(f"{page.url} does not show {pattern}: {page.words[:600]}")
        return found.group(1)

    @staticmethod
    def _link(page: Page, pattern: str) -> str:
        found = re.search(pattern, page.body)
        if found is None:
            raise StepFailed(f"{page.url} has no link {pattern}")
        return found.group(1)


def check_archive(packed: bytes) -> tuple[int, int]:
    """Files and rows of a download whose manifest agrees with its contents; raises `StepFailed` if not."""
    archive = zipfile.ZipFile(io.BytesIO(packed))
    manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
    rows = 0
    for entry in manifest["files"]:
        content = archive.read(entry["name"])
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise StepFailed(f"{entry['name']} is not what the manifest says")
        rows += int(entry.get("rows", 0)) if entry["name"].endswith(".jsonl") else 0
    return len(manifest["files"]), rows
