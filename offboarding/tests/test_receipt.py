"""The leaving receipt: for whoever has its address, true until the refund has landed."""

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.tests.worlds import NOON
from billing.models import Refund
from billing.tests.worlds import control, run_worker
from offboarding.receipts import receipt_path, undo_path
from offboarding.tests.leaving import choose, confirm, latest, owners_browser
from offboarding.tests.situations import after, paid_long_ago, words

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture
def account(clock):
    clock.turn_to(NOON)
    return paid_long_ago(clock)


def read(account):
    page = Client().get(receipt_path(latest(account)))
    assert page.status_code == 200
    return words(page)


def test_it_needs_no_sign_in_and_says_what_was_declared_and_what_applies(account):
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()

    page = read(account)

    assert latest(account).receipt_number in page
    assert "31 March 2026, 14:00 CEST" in page
    assert "11 April 2026" in page
    assert "Stop renewing" in page
    assert "Scheduled: nothing renews" in page
    assert "Thank you" in page
    assert "If you liked it, you may pass this on" in page


def test_its_address_cannot_be_guessed_and_is_not_kept_by_anyone(account):
    choose(owners_browser(account), account, "stop_renewing")
    cancellation = latest(account)
    path = receipt_path(cancellation)

    page = Client().get(path)

    assert len(path.strip("/").split("/")[1]) == 43  # 256 bits
    assert path.strip("/").split("/")[1] not in str(vars(cancellation))
    assert page["Cache-Control"] == "no-store"
    assert page["Referrer-Policy"] == "same-origin"
    assert page["X-Robots-Tag"] == "noindex"


@pytest.mark.parametrize("token", ["x", "A" * 43])
def test_an_unknown_address_is_not_found(token):
    assert Client().get(reverse("receipt", args=[token])).status_code == 404


def test_the_undo_address_is_no_receipt_and_the_other_way_round(account):
    choose(owners_browser(account), account, "stop_renewing")
    receipt, undo = receipt_path(latest(account)), undo_path(latest(account))

    assert Client().get(receipt.replace("/undo/", "/receipt/")).status_code == 200
    assert Client().get(undo.replace("/undo/", "/receipt/")).status_code == 404
    assert Client().get(receipt.replace("/receipt/", "/undo/")).status_code == 404


def test_it_follows_the_refund_until_it_has_landed(clock):
    clock.turn_to(NOON)
    account = paid_long_ago(clock, card="pm_card_pendingRefund")
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    assert "One step left: your refund of €10.30" in read(account)
    confirm(browser, account)
    assert "€10.30 is being sent; it arrives by 10 April 2026" in read(account)
    run_worker()
    pending = read(account)
    control("POST", f"/_sandbox/refunds/{Refund.objects.get().provider_id}/succeed", {})
    run_worker()

    assert "€10.30 is on its way to the card ending in 5126; it arrives by 10 April 2026" in pending
    assert "was sent" not in pending
    assert "€10.30 was sent to the card ending in 5126 on 31 March 2026" in read(account)


def test_an_amount_that_is_kept_or_waits_is_not_said_to_be_going_back(account):
    browser = owners_browser(account)
    choose(browser, account, "free_days")
    assert "Kept for you once you take the last step" in read(account)
    confirm(browser, account)

    assert "Kept for you until 28 April 2026" in read(account)
    assert "Back to your payment method" not in read(account)
    browser.post(reverse("leaving_keep", args=[account.public_id, latest(account).public_id]))
    assert "Worked out when it was declared" in read(account)


def test_the_overview_says_when_free_days_end_and_where_a_refund_is(account):
    browser = owners_browser(account)
    overview = reverse("account_overview", args=[account.public_id])
    choose(browser, account, "stop_renewing")
    renewing = words(browser.get(overview))
    browser.post(reverse("choose_ending", args=[account.public_id]), {"ending": "free_days"})
    confirm(browser, account)
    free = words(browser.get(overview))
    browser.post(reverse("leaving_claim", args=[account.public_id, latest(account).public_id]))

    assert "A refund of €10.30 lapses Until then you can choose another way to leave." in renewing
    assert "The free days end; your paid days go on" in free
    assert "lapses Until then you can have it." in free
    assert "€10.30 is being sent; it arrives by 10 April 2026" in words(browser.get(overview))


def test_until_the_last_step_the_data_is_kept_as_long_as_the_access_asks_for(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")

    overview = words(browser.get(reverse("account_overview", args=[account.public_id])))

    said = "Without the last step it is deleted on 8 October 2026; with it, 180 days after you confirm."
    assert said in read(account)
    assert f"Your data is kept, and yours to fetch. {said}" in overview
    assert "Nothing is planned to be deleted" not in overview


#: What all pages and mails of one leaving say, before the last step and after it.
DATES = {
    ("free_days", False): [
        "Without the last step Access ends on 11 April 2026, 14:00 CEST; nothing is refunded",
        "With the last step Access ends on 25 April 2026, 14:00 CEST",
        "Free days Until 14 April 2026; after them your paid days go on",
        "Refund €10.30 is then kept for you: claim it on any day until 28 April 2026, 23:59 CEST; "
        "claiming it ends what is left of access",
    ],
    ("free_days", True): [
        "Free days Until 14 April 2026; after them your paid days go on",
        "Last moment of access 25 April 2026, 14:00 CEST",
        "Refund €10.30 is kept for you: claim it on any day until 28 April 2026, 23:59 CEST; "
        "claiming it ends what is left of access",
    ],
    ("stop_now", False): [
        "Without the last step Access ends on 11 April 2026, 14:00 CEST; nothing is refunded",
        "With the last step Access ends once you confirm",
        "Refund €10.30, if you take the last step by 11 April 2026, 14:00 CEST; after that it lapses",
    ],
    ("stop_now", True): ["Last moment of access 31 March 2026, 14:00 CEST"],
}


@pytest.mark.parametrize(("ending", "confirmed"), DATES)
def test_page_receipt_card_and_mail_say_the_same_dates_in_the_same_words(account, ending, confirmed):
    browser = owners_browser(account)
    choose(browser, account, ending)
    timezone.deactivate()  # as in the worker, which belongs to nobody's zone
    run_worker()
    if confirmed:
        confirm(browser, account)
        timezone.deactivate()
        run_worker()
    left, dates = latest(account), DATES[ending, confirmed]
    receipt = Client().get(receipt_path(left))
    pages = {
        "page": browser.get(reverse("leaving", args=[account.public_id, left.public_id])),
        "receipt": receipt,
        "overview": browser.get(reverse("account_overview", args=[account.public_id])),
    }
    said = {name: words(page) for name, page in pages.items()}
    sent = [m for m in mail.outbox if left.receipt_number in m.body]
    said["mail"] = " ".join(sent[-1].body.replace(": ", " ").split())

    for name, text in said.items():
        missing = [line for line in dates if line.replace(": ", " ") not in text.replace(": ", " ")]
        assert missing == [], name
        assert "Nothing is billed after" not in text


def test_a_refund_that_comes_back_days_later_is_not_shown_as_paid(account, clock):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)
    run_worker()
    after(clock, days=4)
    control("POST", f"/_sandbox/refunds/{Refund.objects.get().provider_id}/fail", {})
    run_worker()

    page = read(account)

    assert "€10.30 could not be paid to your card. We know, and will write to you." in page
    assert "was sent" not in page


def test_it_can_be_printed_and_works_without_a_script(account):
    choose(owners_browser(account), account, "stop_renewing")

    page = Client().get(receipt_path(latest(account))).content.decode()

    assert "data-print hidden" in page
    assert 'class="receipt"' in page


def test_it_shows_no_name_and_no_address_of_a_person(account):
    choose(owners_browser(account), account, "stop_now")

    page = Client().get(receipt_path(latest(account))).content.decode()

    assert account.name not in page
    assert account.members.get().user.email not in page


def test_taken_back_it_says_so(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    browser.post(reverse("leaving_keep", args=[account.public_id, latest(account).public_id]))

    page = read(account)

    assert "Taken back" in page
    assert "Last moment of access" not in page
