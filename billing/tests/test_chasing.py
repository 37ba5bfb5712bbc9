"""Lives of an unpaid invoice by the clock: what happens on which day, and nothing else.

`pass_days` lists history and mails of each day, so a mail or a step too many fails as one too few does.
test_chasing_lives.py lives them in every zone, at month ends, across clock changes and with beat off.
"""

import datetime as dt

import pytest
from django.test import Client

from accounts import clock as product_clock
from accounts.events import By
from accounts.holds import place_hold
from accounts.models import Notice
from accounts.tests.worlds import owner_of
from billing.checkout import pay_invoice
from billing.dunning_attempts import retry_now
from billing.dunning_choice import choose_day
from billing.models import DunningAttempt, Subscription
from billing.periods import add_local_days
from billing.tests.chasing import (
    bank_says,
    failing_account,
    pass_days,
    swap_card,
    the_case,
    the_invoice,
)
from billing.tests.worlds import advance, control, make_plan, run_worker

pytestmark = pytest.mark.django_db
#: What is proven here is the schedule and the provider: one database is enough for most of it.
once = pytest.mark.once

FIRST = [
    "subscription.past_due",
    "invoice.open",
    "payment.failed",
    "dunning.opened",
    "account.grace",
    "mail payment_failed",
]
FAILED = ["dunning.attempted", "payment.failed", "mail payment_failed"]
BLOCKED = ["mail block_soon", "account.frozen", "mail access_blocked"]
PAID = {"invoice.paid", "payment.received", "subscription.active", "dunning.paid", "account.active"}
EXHAUSTED = {0: FIRST, 3: FAILED, 6: FAILED, 7: BLOCKED, 10: FAILED}


def paid(day):
    """The steps and mails of a day on which it was paid, in any order of the provider's events."""
    return sorted(set(day) - {"dunning.attempted", "card.changed", "mail card_changed"})


@once
def test_a_soft_decline_is_tried_again_and_recovers(noon):
    account = failing_account(noon)

    days = pass_days(noon, account, 12, then={4: lambda account: bank_says(account, None)})

    assert {n: days[n] for n in days if n != 6} == {0: FIRST, 3: FAILED}
    assert paid(days[6]) == sorted([*PAID, "mail payment_recovered"])
    account.refresh_from_db()
    assert (account.state, account.access_ends_at) == ("active", None)
    assert the_case(account).status == "paid"


@once
def test_a_hard_decline_is_not_tried_again_and_hastens_nothing(noon):
    account = failing_account(noon, "lost_card")

    days = pass_days(noon, account, 12)

    told = ["dunning.left_out", "mail payment_failed"]
    assert days == {0: FIRST, 3: told, 6: told, 7: BLOCKED, 10: told, 11: ENDED["freeze"]}
    assert {a.outcome for a in DunningAttempt.objects.all()} == {"skipped"}
    assert calls("/pay$") == 0
    assert "stolen" not in Notice.objects.filter(kind="payment_failed").latest("pk").facts


def calls(pattern):
    """How many writes the provider got at addresses that end so."""
    import re

    found = control("GET", "/_sandbox/requests")["requests"]
    return sum(call["method"] == "POST" and bool(re.search(pattern, call["path"])) for call in found)


@once
def test_whoever_confirms_with_the_bank_has_paid(noon):
    """3-D Secure: the mail leads to a page without sign-in, the page to the bank, the bank back."""
    account = failing_account(noon, card="pm_card_authenticationRequired")
    days = pass_days(noon, account, 3)
    assert days == {0: FIRST, 3: ["dunning.left_out", "mail payment_failed"]}

    browser, url = Client(), pay_address(account)
    page = browser.get(url)
    assert b"Confirm the payment" in page.content
    answer = browser.post(f"{url}confirm/")
    assert answer.url == f"{url}bank/"
    bank = browser.get(answer.url)
    assert b"/3ds/" in bank.content
    control("POST", f"/_sandbox/intents/{intent_of(account)}/authenticate", {"passed": True})
    run_worker()

    assert the_case(account).status == "paid"
    assert b"Thank you, it is paid" in browser.get(f"{url}done/").content
    account.refresh_from_db()
    assert account.state == "active"


def intent_of(account):
    from billing.stripe_api import calling, id_of

    with calling() as stripe:
        made = stripe.v1.invoice_payments.list(params={"invoice": the_invoice(account).provider_id})
        return id_of(made.data[0].payment.payment_intent)


def pay_address(account):
    """The path of a pay link as the newest mail has it."""
    from urllib.parse import urlsplit

    from billing.dunning_notices import pay_link

    return urlsplit(pay_link(the_case(account), at=product_clock.now())).path


@once
def test_another_card_is_charged_at_once(noon):
    account = failing_account(noon)

    days = pass_days(noon, account, 9, then={8: lambda account: swap_card(account, "pm_card_visa")})

    assert {n: days[n] for n in days if n != 8} == {0: FIRST, 3: FAILED, 6: FAILED, 7: BLOCKED}
    assert paid(days[8]) == sorted([*PAID, "mail payment_recovered"])
    account.refresh_from_db()
    assert (account.state, account.access_ends_at) == ("active", None)


def choose(account, day):
    case = the_case(account)
    chosen = case.opened_at.date() + dt.timedelta(days=day)
    choose_day(case, chosen, by=By.customer(owner_of(account)), at=product_clock.now())


@once
def test_a_chosen_day_moves_the_block_once_and_is_kept(noon):
    account = failing_account(noon)

    days = pass_days(noon, account, 18, then={1: lambda account: choose(account, 12)})

    assert days == {
        0: FIRST,
        1: ["dunning.chosen", "mail dunning_moved"],
        12: FAILED,
        13: BLOCKED,
        16: FAILED,
        17: ENDED["freeze"],
    }


@once
def test_a_hold_after_the_last_try_brings_another_try_the_day_before_access_ends(noon):
    account = failing_account(noon)

    def hold(account):
        at = product_clock.now()
        place_hold(account, reason="promise", until=at + dt.timedelta(days=3), by=By("staff"), at=at)

    days = pass_days(noon, account, 12, then={6: hold})

    assert days.pop(6)[:3] == FAILED
    # The three days are over at noon of the 9th: the card is tried on the morning after that.
    assert days == {0: FIRST, 3: FAILED, 10: FAILED, 11: BLOCKED}


def paid_by(way, account, browser=None):
    """Pay on another path than our own attempts."""
    invoice, at = the_case(account).invoice, product_clock.now()
    bank_says(account, None)
    if way == "page":
        pay_invoice(invoice, by=By.customer(owner_of(account)), at=at)
    elif way == "link":
        Client().post(f"{pay_address(account)}confirm/")
    elif way == "provider":
        from billing.stripe_api import calling, keyed

        with calling() as stripe:
            stripe.v1.invoices.pay(invoice.provider_id, options=keyed(f"there-{account.pk}"))
    elif way == "staff":
        retry_now(the_case(account), reason="asked", by=By("staff"), at=at)
    elif way == "outside":
        from billing.stripe_api import calling, keyed

        with calling() as stripe:
            stripe.v1.invoices.pay(
                invoice.provider_id, params={"paid_out_of_band": True}, options=keyed(f"out-{account.pk}")
            )


@once
@pytest.mark.parametrize("way", ["page", "link", "provider", "outside", "staff"])
@pytest.mark.parametrize("day", [2, 9])
def test_access_is_back_within_a_minute_whatever_way_it_is_paid(noon, way, day):
    account = failing_account(noon)
    pass_days(noon, account, day)
    account.refresh_from_db()
    assert account.state == ("grace" if day < 7 else "frozen")

    paid_by(way, account)
    run_worker()

    account.refresh_from_db()
    assert (account.state, account.access_ends_at, the_case(account).status) == ("active", None, "paid")
    sent = Notice.objects.filter(account=account, kind="payment_recovered").get()
    assert sent.status == "sent"
    assert not Notice.objects.filter(account=account, status="owed").exists()
    assert Notice.objects.filter(account=account, kind="payment_received").count() == 1  # of the start
    # A day and a half without access: the next charge comes two days later, whatever way it was paid.
    live, paid_until = Subscription.objects.get(account=account), the_invoice(account).period_end
    assert live.renews_at == add_local_days(paid_until, 2 if day == 9 else 0, account.time_zone)


ENDED = {
    "freeze": ["mail dunning_end_soon", "dunning.ended", "mail dunning_ended"],
    "keep": ["mail dunning_end_soon", "dunning.ended", "mail dunning_ended"],
    "free_plan": [
        "mail dunning_end_soon",
        "dunning.ended",
        "invoice.void",
        "subscription.canceled",
        "subscription.active",
        "account.active",
        "mail dunning_ended",
    ],
}


@once
@pytest.mark.parametrize("action", ["freeze", "keep", "free_plan"])
def test_exhausted_it_ends_as_the_terms_say(noon, action):
    make_plan(amount=0)
    account = failing_account(noon, dunning_end=action)

    days = pass_days(noon, account, 32)

    assert sorted(days.pop(11)) == sorted(ENDED[action])
    if action != "free_plan":  # the next renewal comes to nothing, and opens nothing
        assert days.pop(31) == ["subscription.active", "invoice.void"]
    assert days == EXHAUSTED
    account.refresh_from_db()
    live = Subscription.objects.live().get(account=account)
    assert account.state == ("active" if action == "free_plan" else "frozen")
    assert live.plan.is_free == (action == "free_plan")


@once
def test_whoever_pays_after_the_end_has_everything_back_and_is_billed_again(noon):
    account = failing_account(noon)
    days = pass_days(noon, account, 33, then={32: lambda account: paid_by("page", account)})

    assert days[11] == ENDED["freeze"]
    assert set(days) == {*EXHAUSTED, 11, 31, 32}
    account.refresh_from_db()
    assert (account.state, account.access_ends_at) == ("active", None)
    renewal = Subscription.objects.live().get(account=account).period_end
    advance(noon, renewal + dt.timedelta(hours=2))
    assert the_invoice(account).status == "paid"


@pytest.mark.parametrize("off", [{7}, set(range(1, 15))], ids=str)
def test_days_off_and_two_beats_end_in_the_same_with_no_two_steps_a_day(noon, off):
    account = failing_account(noon)
    until = the_case(account).block_at

    days = pass_days(noon, account, 22, off=off, beats=2)

    case = the_case(account)
    assert case.status == "ended"
    assert case.block_at == until
    steps = [
        sum(text in ("dunning.attempted", "account.frozen", "dunning.ended") for text in days[n])
        for n in days
    ]
    assert max(steps) == 1
    account.refresh_from_db()
    # A late run gives no free day: the date had ended access already.
    assert (account.state, account.access_ends_at) == ("frozen", until)
    kinds = [text for n in sorted(days) for text in days[n] if text.startswith(("account.", "dunning.e"))]
    assert kinds == ["account.grace", "account.frozen", "dunning.ended"]
    for texts in days.values():
        mails = [text for text in texts if text.startswith("mail ")]
        assert len(mails) == len(set(mails)) <= 2
