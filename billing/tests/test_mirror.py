"""dj-stripe's tables follow for support, and never hold a fact up."""

import datetime as dt
from typing import Any

import pytest
from django.apps import apps

from accounts.tests.worlds import make_account
from billing import mirror
from billing.models import Incoming, Payment, Plan, Subscription
from billing.tests.test_refunding import decide
from billing.tests.worlds import TurnableClock, control, fault, make_subscription, run_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon", "alone")]


def mirrored(name: str) -> Any:
    return apps.get_model("djstripe", name).objects.all()


def test_support_sees_the_whole_story_in_the_mirror() -> None:
    account = make_account()
    subscription = make_subscription(account)
    decide(Payment.objects.get(), 1000)
    run_worker(follow_mirror=True)

    payment = Payment.objects.get()
    assert [s.id for s in mirrored("Subscription")] == [subscription.provider_id]
    assert [c.id for c in mirrored("Customer")] == [account.customer.provider_id]
    assert [p.id for p in mirrored("Price")] == [Plan.objects.get().provider_price]
    assert mirrored("Product").count() == 1
    assert mirrored("Invoice").count() == 1
    assert [c.id for c in mirrored("Charge")] == [payment.charge_id]
    assert mirrored("Refund").count() == 1
    assert not Incoming.objects.to_mirror().exists()


def test_the_mirror_shows_the_present_state() -> None:
    from accounts.events import SYSTEM
    from accounts.tests.worlds import NOON
    from billing.subscriptions import steer_subscription

    subscription = make_subscription(make_account())
    run_worker(follow_mirror=True)
    steer_subscription(subscription, ends="now", at=NOON + dt.timedelta(minutes=1), by=SYSTEM)
    run_worker(at=NOON + dt.timedelta(minutes=1), follow_mirror=True)

    assert mirrored("Subscription").get().stripe_data["status"] == "canceled"


@pytest.mark.parametrize("kind", ["500_before", "drop_before", "429"])
def test_a_mirror_that_fails_holds_no_fact_up_and_catches_up(kind: str, noon: TurnableClock) -> None:
    make_subscription(make_account())
    fault(kind, method="GET", path="/v1/(subscriptions|invoices|charges)/")
    mirror.follow_due(at=noon.now())
    behind = Incoming.objects.to_mirror().count()
    subscription = Subscription.objects.get()
    run_worker(follow_mirror=True)

    assert subscription.status == "active"
    assert behind > 0
    assert mirrored("Subscription").count() == 1
    assert not Incoming.objects.to_mirror().exists()


def test_a_mirror_that_never_follows_is_given_up_and_seen(noon: TurnableClock, monkeypatch: Any) -> None:
    make_subscription(make_account())

    def broken(*args: Any, **kwargs: Any) -> None:
        raise ValueError("a field that the mirror does not know")

    monkeypatch.setattr(apps.get_model("djstripe", "Subscription"), "sync_from_stripe_data", broken)
    for _ in range(8):
        mirror.follow_due(at=noon.now())

    given_up = Incoming.objects.filter(type="customer.subscription.created")
    assert given_up.get().mirror_attempts == 5
    assert not Incoming.objects.to_mirror().exists()
    assert Subscription.objects.get().status == "active"


def test_the_mirror_calls_nobody_when_there_is_nothing_to_follow(noon: TurnableClock) -> None:
    make_subscription(make_account())
    run_worker(follow_mirror=True)
    before = len(control("GET", "/_sandbox/requests")["requests"])
    mirror.follow_due(at=noon.now())

    assert len(control("GET", "/_sandbox/requests")["requests"]) == before
