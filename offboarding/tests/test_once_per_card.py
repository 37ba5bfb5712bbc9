"""One voluntary refund in so many months for a customer, and for a card, whichever account it pays for."""

import datetime as dt
import threading

import pytest
from django.db import connection, transaction
from django.urls import reverse
from django.utils import translation

from accounts.events import By
from accounts.tests.worlds import NOON, owner_of
from billing.models import Payment, Refund
from offboarding import confirmations, wording
from offboarding.confirmations import confirm_cancellation
from offboarding.declarations import declare_cancellation
from offboarding.facts import read_situation
from offboarding.models import Ending
from offboarding.quotes import FactsMoved, is_faithful
from offboarding.situation import Situation
from offboarding.tests.leaving import choose, latest, owners_browser, paying_account
from offboarding.tests.situations import words

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]

EN = "This card had a voluntary refund for another account recently"
ES = "Esta tarjeta ya tuvo hace poco un reembolso voluntario por otra cuenta"


@pytest.fixture(autouse=True)
def _noon(clock):
    clock.turn_to(NOON)


def leave(account, clock, *, confirms=True):
    by, owner = By.customer(owner_of(account)), owner_of(account)
    cancellation = declare_cancellation(account, Ending.STOP_NOW, by=by, at=clock.now(), user=owner)
    if confirms:
        return confirm_now(cancellation, clock)
    return cancellation


def confirm_now(cancellation, clock):
    owner = owner_of(cancellation.account)
    quote = cancellation.quote.public_id
    return confirm_cancellation(
        cancellation, quote_id=quote, by=By.customer(owner), at=clock.now(), user=owner
    )


def test_a_second_account_paid_with_the_same_card_gets_no_second_refund_and_is_told_why(clock):
    first, second = paying_account(), paying_account()
    leave(first, clock)
    browser = owners_browser(second)
    page = words(browser.get(reverse("leave", args=[second.public_id])))
    choose(browser, second, "stop_now")
    quote = latest(second).quote
    with translation.override("es"):
        spanish = wording.why_none(quote)

    assert Refund.objects.get().account == first
    assert (quote.amount, quote.why_none) == (0, "once_per_card")
    assert EN in page
    assert ES in spanish
    assert is_faithful(quote)


def test_only_voluntary_refunds_to_the_same_card_within_the_months_count(clock):
    first, second = paying_account(), paying_account()
    leave(first, clock)
    refund, paid = Refund.objects.filter(account=first), Payment.objects.filter(account=second)
    counts = lambda: read_situation(second, at=clock.now()).billing.last_card_refund_at  # noqa: E731
    card = paid.get().method_fingerprint

    assert counts() == int(refund.get().created_at.timestamp())
    for rows, columns, back in [
        (paid, {"method_fingerprint": "another"}, {"method_fingerprint": card}),
        (Payment.objects.all(), {"method_fingerprint": ""}, {"method_fingerprint": card}),
        (refund, {"is_voluntary": False}, {"is_voluntary": True}),
        (refund, {"state": "failed", "failed_at": NOON}, {"state": "intent", "failed_at": None}),
    ]:
        rows.update(**columns)

        assert counts() is None
        rows.update(**back)
    refund.update(created_at=NOON - dt.timedelta(days=366))

    assert leave(second, clock).quote.amount > 0


def test_facts_of_quotes_from_before_are_read_and_hashed_as_before(clock):
    facts = read_situation(paying_account(), at=clock.now())

    assert "last_card_refund_at" not in facts.to_json()["billing"]
    assert Situation.from_json(facts.to_json()) == facts


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="on SQLite the transaction is the lock")
@pytest.mark.parametrize("is_guarded", [True, False])
def test_two_accounts_of_one_card_confirm_one_after_the_other(is_guarded, clock, monkeypatch):
    if not is_guarded:
        monkeypatch.setattr(confirmations, "_hold_cards", lambda account: None)
    first, second = (leave(paying_account(), clock, confirms=False) for _ in range(2))
    begun, over, found = threading.Event(), threading.Event(), []

    def confirm_first():
        with transaction.atomic():
            confirm_now(first, clock)
            begun.set()
            over.wait(2)
        connection.close()

    thread = threading.Thread(target=confirm_first)
    thread.start()
    begun.wait(20)
    try:
        found.append(confirm_now(second, clock).status)
    except FactsMoved:
        found.append("moved")
    over.set()
    thread.join()

    assert Refund.objects.filter(is_voluntary=True).count() == (1 if is_guarded else 2)
    assert (found == ["moved"]) == is_guarded
