"""What billing says: every mail in both languages, every event in words, what comes next."""

import ast
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from accounts import history
from accounts.calendar import what_comes_next
from accounts.models import Account, Event, Member, Notice
from accounts.notices import kinds, render_notice
from accounts.tests.worlds import NOON, make_account, owner_of
from billing.declines import NO_REASON, explain_decline
from billing.dunning_cases import open_case
from billing.models import Customer, Invoice, Pause, Payment, Plan, Refund, Subscription
from billing.notices import KINDS

BILLING = Path(__file__).resolve().parents[1]
#: A whole kind, not the beginning of one that ends in a state.
KIND = r"[a-z]+\.[a-z_]+"
LATER = NOON + dt.timedelta(days=31)


def story() -> tuple[Account, dict[str, str]]:
    """Rows for one notice of each kind, without a provider; the subject of each kind."""
    account = make_account()
    plan = Plan.objects.create(
        code="pro", name_en="Pro", name_es="Pro", amount=2900, currency="EUR", provider_price="price_1"
    )
    Customer.objects.create(
        account=account,
        provider_id="cus_1",
        card_id="pm_1",
        card_brand="visa",
        card_last4="4242",
        card_expires="2030-12",
    )
    subscription = Subscription.objects.create(
        account=account,
        plan=plan,
        provider_id="sub_1",
        status="trialing",
        started_at=NOON,
        period_start=NOON,
        period_end=LATER,
        trial_end=LATER,
    )
    invoice = Invoice.objects.create(
        account=account,
        subscription=subscription,
        provider_id="in_1",
        number="GT-0001",
        status="open",
        currency="EUR",
        total=2900,
        tax=503,
        amount_due=2900,
        amount_remaining=2900,
        created_at=NOON,
        period_start=NOON,
        period_end=LATER,
        synced_at=NOON,
    )
    payment = Payment.objects.create(
        account=account,
        invoice=invoice,
        provider_id="pi_1",
        charge_id="ch_1",
        amount=2900,
        currency="EUR",
        method_brand="visa",
        method_last4="4242",
        paid_at=NOON,
    )
    refund = Refund.objects.create(
        account=account,
        payment=payment,
        basis="terms",
        amount=1000,
        tax=173,
        currency="EUR",
        state="failed",
        created_at=NOON,
        moved_at=NOON,
        failed_at=NOON,
        arrives_by=LATER,
    )
    return account, {
        "payment_received": "payment:ch_1",
        "payment_failed": "invoice:in_1",
        "refund_sent": f"refund:{refund.public_id}",
        "refund_failed": f"refund:{refund.public_id}",
        "subscription_started": f"subscription:{subscription.public_id}",
        "card_changed": "card:pm_1",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("kind", [kind.code for kind in KINDS])
def test_every_mail_can_be_written_in_every_language(kind: str, language: str) -> None:
    account, subjects = story()
    user = owner_of(account)
    user.language = language
    facts = {"decline": "insufficient_funds"}
    pause = Pause.objects.create(
        subscription=Subscription.objects.get(), starts_at=NOON, resumes_at=LATER, created_at=NOON
    )
    subject, period = subjects.get(kind, ""), f"pause:{pause.pk}"
    notice = Notice(account=account, user=user, kind=kind, subject=subject, period=period, facts=facts)
    message = render_notice(notice, at=NOON)

    assert message.subject
    assert f"/a/{account.public_id}/" in message.text
    assert not re.search(r"\{\{|\{%|None|&[a-z]+;", message.text)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "change", "is_true"),
    [
        ("payment_failed", {}, True),
        ("payment_failed", {"invoice": {"status": "void"}}, False),
        ("payment_failed", {"subscription": {"cancel_at": LATER}}, False),
        ("payment_failed", {"subscription": {"status": "incomplete_expired"}}, False),
        ("refund_failed", {}, True),
        ("refund_sent", {}, False),
        ("refund_sent", {"refund": {"state": "pending", "provider_id": "re_1"}}, True),
        ("subscription_started", {}, True),
        ("subscription_started", {"subscription": {"status": "past_due"}}, False),
        ("card_changed", {}, True),
        ("card_changed", {"customer": {"card_id": "pm_2"}}, False),
    ],
)
def test_a_mail_asks_the_facts_again(kind: str, change: dict[str, Any], is_true: bool) -> None:
    account, subjects = story()
    open_case(Invoice.objects.get(), "insufficient_funds", at=NOON)
    models = {"invoice": Invoice, "subscription": Subscription, "refund": Refund, "customer": Customer}
    for name, columns in change.items():
        models[name].objects.update(**columns)
    found = kinds()[kind]

    assert found.still_true(Notice(account=account, kind=kind, subject=subjects[kind]), NOON) is is_true


def recorded_kinds() -> set[str]:
    """Every kind of event that billing's code records, those made of a state included."""
    trees = [ast.parse(path.read_text()) for path in BILLING.glob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    records = [
        call.args[1] for call in calls if getattr(call.func, "id", "") == "record" and len(call.args) > 1
    ]
    named = {node.value for kind in records for node in ast.walk(kind) if isinstance(node, ast.Constant)}
    made = {f"subscription.{s}" for s in Subscription.Status.values}
    made |= {f"refund.{s}" for s in Refund.State.values} - {"refund.intent"}
    made |= {f"invoice.{s}" for s in Invoice.Status.values} - {"invoice.draft"}
    return (
        {kind for kind in named if isinstance(kind, str) and re.fullmatch(KIND, kind)}
        | made
        | {"subscription.free_time"}
    )


def test_every_kind_of_event_has_words() -> None:
    assert recorded_kinds() - history.known_kinds() == set()


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        ("subscription.active", {"is_free": True}, "The free plan began: nothing is billed."),
        ("subscription.active", {}, "The subscription is active."),
        ("account.grace", {"reason": "trial_over"}, "The trial is over and no plan is chosen"),
        ("account.grace", {"reason": "unpaid"}, "Something is to be settled"),
    ],
)
def test_one_kind_of_event_is_told_by_what_it_was(kind: str, facts: dict[str, object], said: str) -> None:
    event = Event(account_ref="a", seq=1, kind=kind, actor="system", at=NOON, facts=facts)

    assert history.in_words(event).startswith(said)


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_failed_payment_is_told_with_its_reason(language: str) -> None:
    event = Event(
        kind="payment.failed",
        facts={"amount": 2900, "currency": "EUR", "decline": "insufficient_funds"},
        at=NOON,
        seq=1,
    )
    with translation.override(language):
        told = history.in_words(event)

    assert "29" in told
    assert "%(" not in told


def test_a_stolen_card_is_told_as_any_other() -> None:
    assert explain_decline("stolen_card") == explain_decline("lost_card") == NO_REASON
    assert explain_decline("insufficient_funds") != NO_REASON
    assert explain_decline("a_code_of_tomorrow") == NO_REASON


def coming(account: Account, at: dt.datetime = NOON) -> list[str]:
    member = Member.objects.get(account=account)
    return [str(entry.text) for entry in what_comes_next(account, member, at=at)]


@pytest.mark.django_db
def test_the_next_renewal_comes_with_its_amount() -> None:
    account, _ = story()
    Subscription.objects.update(status="active", first_paid_at=NOON, trial_end=None)

    assert "Pro renews: €29.00" in coming(account)
    assert coming(account, LATER) == []


@pytest.mark.django_db
def test_after_a_trial_the_first_charge_is_announced() -> None:
    account, _ = story()

    assert "First charge for Pro: €29.00" in coming(account)


@pytest.mark.django_db
def test_what_was_cancelled_ends_and_is_not_charged() -> None:
    account, _ = story()
    Subscription.objects.update(status="active", first_paid_at=NOON, cancel_at=LATER)

    assert coming(account) == ["Pro ends"]


@pytest.mark.django_db
def test_a_pause_says_when_it_ends_and_hides_the_charge_inside_it() -> None:
    account, _ = story()
    Subscription.objects.update(status="active", first_paid_at=NOON)
    Pause.objects.create(
        subscription=Subscription.objects.get(),
        starts_at=LATER - dt.timedelta(days=1),
        resumes_at=LATER + dt.timedelta(days=20),
        created_at=NOON,
    )

    told = coming(account)
    assert any("pause ends" in line for line in told)
    assert not any("renews" in line for line in told)
