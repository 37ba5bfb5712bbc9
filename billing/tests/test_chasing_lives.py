"""Lives of an unpaid invoice in every zone, at month ends, on 29 February, across clock changes, beat off.

Undisturbed each day's history and mails are those listed, and nothing else. With beat off for days a life
ends in the same, nothing comes earlier, nothing twice, never two steps on one day, and nothing bursts.
"""

import pytest
from django.test import Client

from accounts import clock as product_clock
from accounts.events import By
from accounts.holds import end_hold, open_hold, place_hold
from accounts.tests.worlds import owner_of
from billing.checkout import pay_invoice
from billing.dunning_choice import choose_day
from billing.dunning_notices import pay_link
from billing.periods import local_date
from billing.stripe_api import calling, id_of
from billing.tests import grid
from billing.tests.chasing import bank_says, swap_card, the_case, the_invoice
from billing.tests.chasing_lives import (
    BLOCKED,
    ENDED,
    FAILED,
    FIRST,
    LEFT_OUT,
    OUTAGES,
    PAID,
    PAID_LATE,
    Life,
    check_life,
    live,
)
from billing.tests.grid import DAY
from billing.tests.worlds import control, run_worker

# The schedule and the provider are proven here: one database is enough.
pytestmark = [pytest.mark.django_db, pytest.mark.once]

CARD = ["card.changed", "mail card_changed"]
DOWN = ["invoice.void", "subscription.canceled", "subscription.active", "account.active"]


def bank_pays(account):
    bank_says(account, None)


def another_card(account):
    swap_card(account, "pm_card_visa")


def pay(account):
    bank_says(account, None)
    pay_invoice(the_invoice(account), by=By.customer(owner_of(account)), at=product_clock.now())


def confirm_with_the_bank(account):
    """The link of the mail, without sign-in, the bank's page, and back."""
    path = "/" + pay_link(the_case(account), at=product_clock.now()).split("/", 3)[3]
    Client().post(f"{path}confirm/")
    with calling() as stripe:
        made = stripe.v1.invoice_payments.list(params={"invoice": the_invoice(account).provider_id})
        intent = id_of(made.data[0].payment.payment_intent)
    control("POST", f"/_sandbox/intents/{intent}/authenticate", {"passed": True})
    run_worker()


def choose(day):
    def act(account):
        case = the_case(account)
        chosen = local_date(case.opened_at, account.time_zone) + day * DAY
        choose_day(case, chosen, by=By.customer(owner_of(account)), at=product_clock.now())

    return act


def hold(days):
    def act(account):
        now = product_clock.now()
        place_hold(account, reason="promise", until=now + days * DAY, by=By("staff"), at=now)

    return act


def release(account):
    now = product_clock.now()
    end_hold(open_hold(account, at=now), reason="asked", by=By("staff"), at=now)


EXHAUSTED = {0: FIRST, 3: FAILED, 6: FAILED, 7: BLOCKED, 10: FAILED}
PAYS = {"status": "paid", "state": "active", "invoice": "paid"}
LIVES = {
    "soft decline, recovered": Life(
        {0: FIRST, 3: FAILED, 6: ["dunning.attempted", *PAID]}, {4: bank_pays}, **PAYS
    ),
    "hard decline": Life(
        {0: FIRST, 3: LEFT_OUT, 6: LEFT_OUT, 7: BLOCKED, 10: LEFT_OUT, 11: ENDED}, decline="lost_card"
    ),
    "3-D Secure, confirmed": Life(
        {0: FIRST, 3: LEFT_OUT, 4: PAID},
        {4: confirm_with_the_bank},
        card="pm_card_authenticationRequired",
        **PAYS,
    ),
    "card changed in time": Life({0: FIRST, 3: FAILED, 5: [*CARD, *PAID]}, {5: another_card}, **PAYS),
    "card changed after the block": Life(
        {0: FIRST, 3: FAILED, 6: FAILED, 7: BLOCKED, 8: [*CARD, *PAID]}, {8: another_card}, **PAYS
    ),
    "a chosen day, refused": Life(
        {
            0: FIRST,
            1: ["dunning.chosen", "mail dunning_moved"],
            12: FAILED,
            13: BLOCKED,
            16: FAILED,
            17: ENDED,
        },
        {1: choose(12)},
        block_day=13,
    ),
    "a chosen day, paid": Life(
        {0: FIRST, 1: ["dunning.chosen", "mail dunning_moved"], 5: ["dunning.attempted", *PAID]},
        {1: choose(5), 2: bank_pays},
        **PAYS,
    ),
    "held": Life(
        {
            0: FIRST,
            3: FAILED,
            4: ["hold.placed", "mail dunning_moved"],
            8: FAILED,
            9: BLOCKED,
            12: FAILED,
            13: ENDED,
        },
        {4: hold(2)},
        block_day=9,
    ),
    "held, and released early": Life(
        {
            0: FIRST,
            3: FAILED,
            4: ["hold.placed", "mail dunning_moved"],
            6: ["hold.ended", "mail dunning_moved"],
            9: FAILED,
            10: BLOCKED,
            13: FAILED,
            14: ENDED,
        },
        {4: hold(9), 6: release},
        block_day=10,
    ),
    "exhausted, frozen": Life({**EXHAUSTED, 11: ENDED}),
    "exhausted, a person": Life({**EXHAUSTED, 11: ENDED}, terms={"dunning_end": "keep"}),
    "exhausted, the free plan": Life(
        {**EXHAUSTED, 11: [*ENDED, *DOWN]}, terms={"dunning_end": "free_plan"}, state="active", invoice="void"
    ),
    "paid late, after the block": Life(
        {0: FIRST, 3: FAILED, 6: FAILED, 7: BLOCKED, 9: PAID_LATE}, {9: pay}, later=2, **PAYS
    ),
    "paid late, after the end": Life({**EXHAUSTED, 11: ENDED, 13: PAID_LATE}, {13: pay}, later=6, **PAYS),
    "paid late, days before the renewal": Life(
        {**EXHAUSTED, 11: ENDED, 25: PAID_LATE}, {25: pay}, later=18, days=36, **PAYS
    ),
}
CELLS = grid.cells(list(LIVES), OUTAGES)


@pytest.mark.parametrize(("name", "zone", "date", "time", "off", "beats"), CELLS, ids=str)
def test_a_life_ends_the_same_wherever_and_whenever_it_is_lived(noon, name, zone, date, time, off, beats):
    account, days = live(noon, LIVES[name], (zone, date, time, off, beats))

    check_life(LIVES[name], account, days, off)
