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

#: The account starts at noon of 11 March; its renewal is an hour after noon on 11 April.
DAY = dt.timedelta(days=1)
#: The provider charges an invoice so long after the period began.
CHARGED_AFTER = dt.timedelta(hours=1)
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
    zone: str = "Europe/Madrid",
    failed_at: dt.datetime | None = None,
    **terms: object,
) -> Account:
    """A paying account (29.00 EUR a month) just after its first renewal was refused; it is day 0.

    `failed_at` is when that was, else at the date of the tests of billing.
    """
    if failed_at is not None:
        clock.turn_to(months_before(failed_at - CHARGED_AFTER))
    account = make_account(
        terms=make_terms(7, **terms) if terms else None,
        owner=make_user(password=PASSWORD, language=language),
        time_zone=zone,
    )
    subscription = make_subscription(account)
    if failed_at is not None:
        advance(clock, failed_at - DAY)  # the months until then are paid
        subscription.refresh_from_db()
    if card:
        swap_card(account, card)
    else:
        bank_says(account, decline)
    renewal = subscription.period_end
    assert renewal is not None
    advance(clock, renewal + CHARGED_AFTER + dt.timedelta(minutes=5 if failed_at else 60))
    account.refresh_from_db()
    return account


def months_before(moment: dt.datetime) -> dt.datetime:
    """A month before, or as many as it takes to a month that has this date: none ends on 31 March but one
    from 31 January on."""
    first = moment.replace(day=1)
    while True:
        first = (first - DAY).replace(day=1)
        last = (first + 31 * DAY).replace(day=1) - DAY
        if moment.day <= last.day:
            return first.replace(day=moment.day)


def the_case(account: Account) -> DunningCase:
    """The one case of this account."""
    return DunningCase.objects.select_related("account__terms", "invoice__subscription", "terms").get(
        account=account
    )


def the_invoice(account: Account) -> Invoice:
    """What is unpaid, or was."""
    return Invoice.objects.filter(account=account).latest("created_at")


Happening = Callable[[Account], None]


Job = Callable[..., object]


def beat(times: int = 1, also: Job | None = None) -> bool:
    """So many beats of this minute, and the worker where they gave it something to do."""
    done = 0
    for _ in range(times):
        done += run_dunning(at=product_clock.now())
        done += bool(also(at=product_clock.now())) if also else 0
        done += send_due_notices(at=product_clock.now())
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
    also: Job | None = None,
) -> "dict[int, list[str]]":
    """Let so many days pass after day 0, and say what happened on each: history and mails, nothing else.

    Beat runs in the night, in the morning and at noon, there, except on days `off`. `then` is what somebody
    does at noon of a day: then the worker follows, whether beat runs or not. `also` is one more job of beat.
    """
    zone = ZoneInfo(account.time_zone)
    start = the_case(account).opened_at.astimezone(zone).date()
    for number in range(1, days + 1):
        for hour, minute in ((0, 5), (9, 5), (12, 0)):
            moment = dt.datetime.combine(start + number * DAY, dt.time(hour, minute), zone)
            clock.turn_to(max(moment.astimezone(dt.UTC), clock.now()))
            if hour == 12 and then and number in then:
                follow()
                then[number](account)
                follow()
            if number in off:
                continue
            if hour == 12 and number >= RENEWS:
                follow()
            beat(beats, also)
    return by_day(account, start)


#: From this day on the next renewal may come.
RENEWS = 29


def by_day(account: Account, start: dt.date) -> "dict[int, list[str]]":
    """History and mails by the number of the day, in order; mails as "mail KIND".

    A day begins in the morning, as the attempts do; the first with the failure itself.
    """
    opened_at = the_case(account).opened_at
    found: list[tuple[dt.datetime, int, str]] = []
    for event in Event.objects.filter(account_ref=account.public_id, at__gte=opened_at).order_by("seq"):
        if not event.kind.startswith(SILENT):
            found.append((event.at, event.seq, event.kind))
    for notice in Notice.objects.filter(account=account, status="sent", sent_at__gte=opened_at).order_by(
        "pk"
    ):
        assert notice.sent_at is not None
        found.append((notice.sent_at, 10**6 + notice.pk, f"mail {notice.kind}"))
    days: dict[int, list[str]] = {}
    for at, _order, text in sorted(found):
        number = (dunning_day(at, account.time_zone) - start).days
        days.setdefault(max(number, 0), []).append(text)
    return days
