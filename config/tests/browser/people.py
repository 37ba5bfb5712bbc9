"""The people of the browser tests, made by the product's own verbs before the worker wakes up."""

import datetime as dt

from accounts import clock
from accounts.events import By
from billing.models import Plan
from billing.subscriptions import start_trial
from config.demo.examples import Workshop, begin_trial, fall_due, fall_silent, make_company, owner_of, settle

#: Each pays EUR 29.00 a month and is twenty days into the period; one test uses one of them.
PAYING = ("renew", "now", "days", "close", "call", "look")
#: Each owes EUR 12.00: access is off, the bank wants a confirmation, access is on for some days more.
SILENT, CAREFUL, LATE = "silent", "careful", "late"
#: On trial for two days more; over for some days, with everything still on.
TRIAL, OVER = "trial", "over"


def make() -> None:
    """The company, its staff, who pays, who is late or on trial, and one who has not begun to."""
    now = clock.now()
    make_company(now)
    Workshop("pay@example.com", now).open("Pay Ltd", days_ago=1)
    for name in PAYING:
        shop = _of(name, now)
        shop.pay(shop.open(_company(name), days_ago=30), "team-monthly", at=shop.ago(20))
    fall_silent(_of(SILENT, now), _company(SILENT))
    fall_due(_of(CAREFUL, now), _company(CAREFUL), card="pm_card_authenticationRequired")
    fall_due(_of(LATE, now), _company(LATE))
    begin_trial(_of(OVER, now), _company(OVER), days_ago=18)
    _count_down(_of(TRIAL, now))


def _of(name: str, now: dt.datetime) -> Workshop:
    return Workshop(f"{name}@example.com", now)


def _company(name: str) -> str:
    return f"{name.capitalize()} Ltd"


def _count_down(shop: Workshop) -> None:
    account = shop.open(_company(TRIAL), days_ago=12)
    by = By.customer(owner_of(account))
    start_trial(account, Plan.objects.get(code="solo-trial"), by=by, at=shop.ago(12))
    settle(account, at=shop.ago(12))
