"""The pages of plan, card and invoices: who may, what they say, what a click does."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Account, Member, Notice
from accounts.tests.worlds import make_account, make_member, make_user, owner_of
from billing.models import Customer, Instruction, Invoice, Payment, Plan, Subscription
from billing.stripe_api import calling
from billing.tests.worlds import (
    confirm,
    control,
    fault,
    make_customer_with_card,
    make_plan,
    make_subscription,
    run_worker,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noon")]


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def by_owner(account: Account) -> Client:
    return signed_in(owner_of(account))


def address(name: str, account: Account, *more: str) -> str:
    return reverse(name, args=[account.public_id, *more])


def words(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def pages_of(account: Account, plan: Plan, invoice: Invoice) -> list[str]:
    return [
        address("billing_overview", account),
        address("plans", account),
        address("pay", account, plan.code),
        address("pay_done", account),
        address("card", account),
        address("invoices", account),
        address("invoice", account, invoice.number),
    ]


def test_a_stranger_finds_no_page_and_a_member_reads_who_may() -> None:
    account, plan = make_account(), make_plan()
    make_subscription(account, plan)
    pages = pages_of(account, plan, Invoice.objects.get())
    stranger, member = signed_in(make_user()), signed_in(make_member(account).user)

    assert {stranger.get(page).status_code for page in pages} == {404}
    assert {member.get(page).status_code for page in pages} == {403}
    assert {Client().get(page).status_code for page in pages} == {302}


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_page_opens_for_a_payer_in_ten_queries(
    language: str, django_assert_max_num_queries: Any
) -> None:
    account, plan = make_account(), make_plan()
    make_subscription(account, plan)
    user = make_user(language=language)
    make_member(account, Member.Role.BILLING, user=user)
    client = signed_in(user)
    client.get("/")  # the first look writes the session down
    for page in pages_of(account, plan, Invoice.objects.get()):
        with django_assert_max_num_queries(10):
            answer = client.get(page)

        assert answer.status_code == 200, page
        assert f'<html lang="{language}">' in answer.content.decode()


def test_the_invoice_of_another_account_is_not_found() -> None:
    account, other = make_account(), make_account()
    make_subscription(account)
    number = Invoice.objects.get().number

    assert by_owner(other).get(address("invoice", other, number)).status_code == 404
    assert by_owner(other).post(address("invoice_pay_known", other, number)).status_code == 404


def test_a_free_plan_starts_with_one_click_and_nobody_at_the_provider() -> None:
    account, plan = make_account(), make_plan("free", amount=0)
    answer = by_owner(account).post(address("choose_plan", account), {"plan": plan.code})

    assert answer.status_code == 302
    assert Subscription.objects.live().get().plan == plan
    assert not Customer.objects.exists()


def test_a_trial_without_card_starts_once(noon: Any) -> None:
    account = make_account()
    plan = make_plan(trial_days=14)
    client = by_owner(account)
    client.post(address("choose_plan", account), {"plan": plan.code})
    again = client.post(address("choose_plan", account), {"plan": plan.code})

    account.refresh_from_db()
    subscription = Subscription.objects.get()
    assert (subscription.status, account.state) == ("trialing", "trialing")
    assert account.access_ends_at == subscription.period_end > subscription.trial_end
    assert again["Location"] == address("pay", account, plan.code)
    assert Notice.objects.filter(kind="subscription_started").count() == 1


def test_free_days_that_run_are_kept_when_someone_pays_early() -> None:
    account = make_account()
    plan = make_plan(trial_days=14)
    client = by_owner(account)
    client.post(address("choose_plan", account), {"plan": plan.code})
    ends = Subscription.objects.get().trial_end
    started = client.post(address("pay_start", account, plan.code)).json()
    confirm(started["client_secret"])
    run_worker()

    account.refresh_from_db()
    subscription = Subscription.objects.live().get()
    assert started["kind"] == "setup"
    assert subscription.provider_id
    assert subscription.trial_end
    assert abs((subscription.trial_end - ends).total_seconds()) < 1
    assert account.access_ends_at is None
    assert not Payment.objects.exists()


def test_a_trial_that_needs_a_card_begins_only_with_one() -> None:
    account = make_account()
    plan = make_plan(trial_days=14, trial_needs_card=True)
    client = by_owner(account)
    started = client.post(address("pay_start", account, plan.code)).json()
    run_worker()
    before = Subscription.objects.count()
    confirm(started["client_secret"])
    run_worker()

    subscription = Subscription.objects.get()
    assert before == 0
    assert (subscription.status, subscription.plan) == ("trialing", plan)
    assert Customer.objects.get().card_last4 == "4242"


def test_the_form_pays_and_the_page_waits_for_the_facts() -> None:
    account, plan = make_account(), make_plan()
    client = by_owner(account)
    started = client.post(address("pay_start", account, plan.code)).json()
    done = address("pay_done", account) + f"?what=plan&plan={plan.code}"
    waiting = words(client.get(done))
    confirm(started["client_secret"])
    run_worker()

    assert started["kind"] == "payment"
    assert 'http-equiv="refresh"' in waiting
    assert f"{plan.name} has started" in words(client.get(done))


def test_two_starts_are_one_subscription() -> None:
    account, plan = make_account(), make_plan()
    client = by_owner(account)
    first = client.post(address("pay_start", account, plan.code)).json()
    second = client.post(address("pay_start", account, plan.code)).json()

    assert first == second
    with calling() as stripe:
        assert len(stripe.v1.subscriptions.list(params={"status": "all"}).data) == 1


def test_the_card_on_file_pays_without_a_script() -> None:
    account, plan = make_account(), make_plan()
    make_customer_with_card(account)
    answer = by_owner(account).post(address("pay_known", account, plan.code))
    run_worker()

    assert answer["Location"].startswith(address("pay_done", account))
    assert Subscription.objects.live().get().plan == plan
    assert Payment.objects.get().amount == 2900


def test_a_refused_card_on_file_says_why_and_nothing_starts() -> None:
    account, plan = make_account(), make_plan()
    make_customer_with_card(account, card="pm_card_chargeCustomerFail")
    client = by_owner(account)
    answer = client.post(address("pay_known", account, plan.code), follow=True)
    run_worker()

    assert "Nothing was charged. Your bank refused the payment" in words(answer)
    assert not Subscription.objects.live().exists()
    assert not Instruction.objects.filter(status="dead").exists()
    assert not Notice.objects.filter(kind="payment_failed").exists()


@pytest.mark.parametrize("kind", ["drop_before", "500_before", "429"])
def test_an_outage_at_the_start_says_that_nothing_was_charged(kind: str) -> None:
    account, plan = make_account(), make_plan()
    make_customer_with_card(account)
    fault(kind, path="/v1/subscriptions$")
    answer = by_owner(account).post(address("pay_start", account, plan.code))

    assert answer.status_code == 503
    assert "Nothing was charged" in answer.json()["error"]


def test_after_an_outage_the_same_start_goes_on(noon: Any) -> None:
    account, plan = make_account(), make_plan()
    make_customer_with_card(account)
    fault("drop_after", path="/v1/subscriptions$")
    client = by_owner(account)
    client.post(address("pay_start", account, plan.code))
    noon.forward(minutes=1)
    started = client.post(address("pay_start", account, plan.code))

    assert started.json()["kind"] == "payment"
    with calling() as stripe:
        assert len(stripe.v1.subscriptions.list(params={"status": "all"}).data) == 1


def test_a_payment_without_an_answer_is_checked_and_never_made_later(noon: Any) -> None:
    account, plan = make_account(), make_plan()
    make_customer_with_card(account)
    fault("drop_before", path="/pay$")
    answer = by_owner(account).post(address("pay_known", account, plan.code))
    noon.forward(minutes=5)
    run_worker()

    assert answer["Location"].startswith(address("pay_done", account))
    assert not Payment.objects.exists()
    assert Instruction.objects.get(kind="pay").answer["status"] == "open"


def test_a_payment_whose_answer_was_lost_is_found(noon: Any) -> None:
    account, plan = make_account(), make_plan()
    make_customer_with_card(account)
    fault("drop_after", path="/pay$")
    by_owner(account).post(address("pay_known", account, plan.code))
    noon.forward(minutes=5)
    run_worker()

    assert Payment.objects.get().amount == 2900
    assert Instruction.objects.get(kind="pay").answer["status"] == "paid"


def test_a_new_card_is_charged_from_now_on_and_told() -> None:
    account = make_account()
    make_subscription(account)
    client = by_owner(account)
    was = Customer.objects.get().card_id
    started = client.post(address("card_start", account)).json()
    confirm(started["client_secret"], "pm_card_mastercard")
    run_worker()

    customer = Customer.objects.get()
    assert (customer.card_brand, customer.card_last4) == ("mastercard", "4444")
    assert Notice.objects.filter(kind="card_changed", status="sent").count() == 1
    assert "The card is saved" in words(client.get(address("pay_done", account) + f"?what=card&was={was}"))
    with calling() as stripe:
        live = stripe.v1.subscriptions.retrieve(str(Subscription.objects.get().provider_id))
        assert live.default_payment_method == customer.card_id


def test_choosing_another_plan_while_paying_changes_it_at_the_renewal() -> None:
    account, other = make_account(), make_plan(amount=4900)
    make_subscription(account)
    by_owner(account).post(address("choose_plan", account), {"plan": other.code})
    run_worker()

    assert Subscription.objects.live().get().plan == other
    assert Payment.objects.count() == 1
    assert Invoice.objects.count() == 1


def test_invoices_come_page_by_page_without_drafts() -> None:
    account = make_account()
    make_subscription(account)
    first = Invoice.objects.get()
    for number in range(25):
        Invoice.objects.create(
            account=account,
            provider_id=f"in_{number}",
            number=f"GT-{number}",
            status="draft" if number == 24 else "void",
            currency="EUR",
            created_at=first.created_at,
            synced_at=first.synced_at,
        )
    client = by_owner(account)
    page = client.get(address("invoices", account))
    older = client.get(address("invoices", account) + page.context["older_url"])

    numbers = [i.number for i in [*page.context["invoices"], *older.context["invoices"]]]
    assert len(numbers) == len(set(numbers)) == 25
    assert "GT-24" not in numbers


def test_a_receipt_shows_lines_total_card_and_refund() -> None:
    account = make_account()
    make_subscription(account)
    payment = Payment.objects.get()
    with calling() as stripe:
        stripe.v1.refunds.create(params={"payment_intent": payment.provider_id, "amount": 700})
    run_worker()
    answer = words(by_owner(account).get(address("invoice", account, Invoice.objects.get().number)))

    assert "€29.00 paid with Visa ending in 4242" in answer
    assert "€7.00 refunded" in answer


def test_get_changes_nothing_at_the_provider() -> None:
    account, plan = make_account(), make_plan()
    make_subscription(account, plan)
    client = by_owner(account)
    before = len(control("GET", "/_sandbox/requests")["requests"])
    for page in pages_of(account, plan, Invoice.objects.get()):
        client.get(page)

    assert len(control("GET", "/_sandbox/requests")["requests"]) == before
