"""Three stories to watch: a trial that expires, a card that fails and recovers, someone who leaves.

Each makes an example account of its own by the product's own verbs, then turns time. Headlines say who
does what and which day it is; what comes of it is read from the product's own history and mails.
"""

import datetime as dt
import secrets
from typing import Final

from accounts.events import By
from accounts.models import Account
from billing.cards import adopt_saved_card, start_card
from billing.checkout import pay_invoice
from billing.models import Customer, Invoice, Plan, Subscription
from billing.periods import local_date
from billing.subscriptions import start_trial
from billing.sync import sync_everything
from config.demo.examples import Workshop, break_card, confirm_form, owner_of
from config.demo.runs import Story, Teller
from config.demo.turning import moment_of
from offboarding.confirmations import confirm_cancellation
from offboarding.declarations import declare_cancellation
from offboarding.models import Closure, Ending

#: Days before the end of a trial, and after it, at which the story stops to look.
BEFORE: Final = (10, 6, 3)
AFTER: Final = (4, 11, 16)
#: Days after which someone leaves.
USED: Final = 12


def watch_a_trial(teller: Teller) -> None:
    """Fourteen days without a card, and nobody decides anything."""
    account = _open(teller, "Maple Press", "trial_begins")
    by = By.customer(owner_of(account))
    trial = start_trial(account, Plan.objects.get(code="solo-trial"), by=by, at=teller.now)
    assert trial.trial_end is not None
    teller.settle()
    for days in BEFORE:
        teller.chapter("trial_before", days=days)
        teller.turn_to(_day(account, trial.trial_end, -days))
    teller.chapter("trial_ends")
    teller.turn_to(_day(account, trial.trial_end, 1))
    for days in AFTER:
        teller.chapter("trial_after", days=days)
        teller.turn_to(_day(account, trial.trial_end, days))


def watch_a_card(teller: Teller) -> None:
    """The bank refuses a renewal, nobody reacts, access is blocked; then a new card pays."""
    account = _open(teller, "River Bikes", "card_pays")
    subscription = _pay(teller, account)
    assert subscription.period_end is not None
    break_card(account)
    renewal, block = subscription.period_end, account.terms.dunning_block_day
    teller.chapter("card_breaks")
    teller.turn_to(_day(account, renewal, -1))
    teller.chapter("card_refused")
    teller.turn_to(_day(account, renewal, 1))
    teller.chapter("card_unpaid", days=block - 1)
    teller.turn_to(_day(account, renewal, block - 1))
    teller.chapter("card_blocked", days=block + 1)
    teller.turn_to(_day(account, renewal, block + 1))
    teller.chapter("card_recovers")
    _pay_with_a_new_card(teller, account)
    teller.chapter("card_after")
    teller.turn_to(teller.now + dt.timedelta(days=1))


def watch_someone_leave(teller: Teller) -> None:
    """Twelve days into a paid month: close and delete, with the refund and the proof."""
    account = _open(teller, "Lantern Tea", "leave_pays")
    _pay(teller, account)
    teller.chapter("leave_used", days=USED)
    teller.turn_to(_day(account, teller.now, USED))
    teller.chapter("leave_declares")
    owner = owner_of(account)
    by = By.customer(owner)
    account.refresh_from_db()
    cancellation = declare_cancellation(account, Ending.CLOSE_DELETE, by=by, at=teller.now, user=owner)
    teller.settle()
    teller.chapter("leave_confirms")
    cancellation.refresh_from_db()
    confirm_cancellation(
        cancellation,
        quote_id=cancellation.quote.public_id,
        by=by,
        at=teller.now,
        user=owner,
        waives_retrieval=True,
    )
    teller.settle()
    teller.chapter("leave_waits")
    gone = Closure.objects.get(account=account).purge_on
    teller.turn_to(_day(account, gone, 0))
    teller.chapter("leave_gone")
    teller.turn_to(_day(account, gone, 2))


#: The story of each button, and how many chapters it has.
STORIES: Final[dict[str, tuple[Story, int]]] = {
    "trial": (watch_a_trial, 2 + len(BEFORE) + len(AFTER)),
    "card": (watch_a_card, 7),
    "leave": (watch_someone_leave, 6),
}


def _open(teller: Teller, name: str, code: str) -> Account:
    """A fresh account, with the first headline above it."""
    email = f"{name.split()[0].lower()}-{secrets.token_hex(2)}@watch.example"
    teller.chapter(code)
    account = Workshop(email, teller.now).open(name, days_ago=0)
    teller.about(account, email)
    return account


def _pay(teller: Teller, account: Account) -> Subscription:
    shop = Workshop(teller.run.email, teller.now)
    subscription = shop.pay(account, "team-monthly", at=teller.now)
    teller.settle()
    return subscription


def _pay_with_a_new_card(teller: Teller, account: Account) -> None:
    """What a customer does on the card page, and then beside the invoice if it is still unpaid."""
    by = By.customer(owner_of(account))
    secret = start_card(account, by=by, at=teller.now)
    confirm_form(secret)
    customer = Customer.objects.select_related("account").get(account=account)
    adopt_saved_card(customer, secret.partition("_secret_")[0], at=teller.now)
    teller.settle()
    sync_everything(customer, at=teller.now)
    for invoice in Invoice.objects.unpaid().filter(account=account):
        pay_invoice(invoice, by=by, at=teller.now)
    teller.settle()


def _day(account: Account, moment: dt.datetime, days: int) -> dt.datetime:
    """The hop of that many of the account's days after this moment."""
    return moment_of(local_date(moment, account.time_zone) + dt.timedelta(days=days))
