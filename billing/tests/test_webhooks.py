"""The webhook's door: who is believed, what is kept, and what it costs."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Event, Notice
from accounts.tests.worlds import make_account
from billing import inbox
from billing.models import Incoming, Invoice, Payment, Subscription
from billing.tests.worlds import control, make_plan, make_subscription, post_webhook, run_worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]

EVENT = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.updated",
    "livemode": False,
    "created": 1_773_230_400,
    "data": {"object": {"object": "customer", "id": "cus_1"}},
}


def signature(body: bytes, secret: str, *, at: float | None = None) -> str:
    stamp = int(at or time.time())
    mark = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={mark}"


def post(event: Any, settings: Any, *, secret: str = "", at: float | None = None) -> Any:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    signed = signature(body, secret or settings.STRIPE_WEBHOOK_SECRET, at=at)
    return Client(enforce_csrf_checks=True).post(
        reverse("stripe_webhook"), body, "application/json", headers={"Stripe-Signature": signed}
    )


def test_a_signed_event_is_kept_and_answered(settings: Any) -> None:
    answer = post(EVENT, settings)

    row = Incoming.objects.get()
    assert answer.status_code == 200
    assert (row.event_id, row.type, row.customer_id, row.status) == (
        "evt_1",
        "customer.updated",
        "cus_1",
        "new",
    )


def test_another_secret_is_not_believed(settings: Any) -> None:
    assert post(EVENT, settings, secret="whsec_of_someone_else").status_code == 400
    assert not Incoming.objects.exists()


def test_a_changed_body_is_not_believed(settings: Any) -> None:
    body = json.dumps(EVENT).encode()
    signed = signature(body, settings.STRIPE_WEBHOOK_SECRET)
    answer = Client().post(
        reverse("stripe_webhook"),
        body.replace(b"cus_1", b"cus_2"),
        "application/json",
        headers={"Stripe-Signature": signed},
    )

    assert answer.status_code == 400
    assert not Incoming.objects.exists()


@pytest.mark.parametrize(("age", "status"), [(290, 200), (310, 400)])
def test_an_event_is_believed_for_five_minutes(age: int, status: int, settings: Any) -> None:
    assert post(EVENT, settings, at=time.time() - age).status_code == status


def test_no_signature_at_all_is_refused() -> None:
    assert Client().post(reverse("stripe_webhook"), b"{}", "application/json").status_code == 400


def test_live_events_do_not_enter_a_test_installation(settings: Any) -> None:
    answer = post(EVENT | {"livemode": True}, settings)

    assert answer.status_code == 200
    assert not Incoming.objects.exists()


@pytest.mark.parametrize(
    "event", [b"[]", b"nonsense", b"{}", {"object": "event", "livemode": False, "id": "evt_1"}]
)
def test_what_is_no_event_is_no_error_of_ours(event: Any, settings: Any) -> None:
    assert post(event, settings).status_code in (200, 400)
    assert not Incoming.objects.exists()


def test_a_body_over_a_million_bytes_is_too_large(settings: Any) -> None:
    assert post(EVENT | {"more": "x" * 1_000_001}, settings).status_code == 413


def test_reading_the_address_is_not_allowed() -> None:
    assert Client().get(reverse("stripe_webhook")).status_code == 405


def test_a_duplicate_is_one_row(settings: Any) -> None:
    answers = {post(EVENT, settings).status_code for _ in range(3)}

    assert answers == {200}
    assert Incoming.objects.count() == 1


def test_a_request_is_one_statement_and_no_call(settings: Any, django_assert_num_queries: Any) -> None:
    post(EVENT, settings)
    before = len(control("GET", "/_sandbox/requests")["requests"])
    for number in range(2, 5):
        with django_assert_num_queries(1):
            post(EVENT | {"id": f"evt_{number}"}, settings)

    assert len(control("GET", "/_sandbox/requests")["requests"]) == before
    assert Incoming.objects.count() == 4


def test_a_burst_is_taken_whole(settings: Any) -> None:
    for number in range(200):
        post(EVENT | {"id": f"evt_{number}"}, settings)

    assert Incoming.objects.count() == 200


def test_what_is_not_ours_is_ignored_and_done_with(settings: Any) -> None:
    post(EVENT, settings)
    post(EVENT | {"id": "evt_2", "type": "payout.paid"}, settings)
    run_worker()

    assert set(Incoming.objects.values_list("status", flat=True)) == {"ignored"}


def everything() -> tuple[Any, ...]:
    """The rows, the history and the mails, without what differs between two runs of one story."""
    return (
        list(Subscription.objects.values_list("status", "plan__amount")),
        list(Invoice.objects.values_list("status", "total", "amount_paid")),
        list(Payment.objects.values_list("amount", "refunded_elsewhere", "disputed")),
        sorted(Event.objects.exclude(kind__startswith="instruction.").values_list("kind", flat=True)),
        sorted(Notice.objects.values_list("kind", "status")),
    )


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_duplicated_and_late_events_end_in_the_same_story(seed: int) -> None:
    make_subscription(make_account(), make_plan())
    in_order = everything()
    Subscription.objects.all().delete()
    _forget()
    control("POST", "/_sandbox/webhook_plan", {"seed": seed, "duplicate": 0.4, "shuffle": 1, "delay": 0.4})
    make_subscription(make_account(), make_plan())
    run_worker()

    assert everything() == in_order


def _forget() -> None:
    """An empty table for the second telling of the same story."""
    for model in (Payment, Invoice, Notice, Incoming):
        model.objects.all().delete()
    # Events cannot be deleted, and should not: the second telling is counted from here.
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", ["accounts_event"]
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP TRIGGER "{name}"')
        else:
            cursor.execute("ALTER TABLE accounts_event DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM accounts_event")


def test_the_same_delivery_twice_is_applied_once() -> None:
    make_subscription(make_account(), make_plan())
    before = everything()
    rows = Incoming.objects.filter(status="done").count()
    for delivery in _all_again():
        post_webhook(delivery)
    run_worker()

    assert everything() == before
    assert Incoming.objects.filter(status="done").count() == rows


def _all_again() -> list[dict[str, Any]]:
    """Every event of the account, signed afresh as a retry would be."""
    from django.conf import settings

    from billing.stripe_api import calling

    with calling() as stripe:
        found = [e.to_dict() for e in stripe.v1.events.list(params={"limit": 100}).auto_paging_iter()]
    bodies = [json.dumps(event, default=str).encode() for event in found]
    return [
        {
            "body": body,
            "headers": {
                "Content-Type": "application/json",
                "Stripe-Signature": signature(body, settings.STRIPE_WEBHOOK_SECRET),
            },
        }
        for body in bodies
    ]


def test_an_event_for_a_busy_customer_waits_without_losing_an_attempt(noon: Any) -> None:
    from billing.locks import writing_customer
    from billing.models import Customer

    make_subscription(make_account(), make_plan())
    customer = Customer.objects.get()
    row = Incoming.objects.filter(type="customer.subscription.created")[0]
    Incoming.objects.filter(pk=row.pk).update(status="new", done_at=None, attempts=0, lease_until=None)
    with writing_customer(customer):
        applied = inbox.apply_due_events(at=noon.now())

    row.refresh_from_db()
    assert applied == 0
    assert (row.status, row.attempts, row.lease_until) == ("new", 0, None)


def test_a_gap_is_filled_from_the_list_of_events(noon: Any) -> None:
    from billing.backfill import fetch_missed_events

    control("POST", "/_sandbox/webhook_plan", {"seed": 1, "drop": 1.0})
    account, plan = make_account(), make_plan()
    from accounts.events import By
    from accounts.tests.worlds import owner_of
    from billing.checkout import start_checkout
    from billing.tests.worlds import confirm

    confirm(start_checkout(account, plan, by=By.customer(owner_of(account)), at=noon.now()).client_secret)
    run_worker()
    lost = Payment.objects.count()
    found = fetch_missed_events(at=noon.now())
    run_worker()

    assert (lost, Payment.objects.count()) == (0, 1)
    assert found > 0
    assert fetch_missed_events(at=noon.now()) == 0
