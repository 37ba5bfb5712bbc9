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
    *("card/", "pay/team-yearly/", "data/", "leave/"),
)
OWN_PAGES = (
    *("/me/", "/a/?all", "/a/new/", "/accounts/email/", "/accounts/password/change/", "/accounts/2fa/"),
    *("/accounts/2fa/totp/activate/", "/accounts/sessions/", "/accounts/logout/"),
)
STAFF_PAGES = (
    *("/admin/", "/admin/accounts/account/", "/admin/offboarding/cancellation/"),
    *("/admin/accounts/notice/", "/admin/billing/refund/"),
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


def test_the_desk_is_usable_by_all(someone, axe):
    support = someone("support@good-terms.example", javascript=True)
    support.open("/admin/accounts/account/?q=Renew")
    support.page.locator("#result_list").get_by_role("link", name="Renew Ltd").click()
    found = judge(support, axe, ["", *STAFF_PAGES])
    finance = someone("finance@good-terms.example", javascript=True)
    found |= judge(finance, axe, ["/admin/billing/refundmovement/reports/"])

    assert found == {}


def test_a_fault_that_is_planted_is_found(someone, axe):
    person = someone(javascript=True).open("/terms/")
    person.page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=x>')")

    assert any("image-alt" in line for lines in judge(person, axe).values() for line in lines)
