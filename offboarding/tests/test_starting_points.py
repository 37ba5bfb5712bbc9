"""Every starting point has its own true page: what it says is what is so there."""

import datetime as dt
import re

import pytest
from django.core import mail
from django.urls import reverse

from accounts.models import Acceptance, Notice
from accounts.tests.worlds import NOON, PASSWORD, make_member, make_terms, make_user
from billing.models import Customer, Refund
from billing.stripe_api import calling
from billing.tests.worlds import advance, control, make_plan, make_subscription, run_worker
from offboarding.models import Closure
from offboarding.tests import situations
from offboarding.tests.leaving import choose, confirm, latest, owners_browser, paying_account, signed_in, work
from offboarding.tests.situations import (
    DAY,
    after,
    leave_page,
    live_at_provider,
    paid_lately,
    paid_long_ago,
    past_due,
    refunded,
    someone,
    the_subscription,
    with_team,
    words,
)

# What differs between databases (races, sets, undo) is proven where it is built.
pytestmark = [pytest.mark.django_db, pytest.mark.once, pytest.mark.usefixtures("stripe_account")]

#: What each page must say, and must not.
SENTENCES = {
    "free plan": (
        [
            "You are on the free plan: nothing is ever billed",
            "costs nothing, so",
            "Close at the end of today",
        ],
        ["€", "Stop renewing"],
    ),
    "trial without a card": (
        [
            "Nothing needs to be done This trial has no card, and nothing will be charged",
            "If you do nothing, everything stays on until 5 April 2026, 23:59 CEST; then access is off",
            "From that mail on your data is kept, until 3 October 2026.",
            "Leave when the trial ends Access ends with the trial: without the days of grace",
            "Stop now You give up the access that you would have until 5 April 2026.",
        ],
        ["€", "Stop renewing", "refund", "If in doubt"],
    ),
    "trial over, in the days of grace": (
        [
            "If you do nothing, everything stays on until 5 April 2026, 23:59 CEST; then access is off",
            "Leave when access ends Access ends on the same day as if you did nothing, but we send",
            "Last day of access 5 April 2026, 23:59 CEST",
        ],
        ["€", "Stop renewing", "refund", "If in doubt", "when the trial ends"],
    ),
    "trial that froze": (
        ["Your trial has ended, and nothing is billed", "Have the data deleted", "Back to the overview"],
        ["Stay: back", "refund", "you give up access", "Nothing needs to be done"],
    ),
    "trial with a card": (
        ["You are on a trial: nothing has been charged yet", "Leave when the trial ends Nothing is charged."],
        ["€", "Stop renewing", "refund"],
    ),
    "paid 3 days ago": (
        [
            "€29.00 back to your payment method",
            "Refund now, access to the end You get the money back and keep access",
            "€29.00 can still come back to you: choose “Refund now, access to the end” until 11 April 2026",
        ],
        ["Unpaid invoice", "Stop now", "Today’s refund stays yours"],
    ),
    "paid 20 days ago": (
        [
            "€10.30 back to your payment method",
            "free days now, until 14 April 2026. After them your paid days go on until",
            "€10.30 is kept for you: claim it on any day until 28 April 2026, 23:59 CEST",
            "Stop now It ends once you confirm",
        ],
        ["Unpaid invoice", "Nothing is refunded. "],
    ),
    "a year, paid 100 days ago": (["€210.55 back to your payment method"], ["Unpaid invoice"]),
    "past due, terms cancel it": (
        ["The last payment did not go through", "€29.00 is cancelled; you owe nothing", "unpaid invoice"],
        ["Today’s refund stays yours"],
    ),
    "past due, terms reduce it": (["€1.93 of €29.00 stays owed; only you can pay it"], ["is cancelled"]),
    "past due, terms keep it": (["€29.00 of €29.00 stays owed; only you can pay it"], ["is cancelled"]),
    "pause agreed": (
        ["A pause is agreed on and has not begun. If you leave, nothing more is charged"],
        ["Paused already", "subscription is paused"],
    ),
    "pause begun": (["Paused already; it closes on", "Your subscription is paused"], ["€29.00"]),
    "teammates at work": (["2 more people work in this account. They are told at once"], []),
    "ended": (
        [
            "Your subscription has ended: nothing is billed",
            "The data of this account is deleted on",
            "Access has ended already",
            "Have the data deleted",
            "Delete everything Your data goes for good",
            "Back to the overview",
        ],
        [
            "Stay: back",
            "Close and delete",
            "Today’s refund stays yours",
            "you give up access",
            "Nothing has been paid",
            "Not possible from here",
            "The refund and the end of access",
        ],
    ),
}


@pytest.fixture(autouse=True)
def _noon(clock):
    clock.turn_to(NOON)


@pytest.mark.parametrize("start", situations.STARTS)
def test_its_page_says_what_is_so_there(start, clock):
    account = situations.STARTS[start](clock)
    said, unsaid = SENTENCES[start]

    page = leave_page(account)

    assert [sentence for sentence in said if sentence not in page] == []
    assert [sentence for sentence in unsaid if sentence in page] == []


def test_past_due_the_way_out_at_once_comes_first(clock):
    account = past_due(clock)

    page = owners_browser(account).get(reverse("leave", args=[account.public_id]))

    assert [c["code"] for c in page.context["choices"]] == ["stop_now", "stop_renewing", "close_delete"]
    assert "unpaid invoice" in dict(page.context["not_offered"])["Free days first"]


def test_within_the_hour_after_a_renewal_the_page_says_that_the_period_is_being_charged(clock):
    account = paying_account()
    advance(clock, the_subscription(account).period_end + dt.timedelta(minutes=10))

    page = leave_page(account)

    assert "€29.00 for the period that has just begun; nothing after it" in page
    assert "The period that has just begun is not charged; nothing is refunded" in page
    assert "Nothing more is charged." not in page


def test_stopping_within_the_hour_after_a_renewal_is_not_charged(clock):
    account = paying_account()
    advance(clock, the_subscription(account).period_end + dt.timedelta(minutes=10))
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)
    run_worker()

    after(clock, days=40)

    assert situations.charged() == 2900
    assert situations.open_at_provider() == []


def test_whoever_is_leaving_already_sees_how_it_stands(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")

    page = browser.get(reverse("leave", args=[account.public_id]), follow=True)

    assert page.status_code == 200
    assert "It is on record: nothing renews" in words(page)
    assert "Keep my subscription" in words(page)


def test_what_is_on_record_is_not_asked_for_again_among_the_other_ways(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")

    page = browser.get(reverse("leave", args=[account.public_id]), {"choose": "again"})

    assert "Your choice so far Stop renewing" in words(page)
    assert 'value="stop_now"' in page.content.decode()
    assert 'value="stop_renewing"' not in page.content.decode()
    assert "Back: keep my choice as it is" in words(page)
    assert "Stay: back" not in words(page)


def test_a_closed_account_is_left_already_though_the_provider_was_not_told_yet(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)
    assert the_subscription(account).is_live

    page = browser.get(reverse("leave", args=[account.public_id]))
    mark = page.context["choices"][0]["fields"][0][1]
    browser.post(
        reverse("choose_ending", args=[account.public_id]), {"ending": "stop_renewing", "shown": mark}
    )

    assert [choice["code"] for choice in page.context["choices"]] == ["close_delete"]
    assert account.cancellations.count() == 1


LEAVERS = [
    "paid 20 days ago",
    "a year, paid 100 days ago",
    "pause agreed",
    "past due, terms cancel it",
    "free plan",
]


@pytest.mark.parametrize("start", LEAVERS)
def test_what_comes_next_says_the_end_of_who_is_leaving_once_and_nothing_after_it(start, clock):
    account = situations.STARTS[start](clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    run_worker()
    end = latest(account).effective_at

    page = browser.get(reverse("account_overview", args=[account.public_id]))

    mails = {entry.kind for entry in page.context["coming"] if entry.is_mail}
    assert not mails & {"renewal_ahead", "pause_ends"}
    coming = [entry for entry in page.context["coming"] if not entry.is_mail]
    at_the_end = [str(entry.text) for entry in coming if entry.at == end]
    assert len([text for text in at_the_end if "ends" in text and "refund" not in text]) == 1
    assert [str(entry.text) for entry in coming if entry.at > end] == []


def test_who_leaves_in_a_pause_is_not_told_that_it_goes_on(clock):
    account = situations.pause_begun(clock)
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()

    after(clock, days=22)

    assert Notice.objects.get(kind="pause_ends").status == "dropped"


def cancel_at_the_provider(account, **params):
    with calling() as stripe:
        service = stripe.v1.subscriptions
        provider_id = the_subscription(account).provider_id
        service.update(provider_id, params=params) if params else service.cancel(provider_id)
    run_worker()
    work()


def test_cancelled_at_the_providers_side_for_the_periods_end_it_has_a_receipt_and_can_be_kept(clock):
    account = paid_long_ago(clock)
    cancel_at_the_provider(account, cancel_at_period_end=True)
    browser = owners_browser(account)

    page = words(browser.get(reverse("leave", args=[account.public_id]), follow=True))

    assert latest(account).via == "provider"
    assert latest(account).effective_at == the_subscription(account).period_end
    assert latest(account).receipt_number in page
    browser.post(reverse("leaving_keep", args=[account.public_id, latest(account).public_id]))
    run_worker()
    assert [s["cancel_at_period_end"] for s in live_at_provider()] == [False]
    assert latest(account).status == "withdrawn"


def test_kept_again_at_the_providers_side_it_is_kept_here(clock):
    account = paid_long_ago(clock)
    cancel_at_the_provider(account, cancel_at_period_end=True)

    cancel_at_the_provider(account, cancel_at_period_end=False)

    account.refresh_from_db()
    assert latest(account).status == "withdrawn"
    assert account.access_ends_at is None
    assert [s["cancel_at_period_end"] for s in live_at_provider()] == [False]


def test_a_customers_own_declaration_is_told_again_when_someone_undoes_it_at_the_provider(clock):
    account = paid_long_ago(clock)
    choose(owners_browser(account), account, "stop_renewing")
    run_worker()

    cancel_at_the_provider(account, cancel_at_period_end=False)

    assert latest(account).status == "scheduled"
    assert [s["cancel_at_period_end"] for s in live_at_provider()] == [True]


def test_cancelled_at_the_providers_side_at_once_it_has_ended_and_cannot_be_undone(clock):
    account = paid_long_ago(clock)
    cancel_at_the_provider(account)
    browser = owners_browser(account)

    browser.post(reverse("leaving_keep", args=[account.public_id, latest(account).public_id]))

    account.refresh_from_db()
    assert (account.state, latest(account).status) == ("closed", "completed")
    assert "Your subscription has ended" in leave_page(account, browser)


def test_what_ended_at_the_provider_after_the_declaration_is_refunded_and_not_undone(clock):
    account = paid_long_ago(clock)
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    run_worker()
    cancel_at_the_provider(account)

    browser.post(reverse("leaving_keep", args=[account.public_id, latest(account).public_id]))
    assert latest(account).status == "scheduled"
    confirm(browser, account)
    run_worker()

    assert refunded() == latest(account).quote.amount == 1030


def test_a_disputed_payment_is_not_refunded_a_second_time(clock):
    account = paid_long_ago(clock)
    [charge] = control("GET", "/v1/charges")["data"]
    control("POST", f"/_sandbox/charges/{charge['id']}/dispute", {})
    run_worker()

    page = leave_page(account)

    assert "Your bank is already taking this payment back" in page
    assert "Nothing is refunded, and you give up access until" in page
    assert "back to your payment method" not in page


def renewed_with(clock, *, credit=0, **params):
    """Renewed twenty days ago, with a coupon, with tax, or partly from the balance."""
    account = paying_account()
    with calling() as stripe:
        if credit:
            stripe.v1.customers.balance_transactions.create(
                Customer.objects.get().provider_id, params={"amount": -credit, "currency": "eur"}
            )
        if params:
            stripe.v1.subscriptions.update(the_subscription(account).provider_id, params=params)
    advance(clock, the_subscription(account).period_end + 20 * DAY)
    return account


def leave_now(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)
    run_worker()
    return latest(account).quote


def test_what_was_paid_with_credit_goes_back_as_credit(clock):
    account = renewed_with(clock, credit=2400)
    page = leave_page(account)

    quote = leave_now(account)

    assert "back to your payment method" in page
    assert "back as credit, which is how it was paid" in page
    assert quote.amount == 500
    assert quote.amount + quote.credit == 967
    assert refunded() == 500
    [customer] = control("GET", f"/v1/customers?test_clock={Customer.objects.get().test_clock}")["data"]
    assert customer["balance"] == -467


def test_with_a_coupon_only_what_was_paid_comes_back(clock):
    with calling() as stripe:
        coupon = stripe.v1.coupons.create(params={"percent_off": 50, "duration": "forever"}).id
    account = renewed_with(clock, discounts=[{"coupon": coupon}])

    quote = leave_now(account)

    assert refunded() == quote.amount == 484


def test_with_tax_the_tax_comes_back_in_proportion_and_is_named(clock):
    with calling() as stripe:
        rate = stripe.v1.tax_rates.create(
            params={"display_name": "IVA", "percentage": 21, "inclusive": False}
        ).id
    account = renewed_with(clock, default_tax_rates=[rate])

    quote = leave_now(account)

    assert refunded() == quote.amount == 1170
    assert quote.tax == 203


def test_the_refund_window_ends_with_the_last_second_of_its_last_local_day(clock):
    account = paying_account()
    last_second = dt.datetime(2026, 3, 25, 22, 59, 59, tzinfo=dt.UTC)  # 23:59:59 in Madrid
    advance(clock, last_second - dt.timedelta(minutes=1))

    assert "€29.00 back to your payment method" in leave_page(account)
    advance(clock, last_second + dt.timedelta(seconds=2))  # the clock is turned to the nearest second
    assert "€29.00 back to your payment method" not in leave_page(account)


def test_where_nothing_comes_back_after_the_window_it_says_so_first(clock):
    make_terms(refund_after="none")
    account = paid_long_ago(clock)

    page = leave_page(account)

    assert "Nothing is refunded, and you give up access until" in page
    assert "The days with a full refund are over" in page


def test_a_member_who_may_not_leave_sees_who_can(clock):
    account = with_team(clock)
    member = signed_in(account.members.get(role="member").user)

    page = member.get(reverse("leave", args=[account.public_id]))

    assert page.status_code == 403
    assert all(seat.user.email in page.content.decode() for seat in account.members.filter(role="owner"))


def test_a_billing_member_may_leave_and_not_delete(clock):
    account = paid_long_ago(clock)
    billing = make_member(account, "billing", user=make_user(password=PASSWORD))
    browser = signed_in(billing.user)

    page = browser.get(reverse("leave", args=[account.public_id]))

    assert "close_delete" not in [choice["code"] for choice in page.context["choices"]]
    owner = account.members.get(role="owner").user
    said = f"Only an owner of the account can have its data deleted: {owner.name or owner.email}."
    assert said in words(page)
    assert "One more person works in this account" in words(page)
    choose(browser, account, "stop_renewing")
    assert latest(account).declared_by == billing.user


def test_a_billing_member_cannot_delete_by_a_forged_form(clock):
    account = paid_long_ago(clock)
    billing = make_member(account, "billing", user=make_user(password=PASSWORD))
    browser = signed_in(billing.user)
    page = browser.get(reverse("leave", args=[account.public_id]))
    mark = page.context["choices"][0]["fields"][0][1]

    browser.post(
        reverse("choose_ending", args=[account.public_id]), {"ending": "close_delete", "shown": mark}
    )

    assert not account.cancellations.exists()


def test_teammates_are_told_at_once_and_again_when_their_last_day_moves(clock):
    account = with_team(clock)
    member = account.members.get(role="member").user
    browser = owners_browser(account)
    choose(browser, account, "close_delete")
    run_worker()
    confirm(browser, account)
    run_worker()

    first, second = [m.body for m in mail.outbox if m.to == [member.email]]
    assert "last moment of access is 11 April 2026" in first
    assert "last moment of access is 3 April 2026" in second
    assert "deleted on" in second
    assert reverse("exports", args=[account.public_id]) in first


def test_another_owner_stops_the_deletion_within_72_hours_and_billing_stays_off(clock):
    account = with_team(clock)
    browser = owners_browser(account)
    choose(browser, account, "close_delete")
    confirm(browser, account, when="soon")
    run_worker()
    closure = Closure.objects.get()
    assert closure.stop_until - latest(account).confirmed_at >= dt.timedelta(hours=72)
    assert closure.purge_on >= closure.stop_until
    other = account.members.filter(role="owner").order_by("pk").last().user

    after(clock, hours=71)
    signed_in(other).post(reverse("keep_data", args=[account.public_id]))
    after(clock, days=40)
    work()

    kept = Closure.objects.get(status="scheduled")
    assert (kept.purge_on - latest(account).effective_at).days == account.terms.retention_days
    assert live_at_provider() == []
    assert situations.charged() == 2900
    assert "Keep the data" not in words(
        browser.get(reverse("leaving", args=[account.public_id, latest(account).public_id]))
    )


def consumer(clock, *, immediate_start):
    account = paying_account(terms=make_terms(refund_full_days=0), kind="consumer")
    Acceptance.objects.create(
        account=account,
        terms=account.terms,
        accepted_at=clock.now(),
        language="es",
        text_hash="0" * 64,
        immediate_start=immediate_start,
    )
    after(clock, days=5)
    return account


def test_an_eu_consumer_gets_everything_back_inside_the_withdrawal_period(clock):
    account = consumer(clock, immediate_start=False)

    quote = leave_now(account)

    assert (quote.basis, refunded()) == ("statutory", 2900)
    assert latest(account).status == "completed"
    assert not Refund.objects.get().is_voluntary


def test_an_eu_consumer_who_asked_for_an_immediate_start_gets_the_unused_part(clock):
    account = consumer(clock, immediate_start=True)

    quote = leave_now(account)

    assert (quote.basis, refunded()) == ("statutory", 2433)


def test_a_second_voluntary_refund_within_twelve_months_is_not_promised(clock):
    account = paid_long_ago(clock)
    leave_now(account)
    make_subscription(account, the_subscription(account).plan)
    after(clock, days=20)

    page = leave_page(account)

    assert "A voluntary refund was paid recently" in page
    assert "back to your payment method" not in page


@pytest.mark.parametrize(
    ("currency", "price", "refund", "shown"),
    [("JPY", 2900, 1030, "¥1,030"), ("KWD", 29000, 10300, "KWD 10.300")],
)
def test_currencies_without_or_with_three_decimals(currency, price, refund, shown, clock):
    account = someone(currency=currency)
    make_subscription(account, make_plan(amount=price, currency=currency))
    after(clock, days=20)
    page = leave_page(account)

    leave_now(account)

    assert shown in page.replace("\xa0", " ")
    assert refunded() == refund


def test_with_a_full_refund_access_stays_to_the_end_that_was_shown(clock):
    account = paid_lately(clock)
    end = the_subscription(account).period_end

    leave_now(account)

    account.refresh_from_db()
    assert account.access_ends_at == end
    assert refunded() == 2900


#: Where doing nothing costs nothing, or nothing but the data is left.
NOTHING_SUGGESTED = (
    "free plan",
    "trial without a card",
    "trial over, in the days of grace",
    "trial that froze",
    "ended",
)


def test_the_refund_that_stopping_the_renewal_leaves_open_is_paid_on_its_last_day(clock):
    account = paid_lately(clock)
    browser = owners_browser(account)
    page = choose(browser, account, "stop_renewing")
    run_worker()
    after(clock, days=27)
    browser = owners_browser(account)
    browser.post(reverse("choose_ending", args=[account.public_id]), {"ending": "stop_now"})
    confirm(browser, account)
    run_worker()

    said = "€29.00 can still come back to you: choose “Refund now, access to the end” until 11 April 2026"
    assert said in words(page)
    assert any(said in sent.body for sent in mail.outbox)
    assert refunded() == 2900


@pytest.mark.parametrize("start", situations.STARTS)
def test_deleting_everything_is_never_what_is_suggested_in_doubt(start, clock):
    account = situations.STARTS[start](clock)
    page = owners_browser(account).get(reverse("leave", args=[account.public_id])).content.decode()
    suggested = re.findall(r'choice default[^"]*">.*?id="choice-(\w+)"', page, re.DOTALL)

    assert suggested == ([] if start in NOTHING_SUGGESTED else ["stop_renewing"])
