"""Starting points of leaving, each built for real: pages, sandbox, worker, and time that passes."""

import datetime as dt
import html
import re
from functools import partial
from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.events import By
from accounts.models import Account
from accounts.tests.worlds import make_account, make_member, make_terms, make_user, owner_of
from billing.models import Customer, Subscription
from billing.pauses import start_pause
from billing.stripe_api import calling
from billing.subscriptions import start_free_plan, start_trial
from billing.tests import worlds
from billing.tests.trial_worlds import live_on
from billing.tests.worlds import advance, control, make_plan, make_subscription, run_worker
from offboarding.tests.leaving import PASSWORD, choose, confirm, owners_browser, paying_account, work

DAY = dt.timedelta(days=1)


def after(clock: Any, **span: float) -> None:
    """Let time pass, with the worker working."""
    advance(clock, clock.now() + dt.timedelta(**span))


def someone(**columns: Any) -> Account:
    """An account without a subscription."""
    return make_account(owner=make_user(password=PASSWORD), **columns)


def the_subscription(account: Account) -> Subscription:
    """The newest one."""
    return Subscription.objects.filter(account=account).latest("pk")


def free(clock: Any) -> Account:
    """On the free plan."""
    account = someone()
    start_free_plan(account, make_plan(amount=0), by=By.customer(owner_of(account)), at=clock.now())
    return account


def trial(clock: Any) -> Account:
    """On the third day of a trial of 14 days without a card."""
    account = someone()
    plan = make_plan(trial_days=14)
    start_trial(account, plan, by=By.customer(owner_of(account)), at=clock.now())
    after(clock, days=3)
    return account


def trial_over(clock: Any) -> Account:
    """In the days of grace of a trial without a card that ended three days ago."""
    return _ignored(trial(clock), clock, days=14)


def trial_frozen(clock: Any) -> Account:
    """Access went off a day or two ago: nobody went on with the trial."""
    return _ignored(trial(clock), clock, days=24)


def _ignored(account: Account, clock: Any, *, days: int) -> Account:
    """So many days pass in which beat does what is due for the trial, and nobody answers."""
    until = clock.now() + days * DAY
    live_on(until, since=clock.now())
    clock.turn_to(until)
    account.refresh_from_db()
    return account


def trial_card(clock: Any) -> Account:
    """On the third day of a trial of 14 days that would convert by itself."""
    account = someone()
    make_subscription(account, make_plan(trial_days=14, trial_needs_card=True))
    after(clock, days=3)
    return account


def paid_lately(clock: Any) -> Account:
    """Paid 29.00 EUR three days ago: inside the days with a full refund."""
    account = paying_account()
    after(clock, days=3)
    return account


def paid_long_ago(clock: Any, card: str = "pm_card_visa") -> Account:
    """Paid 29.00 EUR twenty days ago: the unused part comes back."""
    account = someone()
    make_subscription(account, card=card)
    after(clock, days=20)
    return account


def annual(clock: Any) -> Account:
    """Paid 290.00 EUR for a year, a hundred days ago."""
    account = someone()
    make_subscription(account, make_plan(amount=29000, interval="year"))
    after(clock, days=100)
    return account


def past_due(clock: Any, open_invoice: str = "void") -> Account:
    """The renewal could not be charged, two days ago; the terms decide what becomes of it."""
    account = paying_account(terms=make_terms(open_invoice=open_invoice))
    use_card(account, "pm_card_chargeCustomerFail")
    renewal = the_subscription(account).period_end
    assert renewal
    advance(clock, renewal + 2 * DAY)
    assert the_subscription(account).status == "past_due"
    return account


def pause_agreed(clock: Any) -> Account:
    """Paid twenty days ago, with a pause of a month agreed from the end of the paid month on."""
    account = paid_long_ago(clock)
    start_pause(the_subscription(account), 1, by=By.customer(owner_of(account)), at=clock.now())
    run_worker()
    return account


def pause_begun(clock: Any) -> Account:
    """Five days into a pause of a month."""
    account = pause_agreed(clock)
    after(clock, days=16)
    return account


def ended(clock: Any) -> Account:
    """Stopped with a refund and closed yesterday."""
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)
    run_worker()
    after(clock, days=1)
    return account


def with_team(clock: Any) -> Account:
    """Paid twenty days ago, with a second owner and a member still at work."""
    account = paid_long_ago(clock)
    make_member(account, "owner", user=make_user(password=PASSWORD))
    make_member(account, "member", user=make_user(password=PASSWORD))
    return account


STARTS = {
    "free plan": free,
    "trial without a card": trial,
    "trial over, in the days of grace": trial_over,
    "trial that froze": trial_frozen,
    "trial with a card": trial_card,
    "paid 3 days ago": paid_lately,
    "paid 20 days ago": paid_long_ago,
    "a year, paid 100 days ago": annual,
    "past due, terms cancel it": past_due,
    "past due, terms reduce it": partial(past_due, open_invoice="used_part"),
    "past due, terms keep it": partial(past_due, open_invoice="full"),
    "pause agreed": pause_agreed,
    "pause begun": pause_begun,
    "teammates at work": with_team,
    "ended": ended,
}


def use_card(account: Account, card: str) -> None:
    """Put this card in the place of the one that is charged."""
    customer = Customer.objects.get(account=account)
    subscription = the_subscription(account)
    with calling() as stripe:
        method = stripe.v1.payment_methods.attach(card, params={"customer": customer.provider_id})
        stripe.v1.customers.update(
            customer.provider_id, params={"invoice_settings": {"default_payment_method": method.id}}
        )
        stripe.v1.subscriptions.update(
            str(subscription.provider_id), params={"default_payment_method": method.id}
        )
    run_worker()


def leave_page(account: Account, browser: Client | None = None) -> str:
    """What the page of the endings says now, as one line of text."""
    page = (browser or owners_browser(account)).get(reverse("leave", args=[account.public_id]))
    assert page.status_code == 200, page.status_code
    return words(page)


def words(page: Any) -> str:
    """The text of a page without its markup."""
    body = re.sub(r"(?s)<(script|style|head)\b.*?</\1>", " ", page.content.decode())
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def live_at_provider() -> list[dict[str, Any]]:
    """Subscriptions that the provider has not ended."""
    return [s for s in control("GET", "/v1/subscriptions?status=all")["data"] if s["status"] != "canceled"]


def charged() -> int:
    """What the provider has charged in all, in minor units."""
    listed = control("GET", "/v1/charges?limit=100")["data"]
    return sum(charge["amount"] for charge in listed if charge["status"] == "succeeded")


def refunded() -> int:
    """What the provider has given back in all."""
    listed = control("GET", "/v1/refunds?limit=100")["data"]
    return sum(refund["amount"] for refund in listed if refund["status"] == "succeeded")


def open_at_provider() -> list[tuple[str, int]]:
    """Unpaid invoices at the provider: state and what remains."""
    listed = control("GET", "/v1/invoices?limit=100")["data"]
    return [(i["status"], i["amount_remaining"]) for i in listed if i["status"] in ("open", "draft")]


def years_pass(clock: Any, monkeypatch: Any) -> None:
    """Two billing periods and more: nothing may be billed in them. Jobs that were off catch up at the end."""
    yearly = Subscription.objects.filter(plan__interval="year").exists()
    monkeypatch.setattr(worlds, "HOP", (365 if yearly else 40) * DAY)
    after(clock, days=740 if yearly else 70)
    work()
