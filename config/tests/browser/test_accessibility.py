"""Nothing that axe-core finds, on any page, in light and dark, on a phone and on a desk."""

import re

import pytest

from config.demo import gallery
from config.demo.axe import HOW, find_axe, violations

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

PHONE = {"width": 320, "height": 640}
DESK = {"width": 1280, "height": 800}
ACCOUNT_PAGES = (
    *("", "history/", "settings/", "people/", "people/leave/", "billing/", "plans/", "invoices/"),
    *("card/", "pay/team-yearly/", "data/", "leave/", "keys/"),
)
#: The overview, and what else differs for who owes an invoice, is on trial, has one behind them, is shut out.
LATE_PAGES, SHUT_PAGES = ("", "billing/", "plans/"), ("", "leave/")
TRIAL_PAGES, OVER_PAGES = ("", "more-time/", "pay/solo-trial/"), ("", "more-time/")
OWN_PAGES = (
    *("/me/", "/a/?all", "/a/new/", "/accounts/email/", "/accounts/password/change/", "/accounts/2fa/"),
    *("/accounts/2fa/totp/activate/", "/accounts/sessions/", "/accounts/logout/"),
)
#: Lists of rows about trials, unpaid invoices and the gate, beside those that the pictures show.
STAFF_LISTS = (
    *("/admin/accounts/hold/", "/admin/billing/trialrequest/", "/admin/billing/trialextension/"),
    *("/admin/billing/subscription/", "/admin/billing/invoice/", "/admin/accounts/notice/law/"),
)


@pytest.fixture(scope="module")
def axe():
    source = find_axe()
    if source is None:
        pytest.skip(HOW)
    return source


def judge(person, axe, paths=("",)):
    """What axe finds, and what is wider than the window, by page; dark on the phone, light on the desk."""
    found = {}
    for path in paths:
        if path:
            person.open(path)
        for size, scheme in ((PHONE, "dark"), (DESK, "light")):
            person.page.set_viewport_size(size)
            # Without motion: axe must not meet a colour on its way from one scheme to the other.
            person.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            person.page.evaluate(PAINTED)
            lines = violations(person.page, axe)
            if person.page.evaluate(TOO_WIDE) > 0:
                lines.append("wider than the window")
            if lines:
                found[f"{path or person.page.url} {size['width']} {scheme}"] = lines
    return found


#: Two frames later the new scheme is on the screen.
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def account_of(person):
    return re.search(r"/a/\w{26}/", person.open("/a/").page.url).group(0)


def test_the_pages_for_anyone_are_usable_by_all(someone, axe):
    paths = [path for _, path in gallery.ANYONE]

    assert judge(someone(javascript=True), axe, paths) == {}


def test_the_pages_of_an_account_are_usable_by_all(someone, axe):
    person = someone("renew@example.com", javascript=True)
    account = account_of(person)

    assert judge(person, axe, [account + page for page in ACCOUNT_PAGES]) == {}


def test_the_pages_of_a_person_are_usable_by_all(someone, axe):
    assert judge(someone("pay@example.com", javascript=True), axe, OWN_PAGES) == {}


def test_every_step_of_leaving_is_usable_by_all_and_no_offer_hides_the_way_out(house, someone, axe):
    person = someone("look@example.com", javascript=True).tab("Leave").press("Stop now")
    found = judge(person, axe)
    person.press("A few questions, then confirm")
    found |= judge(person, axe)
    person.page.get_by_label("It costs too much").check()
    person.press("Save and continue")
    found |= judge(person, axe)
    person.page.set_viewport_size(PHONE)
    way_out = person.page.get_by_role("link", name="No, continue").bounding_box()
    person.press("No, continue")
    found |= judge(person, axe)
    mail = house.mail("look@example.com", "on record").body("plain")
    links = re.findall(r"/(?:receipt|undo)/[\w-]+/", mail)
    found |= judge(someone(javascript=True), axe, links)

    assert found == {}
    assert way_out["y"] + way_out["height"] <= PHONE["height"]
    assert len(links) == 2


ACCOUNTS = r"/admin/accounts/account/\d+"


def links(person, path, pattern):
    """The addresses of this pattern on a page, each once."""
    found = re.findall(rf'href="({pattern})"', person.open(path).page.content())
    return sorted({link.replace("&amp;", "&") for link in found})


def test_the_pages_of_who_is_late_are_usable_by_all(house, someone, axe):
    late = someone("late@example.com", javascript=True)
    account = account_of(late)
    invoice = links(late, f"{account}billing/", f'{account}invoices/in_[^"]+/pay/')
    paths = [account + page for page in LATE_PAGES] + invoice + [invoice[0].replace("/pay/", "/day/")]
    found = judge(late, axe, paths)
    shut = someone("silent@example.com", javascript=True)
    found |= judge(shut, axe, [account_of(shut) + page for page in SHUT_PAGES])
    mail = house.mail("careful@example.com", "Please confirm").body("plain")
    link = re.search(r"/pay/[\w-]+/", mail).group(0)
    payer = someone(javascript=True)
    found |= judge(
        payer, axe, [link, f"{link}done/", f"{link}done/?turn=999", f"{link}done/?redirect_status=failed"]
    )
    found |= judge(payer.open(link).press("Confirm the payment"), axe)

    assert found == {}
    assert payer.heading == "Confirm with your bank"


def test_the_pages_of_a_trial_are_usable_by_all(house, someone, axe):
    trial, over = someone("trial@example.com", javascript=True), someone("over@example.com", javascript=True)
    found = judge(trial, axe, [account_of(trial) + page for page in TRIAL_PAGES])
    counted = trial.open("/a/").words
    found |= judge(over, axe, [account_of(over) + page for page in OVER_PAGES])
    mail = house.mail("over@example.com", "Your trial").body("plain")
    found |= judge(someone(javascript=True), axe, [re.search(r"/more-time/[\w-]+/", mail).group(0)])

    assert found == {}
    assert "of your trial" in counted


def test_the_desk_is_usable_by_all(someone, axe):
    support = someone("support@good-terms.example", javascript=True)
    paths = [path for _, path in gallery.STAFF["support@good-terms.example"]] + list(STAFF_LISTS)
    for name in ("Renew", "Late", "Trial"):
        found = links(support, f"/admin/accounts/account/?q={name}", rf"{ACCOUNTS}/change/[^\"]*")
        page = found[0].partition("?")[0]
        paths += [page, *links(support, page, rf"{ACCOUNTS}/do/[a-z_]+/")]
    paths += [page.replace("change/", "mails/")]
    case = links(support, "/admin/billing/dunningcase/", r"/admin/billing/dunningcase/\d+/change/[^\"]*")[0]
    paths += [case, *links(support, case, r"/admin/billing/dunningcase/\d+/do/[a-z_]+/")]
    found = judge(support, axe, dict.fromkeys(paths))
    finance = someone("finance@good-terms.example", javascript=True)
    found |= judge(finance, axe, ["/admin/billing/refundmovement/reports/"])

    assert found == {}
    assert sum("/do/" in path for path in paths) >= 5


def test_the_pages_of_operators_are_usable_by_all(someone, axe):
    paths = [path for _, path in gallery.STAFF["admin@good-terms.example"]]

    assert judge(someone("admin@good-terms.example", javascript=True), axe, paths) == {}


def test_a_fault_that_is_planted_is_found(someone, axe):
    person = someone(javascript=True).open("/terms/")
    person.page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=x>')")

    assert any("image-alt" in line for lines in judge(person, axe).values() for line in lines)
