"""Which pages of the demo there are to look at, and as whom: for screenshots and the accessibility test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from config.demo.password import PASSWORD

#: A name, and the path: `{account}` is the account's address, `{leaving}` that of its open cancellation.
Place = tuple[str, str]

ANYONE: tuple[Place, ...] = (
    ("home", "/"),
    ("terms", "/terms/"),
    ("sign-in", "/accounts/login/"),
    ("sign-in-by-code", "/accounts/login/code/"),
    ("sign-up", "/accounts/signup/"),
    ("password-forgotten", "/accounts/password/reset/"),
    ("password-forgotten-sent", "/accounts/password/reset/done/"),
    ("not-found", "/nowhere/"),
    ("mails", "/demo/mail/"),
    ("clock", "/demo/clock/"),
)
EVERY_ACCOUNT: tuple[Place, ...] = (("overview", "{account}"),)
#: Pages that are worth a look in this state, beside the overview.
STATES: dict[str, tuple[Place, ...]] = {
    "paying@olive.example": (
        ("history", "{account}history/"),
        ("billing", "{account}billing/"),
        ("plans", "{account}plans/"),
        ("card", "{account}card/"),
        ("invoices", "{account}invoices/"),
        ("people", "{account}people/"),
        ("leave-team", "{account}people/leave/"),
        ("keys", "{account}keys/"),
        ("data", "{account}data/"),
        ("settings", "{account}settings/"),
        ("keys", "{account}keys/"),
        ("leave", "{account}leave/"),
        ("accounts", "/a/?all"),
        ("new-account", "/a/new/"),
        ("me", "/me/"),
        ("addresses", "/accounts/email/"),
        ("password", "/accounts/password/change/"),
        ("second-factor", "/accounts/2fa/"),
        ("second-factor-app", "/accounts/2fa/totp/activate/"),
        ("sessions", "/accounts/sessions/"),
        ("who-is-it", "/accounts/reauthenticate/"),
        ("sign-out", "/accounts/logout/"),
    ),
    "fresh@taller.example": (("leave", "{account}leave/"),),
    "annual@harbour.example": (("leave", "{account}leave/"),),
    "marta@persona.example": (("leave", "{account}leave/"),),
    "trial@fern.example": (("billing", "{account}billing/"), ("leave", "{account}leave/")),
    "grace@cedar.example": (
        ("billing", "{account}billing/"),
        ("more-time", "{account}more-time/"),
        ("leave", "{account}leave/"),
    ),
    "frozen@mill.example": (("more-time", "{account}more-time/"), ("plans", "{account}plans/")),
    "free@garden.example": (
        ("plans", "{account}plans/"),
        ("pay", "{account}pay/team-monthly/"),
        ("invoices", "{account}invoices/"),
        ("leave", "{account}leave/"),
    ),
    "late@bakery.example": (("billing", "{account}billing/"), ("leave", "{account}leave/")),
    "confirm@bakery.example": (("billing", "{account}billing/"),),
    "night@bakery.example": (("billing", "{account}billing/"), ("leave", "{account}leave/")),
    "paused@hut.example": (("leave", "{account}leave/"),),
    "leaving@kiosk.example": (
        ("leaving", "{account}leave/"),
        ("survey", "{leaving}survey/"),
        ("other-ways", "{account}leave/?choose"),
    ),
    "laststep@boat.example": (
        ("leaving", "{account}leave/"),
        ("survey", "{leaving}survey/"),
        ("offer", "{leaving}offer/"),
        ("confirm", "{leaving}confirm/"),
    ),
    "freedays@look.example": (("leaving", "{account}leave/"), ("claim", "{leaving}claim/")),
    "left@old.example": (
        ("return", "{account}return/"),
        ("data", "{account}data/"),
        ("leave", "{account}leave/"),
    ),
    "ana@five.example": (("people", "{account}people/"), ("leave", "{account}leave/")),
    "bea@five.example": (("leave", "{account}leave/"), ("not-your-role", "{account}settings/")),
    "mo@five.example": (("leave", "{account}leave/"), ("data", "{account}data/")),
}
STAFF: dict[str, tuple[Place, ...]] = {
    "support@good-terms.example": (
        ("start", "/admin/"),
        ("accounts", "/admin/accounts/account/"),
        ("unpaid", "/admin/billing/dunningcase/"),
        ("cancellations", "/admin/offboarding/cancellation/"),
        ("mails", "/admin/accounts/notice/"),
        ("law", "/admin/accounts/notice/law/"),
        ("refunds", "/admin/billing/refund/"),
        ("instructions", "/admin/billing/instruction/"),
        ("mirror", "/admin/djstripe/subscription/"),
    ),
    "finance@good-terms.example": (
        ("start", "/admin/"),
        ("movements", "/admin/billing/refundmovement/"),
        ("reports", "/admin/billing/refundmovement/reports/"),
    ),
    "admin@good-terms.example": (
        ("start", "/admin/"),
        ("terms", "/admin/accounts/terms/"),
        ("people", "/admin/accounts/user/"),
        ("api-keys", "/admin/accounts/apikey/"),
        ("webhook-endpoints", "/admin/accounts/webhookendpoint/"),
        ("webhook-endpoint-new", "/admin/accounts/webhookendpoint/add/"),
        ("webhook-messages", "/admin/accounts/webhookdelivery/"),
        ("jobs", "/admin/accounts/jobrun/board/"),
        ("switch", "/admin/accounts/jobrun/board/all-grave/switch/"),
        ("runs", "/admin/accounts/jobrun/"),
    ),
}
#: Accounts that support opens, by their name.
DESKS = ("Olive & Co", "Old Harbour", "Second Look", "Late Bakery")
ALONE = ("400", "403", "403_csrf", "404", "429", "500", "503")


@dataclass(frozen=True)
class Stop:
    """One page to look at: its name, and its address."""

    name: str
    url: str


def sign_in(page: Any, base_url: str, email: str) -> None:
    """As a person does, on the sign-in page."""
    page.goto(f"{base_url}/accounts/login/")
    page.fill("[name=login]", email)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button[type=submit]")
    page.wait_for_url(lambda url: "/accounts/login/" not in url)


def speak(page: Any, base_url: str, language: str) -> None:
    """Switch the language as a person does, at the foot of a page."""
    page.goto(f"{base_url}/terms/")
    button = page.locator(f"footer [name=language][value={language}]")
    if button.count():
        button.click()
        page.wait_for_load_state()


def stops_of_anyone(page: Any, base_url: str, email: str = "") -> Iterator[Stop]:
    """Everything that is open without sign-in: pages, receipts, undo links, one mail of each kind."""
    for name, path in ANYONE:
        yield Stop(name, base_url + path)
    yield from mails(page, base_url)


def mails(page: Any, base_url: str) -> Iterator[Stop]:
    """The newest mail of each subject, in its viewer and alone; and the receipts that mails link to."""
    page.goto(f"{base_url}/demo/mail/")
    links = page.locator(".mail-list a")
    seen: dict[str, str] = {}
    for index in range(links.count()):
        words = re.sub(r"[\d.,:€$-]+|[A-Z0-9]{4}-[\w-]+", "", links.nth(index).inner_text())
        seen.setdefault(words.lower(), base_url + str(links.nth(index).get_attribute("href")))
    if seen:
        yield Stop("mail-in-viewer", next(iter(seen.values())))
    for number, url in enumerate(seen.values(), start=1):
        yield Stop(f"mail-{number:02}", f"{url}html")
    yield from links_in_mails(page, list(seen.values()), base_url)


def links_in_mails(page: Any, mails: list[str], base_url: str) -> Iterator[Stop]:
    """Receipts and undo links, each once."""
    found: dict[str, str] = {}
    for url in mails:
        page.goto(f"{url}html")
        for kind, path in re.findall(
            r'href="https?://[^/"]+/((?:receipt|undo|pay))/([^"/]+/)"', page.content()
        ):
            found.setdefault(f"/{kind}/{path}", kind)
    for number, (path, kind) in enumerate(found.items(), start=1):
        yield Stop(f"{kind}-{number:02}", base_url + path)


def stops_of_customer(page: Any, base_url: str, email: str) -> Iterator[Stop]:
    """The overview of this customer's account and what is worth a look in its state."""
    page.goto(f"{base_url}/a/")
    account = urlsplit(page.url).path
    for name, path in (*EVERY_ACCOUNT, *STATES[email]):
        leaving = ""
        if "{leaving}" in path:
            page.goto(f"{base_url}{account}leave/")
            leaving = urlsplit(page.url).path
        yield Stop(
            f"{email.partition('@')[0]}-{name}", base_url + path.format(account=account, leaving=leaving)
        )
    yield from invoice_of(page, base_url, account, email)
    yield from unpaid_of(page, base_url, account, email)


def unpaid_of(page: Any, base_url: str, account: str, email: str) -> Iterator[Stop]:
    """Paying what is unpaid, and choosing the day, where something is."""
    page.goto(f"{base_url}{account}billing/")
    link = page.locator(f'main a[href^="{account}invoices/"][href$="/pay/"]')
    if link.count():
        pay = base_url + str(link.first.get_attribute("href"))
        name = email.partition("@")[0]
        yield Stop(f"{name}-invoice-pay", pay)
        yield Stop(f"{name}-choose-day", pay.removesuffix("pay/") + "day/")


def invoice_of(page: Any, base_url: str, account: str, email: str) -> Iterator[Stop]:
    """The newest invoice, where there is one."""
    page.goto(f"{base_url}{account}invoices/")
    link = page.locator(f'main a[href^="{account}invoices/"]')
    if link.count():
        href = str(link.first.get_attribute("href"))
        yield Stop(f"{email.partition('@')[0]}-invoice", base_url + href)


def stops_of_staff(page: Any, base_url: str, email: str) -> Iterator[Stop]:
    """Lists of this role; for support the pages of some accounts, and the first step for a caller."""
    role = email.partition("@")[0]
    for name, path in STAFF[email]:
        yield Stop(f"{role}-{name}", base_url + path)
    if role == "support":
        yield from desks(page, base_url)


def desks(page: Any, base_url: str) -> Iterator[Stop]:
    """The account page of support, and leaving for a caller."""
    for name in DESKS:
        page.goto(f"{base_url}/admin/accounts/account/?q={name.split()[0]}")
        link = page.locator(f"#result_list a:has-text('{name}')").first
        url = base_url + str(link.get_attribute("href")).split("?")[0]
        yield Stop(f"desk-{name.split()[0].lower()}", url)
        page.goto(url)
        yield Stop(f"desk-{name.split()[0].lower()}-mails", url.replace("/change/", "/mails/"))
        caller = page.locator("a[href*='/caller/'], a[href*='/leave/'], a[href*='/call']")
        if caller.count():
            yield Stop(
                f"desk-{name.split()[0].lower()}-caller",
                base_url + str(caller.first.get_attribute("href")),
            )
