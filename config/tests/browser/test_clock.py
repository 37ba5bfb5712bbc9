"""The demo's clock in a real browser without scripts: each story is one button, and tells what happened."""

import pytest

from config.tests.browser.conftest import Person

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

COMPANY = "from accounts import clock as c; from config.demo.examples import make_company as m; m(c.now())"

#: What must be told, in this order.
TOLD = {
    "Watch a trial expire": [
        "Someone begins a trial, without a card",
        "The trial began.",
        "10 days before the trial ends",
        "The trial is over",
        "4 days after the trial",
        "Last reminder: access goes off on",
        "16 days after the trial",
        "access off",
        "Access was turned off.",
    ],
    "Watch a card fail and recover": [
        "Someone pays by card, month by month",
        "We received €29.00.",
        "The renewal: the bank refuses",
        "did not go through",
        "access off",
        "Access was turned off.",
        "Access is off: €29.00 is unpaid",
        "A new card, and the invoice is paid",
        "We received €29.00.",
        "Paid: €29.00. Everything is on",
        "access on",
    ],
    "Watch someone leave": [
        "“Close and delete”: on record at once",
        "Your cancellation is on record",
        "A refund of €29.00 was decided",
        "€29.00 was refunded.",
        "The day on which the data goes",
        "The account was erased.",
    ],
}


@pytest.fixture(scope="module")
def visitor(browser, live_stack):
    live_stack.manage("shell", "-c", COMPANY)
    context = browser.new_context(java_script_enabled=False, locale="en-GB")
    context.set_default_timeout(20_000)
    yield Person(context.new_page(), live_stack.url)
    context.close()
    (live_stack.folder / "clock").unlink(missing_ok=True)


def follow(visitor):
    """The page shows that time is turned, looks again by itself, and has its buttons back in the end."""
    visitor.page.wait_for_selector("progress")
    visitor.page.wait_for_selector("[name=watch]", timeout=90_000)


@pytest.mark.parametrize("story", TOLD)
def test_a_story_is_one_button(visitor, story):
    visitor.open("/demo/clock/").press(story)
    follow(visitor)
    place, words = 0, visitor.words
    for line in TOLD[story]:
        assert line in words[place:], f"{line!r} is not told in: {words[place:]}"
        place = words.index(line, place)

    assert "It did not come to its end" not in words
    assert "failed: " not in words


def test_a_mail_of_the_story_opens_in_the_viewer(visitor):
    visitor.open("/demo/clock/").page.locator(".story .of-mail a", has_text="on record").first.click()

    assert "Your cancellation is on record" in visitor.heading


def test_a_day_of_the_past_is_refused_and_a_day_on_is_turned(visitor):
    visitor.open("/demo/clock/")
    before = visitor.page.locator(".clock-now").inner_text()
    visitor.page.fill("[name=to]", "2020-01-01")
    visitor.press("Turn to this day")
    refused = visitor.words
    visitor.press("1 day on")
    follow(visitor)

    assert "Time goes forward only: choose a later day." in refused
    assert visitor.page.locator(".clock-now").inner_text() != before
