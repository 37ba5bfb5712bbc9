"""Every address x method x credential x state, from the resolver: the frozen stay out, the active get in."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, path, reverse

from accounts import clock as product_clock
from accounts.events import By
from accounts.ids import hash_token
from accounts.keys import make_key
from accounts.links import make_link
from accounts.models import Account, Invitation, Link
from accounts.people import invite_member
from accounts.tests.worlds import LONG_AGO, PASSWORD, make_account, make_member, make_user, owner_of
from billing.models import Invoice
from billing.stripe_api import NetworkCallInTransaction
from billing.tests.worlds import make_plan
from config.tests.access_table import BY_PREFIX, OTHERWISE, TABLE, Line
from offboarding import exports, receipts
from offboarding.models import Cancellation
from offboarding.tests.leaving import choose, latest, owners_browser, paying_account, signed_in

# Which door leads where is the same on every database; what the gate reads is asked on both elsewhere.
pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("stripe_account")]

LATER, BEFORE = LONG_AGO.replace(year=2100), LONG_AGO
STATES = {
    "trialing": {"state": "trialing", "access_ends_at": LATER},
    "active": {"state": "active"},
    "grace": {"state": "grace"},
    "ended": {"state": "active", "access_ends_at": BEFORE},
    "frozen": {"state": "frozen"},
    "closed": {"state": "closed", "closed_at": BEFORE},
    "erased": {"state": "erased", "closed_at": BEFORE},
}
OPEN = ("trialing", "active", "grace")
ROLES = {"member": {"member"}, "billing": {"member", "payer"}, "owner": {"member", "payer", "owner"}}
AT_STRIPE = 299
#: Outsiders are the same in every state of one kind.
OUTSIDERS, ENOUGH = ("anonymous", "stranger", "staff"), ("active", "frozen", "erased")
SHOWN = (("get", "active"), ("get", "frozen"))
MACHINE = {"Accept": "application/json"}


def walk(patterns, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, route)
        else:
            yield route, pattern


def line_of(route: str, pattern: URLPattern) -> Line | None:
    for prefix, line in BY_PREFIX.items():
        if route.startswith(prefix):
            return line
    return TABLE.get(pattern.name or "")


def faults(patterns) -> list[str]:
    """What is wrong between the resolver and the table, in words that say what to do."""
    found, known = [], list(walk(patterns))
    for route, pattern in known:
        line = line_of(route, pattern)
        if line is None:
            found.append(f"/{route} ({pattern.name}) has no line: add it to config/tests/access_table.py")
            continue
        names_account = line.door in ("gated", "way_out")
        if line.door != "staff" and names_account != ("account_id" in route):
            found.append(f"/{route}: an address of an account names it as account_id, and no other does")
        if names_account and not route.startswith("a/<slug:account_id>/"):
            found.append(f"/{route}: the pages of an account are under /a/")
        if getattr(pattern.callback, "is_way_out", False) != (line.door == "way_out"):
            found.append(f"/{route}: the mark of the view and the table differ: is it a way out?")
    gone = set(TABLE) - {pattern.name for _route, pattern in known}
    return found + [f"{name} is in the table and nowhere else" for name in sorted(gone)]


def test_every_address_has_its_line_and_every_way_out_its_mark():
    assert faults(get_resolver().url_patterns) == []


@pytest.mark.parametrize(
    ("route", "name", "mark"),
    [
        ("a/<slug:account_id>/new-page/", "new_page", False),
        ("a/<slug:number>/people/", "people", False),
        ("a/<slug:account_id>/people/", "people", True),
        ("a/<slug:account_id>/plans/", "plans", False),
    ],
)
def test_an_address_that_nobody_thought_about_fails_the_build(route, name, mark):
    def view(request, **names):
        raise AssertionError

    view.is_way_out = mark

    assert faults([*get_resolver().url_patterns, path(route, view, name=name)]) != []


@pytest.fixture
def world():
    """An account with one of everything, and everybody who could ask, all signed in while it was active."""
    at = product_clock.now()
    account = paying_account()
    owner, browser = owner_of(account), owners_browser(account)
    make_plan("other")
    choose(browser, account, "stop_renewing")
    billing = make_member(account, "billing", user=make_user(password=PASSWORD)).user
    member = make_member(account, user=make_user(password=PASSWORD)).user
    offered = invite_member(account, "eva@example.com", "member", by_user=owner, at=at)
    key, token = make_key(account, "app", by_user=owner, at=at)
    asked = exports.request_export(
        account.members.owners().get(), own_only=False, by=By.customer(owner), at=at
    )
    cancellation = latest(account)
    Cancellation.objects.filter(pk=cancellation.pk).update(undo_hash=hash_token("undo"))
    staff = make_user(password=PASSWORD, is_staff=True, is_superuser=True)
    stranger = owner_of(make_account(owner=make_user(password=PASSWORD)))
    invoice = Invoice.objects.filter(account=account).latest("pk")
    names = {
        "account_id": account.public_id,
        "code": "other",
        "invoice_id": invoice.provider_id,
        "cancellation_id": cancellation.public_id,
        "export_id": asked.public_id,
        "person": member.public_id,
    }
    return SimpleNamespace(
        account=account,
        names=names,
        numbers={"withdraw_invitation": offered.pk, "key_revoke": key.pk, "invoice": invoice.number},
        token=token,
        links={
            "invitation": make_link(account, Link.Purpose.INVITATION, str(offered.pk), at=at),
            "receipt": receipts.receipt_path(cancellation),
            "undo": "undo",
            "pay_link": make_link(account, Link.Purpose.PAY, invoice.provider_id, at=at),
        },
        browsers={
            "anonymous": Client(),
            "stranger": signed_in(stranger),
            "member": signed_in(member),
            "billing": signed_in(billing),
            "owner": browser,
            "staff": signed_in(staff),
            "key": Client(headers={"Authorization": f"Bearer {token}"}),
        },
    )


def set_state(account: Account, name: str) -> None:
    nothing = {"access_ends_at": None, "closed_at": None}
    Account.objects.filter(pk=account.pk).update(**(nothing | STATES[name]))


def address(world, name: str) -> str:
    route = next(str(p.pattern) for _r, p in walk(get_resolver().url_patterns) if p.name == name)
    given = {key: value for key, value in world.names.items() if f":{key}>" in route}
    if ":number>" in route:
        given["number"] = world.numbers[name]
    return reverse(name, kwargs=given)


def ask(browser: Client, method: str, url: str, **more) -> int:
    """The status of one request, whose effects are taken back; 299 for one that got as far as Stripe."""
    with transaction.atomic():
        try:
            return int(getattr(browser, method)(url, **more).status_code)
        except NetworkCallInTransaction:
            return AT_STRIPE
        finally:
            transaction.set_rollback(True)


def wanted(line: Line, credential: str, state: str, method: str) -> set[int] | str:
    """What must come out: the statuses that may, or "in" for any that means: they got past the door."""
    if credential == "anonymous":
        return {302, 401, 405}
    if credential == "key":
        return {401} if state == "erased" else {403} if state in OPEN else {402}
    if credential in ("stranger", "staff") or state == "erased":
        return {404, 405}
    if line.door == "gated" and state not in OPEN:
        return {402}
    if method not in line.methods:
        return {405}
    return "in" if line.role in ROLES[credential] else {403}


def test_nobody_gets_past_a_door_that_is_not_theirs(world):
    """Every address of an account, by every method, with every credential, in every state."""
    lines = {name: line for name, line in TABLE.items() if line.door in ("gated", "way_out")}
    urls = {name: address(world, name) for name in lines}
    wrong, asked = [], 0
    for state in STATES:
        set_state(world.account, state)
        for name, line in lines.items():
            for credential, browser in world.browsers.items():
                if credential in OUTSIDERS and state not in ENOUGH:
                    continue
                for method in ("get", "post"):
                    expected = wanted(line, credential, state, method)
                    if expected == "in" and credential != "owner" and (method, state) not in SHOWN:
                        continue  # the owner is asked everywhere; for others two states show it
                    status = ask(browser, method, urls[name], headers=MACHINE, data=line.sent)
                    asked += 1
                    if status in (401, 402, 403, 500) if expected == "in" else status not in expected:
                        wrong.append(f"{method} {name} as {credential}, {state}: {status}, not {expected}")

    assert wrong == []
    assert asked > 2000


def test_the_active_owner_succeeds_everywhere(world):
    found = {}
    for name, line in TABLE.items():
        if line.door not in ("gated", "way_out"):
            continue
        for method in line.methods:
            status = ask(world.browsers["owner"], method, address(world, name), data=line.sent)
            if status not in (200, 302, 303, AT_STRIPE):
                found[name, method] = status

    assert found == {cell: status for cell, (status, _why) in OTHERWISE.items()}


@pytest.mark.parametrize("state", ["ended", "frozen", "closed"])
def test_a_person_is_shown_the_ways_out_and_old_links_still_lead_there(world, state):
    set_state(world.account, state)
    owner = world.browsers["owner"]
    for name in ("account_overview", "people", "account_settings", "keys"):
        page = owner.get(address(world, name))
        assert page.status_code == 402
        assert reverse("exports", args=[world.account.public_id]) in page.content.decode()

    for name, link in world.links.items():
        url = link if link.startswith("/") else reverse(name, args=[link])
        # Nobody joins what was left.
        status = 410 if (name, state) == ("invitation", "closed") else 200
        assert Client().get(url).status_code == status, name
        assert owner.get(url).status_code == status, name
    for method in ("put", "patch", "delete", "options"):
        assert getattr(owner, method)(address(world, "people")).status_code == 402


def test_what_names_no_account_is_open_to_whom_it_is_for_even_to_the_frozen(world):
    set_state(world.account, "frozen")
    wrong = []
    for route, pattern in walk(get_resolver().url_patterns):
        line = line_of(route, pattern)
        if line is None or "<" in route or "(" in route or line.door not in ("anyone", "person", "staff"):
            continue
        for credential in ("anonymous", "owner"):
            status = ask(world.browsers[credential], line.methods[0], f"/{route}")
            signed = credential != "anonymous"
            if line.door == "anyone" and status in (401, 402, 403):
                wrong.append(f"{route} as {credential}: {status}")
            if line.door == "person" and signed and status == 402:
                wrong.append(f"{route} as {credential}: {status}")
            if line.door == "staff" and status == 200:
                wrong.append(f"{route} as {credential}: {status}")

    assert wrong == []


def test_an_invitation_to_a_frozen_account_gives_its_seat_and_nothing_more(world):
    set_state(world.account, "frozen")
    guest = make_user("eva@example.com", password=PASSWORD)
    browser = signed_in(guest)
    browser.post(reverse("invitation", args=[world.links["invitation"]]))

    assert Invitation.objects.get().accepted_at is not None
    assert browser.get(address(world, "people")).status_code == 402
