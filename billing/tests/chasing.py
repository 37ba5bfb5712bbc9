"""A subscription whose renewal fails, and days that pass: what happened on each, for the tests of dunning."""

import datetime as dt
from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from accounts import clock as product_clock
from accounts.models import Account, Event, Notice
from accounts.notices import send_due_notices
from accounts.tests.worlds import PASSWORD, make_account, make_terms, make_user
from billing.dunning_rules import dunning_day
from billing.dunning_sweep import run_dunning
from billing.models import Customer, DunningCase, Invoice, Subscription
from billing.stripe_api import calling
from billing.tests.worlds import (
    TurnableClock,
    advance,
    control,
    let_the_provider_follow,
    make_subscription,
    run_worker,
)

MADRID = ZoneInfo("Europe/Madrid")
#: The account starts at noon of 11 March; its renewal is an hour after noon on 11 April.
DAY = dt.timedelta(days=1)
#: History that says nothing about dunning, and what stands beside each attempt.
SILENT = ("instruction.", "terms.", "member.")


def bank_says(account: Account, decline: str | None) -> None:
    """From now on the bank refuses the card on file with this code; None: it pays again."""
    card = Customer.objects.get(account=account).card_id
    control("POST", f"/_sandbox/payment_methods/{card}/bank", {"decline": decline})


def swap_card(account: Account, card: str) -> None:
    """Another card becomes the subscription's at the provider, as its documentation makes renewals fail."""
    customer = Customer.objects.get(account=account)
    subscription = Subscription.objects.live().get(account=account)
    with calling() as stripe:
        method = stripe.v1.payment_methods.attach(card, params={"customer": customer.provider_id})
        stripe.v1.subscriptions.update(
            str(subscription.provider_id), params={"default_payment_method": method.id}
        )
    run_worker()


def failing_account(
    clock: TurnableClock,
    decline: str = "insufficient_funds",
    *,
    card: str = "",
    language: str = "en",
    **terms: object,
) -> Account:
    """A paying account (29.00 EUR a month) just after its first renewal was refused; it is day 0."""
    account = make_account(
        terms=make_terms(7, **terms) if terms else None, owner=make_user(password=PASSWORD, language=language)
    )
    subscription = make_subscription(account)
    if card:
        swap_card(account, card)
    else:
        bank_says(account, decline)
    renewal = subscription.period_end
    assert renewal is not None
    advance(clock, renewal + dt.timedelta(hours=2))
    account.refresh_from_db()
    return account


def the_case(account: Account) -> DunningCase:
    """The one case of this account."""
    return DunningCase.objects.select_related("account__terms", "invoice__subscription", "terms").get(
        account=account
    )


def the_invoice(account: Account) -> Invoice:
    """What is unpaid, or was."""
    return Invoice.objects.filter(account=account).latest("created_at")


Happening = Callable[[Account], None]


def beat(times: int = 1) -> bool:
    """So many beats of this minute, and the worker where they gave it something to do."""
    done = sum(run_dunning(at=product_clock.now()) for _ in range(times))
    done += sum(send_due_notices(at=product_clock.now()) for _ in range(times))
    if done:
        follow()
    return bool(done)


def follow() -> None:
    """The provider's clock and the worker come along."""
    let_the_provider_follow(product_clock.now())
    run_worker()


def pass_days(
    clock: TurnableClock,
    account: Account,
    days: int,
    *,
    off: Iterable[int] = (),
    beats: int = 1,
    then: "dict[int, Happening] | None" = None,
) -> "dict[int, list[str]]":
    """Let so many days pass after day 0, and say what happened on each: history and mails, nothing else.

    Beat runs in the night, in the morning and at noon, except on days `off`. `then` is what somebody
    does at noon of a day.
    """
    start = the_case(account).opened_at.astimezone(MADRID).date()
    for number in range(1, days + 1):
        for hour, minute in ((0, 5), (9, 5), (12, 0)):
            moment = dt.datetime.combine(start + number * DAY, dt.time(hour, minute), MADRID)
            clock.turn_to(moment.astimezone(dt.UTC))
            if number in off:
                continue
            if hour == 12 and number >= RENEWS:
                follow()
            if hour == 12 and then and number in then:
                follow()
                then[number](account)
                follow()
            beat(beats)
    return by_day(account, start)


#: From this day on the next renewal may come.
RENEWS = 29


def by_day(account: Account, start: dt.date) -> "dict[int, list[str]]":
    """History and mails by the number of the day, in order; mails as "mail KIND"."""
    found: list[tuple[dt.datetime, int, str]] = []
    for event in Event.objects.filter(account_ref=account.public_id).order_by("seq"):
        if not event.kind.startswith(SILENT):
            found.append((event.at, event.seq, event.kind))
    for notice in Notice.objects.filter(account=account, status="sent").order_by("pk"):
        assert notice.sent_at is not None
        found.append((notice.sent_at, 10**6 + notice.pk, f"mail {notice.kind}"))
    days: dict[int, list[str]] = {}
    for at, _order, text in sorted(found):
        number = (dunning_day(at, "Europe/Madrid") - start).days
        if number >= 0:
            days.setdefault(number, []).append(text)
    return days
