"""Staff plan another price: asked, shown, confirmed, on the pages at once, and withdrawn."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Notice
from accounts.tests.worlds import NOON, make_account, make_user, owner_of
from billing.models import Plan, PlannedPrice, PriceChange, Subscription
from billing.plan_choice import Way, offer_plans
from billing.price_sweep import run_prices
from billing.prices import plan_now
from billing.tests.price_worlds import DAY, beat, change_price, live, make_price, paying
from billing.tests.trial_worlds import make_local_plan
from billing.tests.worlds import TurnableClock

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A superuser who has just signed in."""
    monkeypatch.setattr("accounts.admin.base.is_fresh", lambda request: True)
    client = Client()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    return client


def answers(price: str, **columns: Any) -> dict[str, Any]:
    day = (NOON + DAY).date().isoformat()
    return {"price": "35", "provider_price": price, "day": day, "reason": "costs rose"} | columns


def test_it_is_asked_shown_confirmed_and_withdrawn(noon: TurnableClock, chief: Client) -> None:
    row = paying()
    price = make_price(row.plan, 3500)
    url = reverse("admin:billing_plan_price", args=[row.plan_id])
    asked = chief.get(reverse("admin:billing_plan_change", args=[row.plan_id])).content.decode()
    shown = chief.post(url, answers(price)).content.decode()
    nothing = (PriceChange.objects.count(), Plan.objects.count(), PlannedPrice.objects.count())
    chief.post(url, answers(price, confirmed="yes"))
    change = PriceChange.objects.get()
    beat(noon.now())
    live(noon, NOON + 2 * DAY)
    page = chief.get(reverse("admin:billing_pricechange_change", args=[change.pk])).content.decode()
    chief.post(reverse("admin:billing_pricechange_act", args=[change.pk, "withdraw"]), {"reason": "no"})
    beat(noon.now())
    change.refresh_from_db()

    assert url in asked
    assert nothing == (0, 1, 0)
    for words in (
        "€29.00",
        "€35.00",
        "11 April 2026",
        "costs more from",
        "cuesta más desde",
        'srcdoc="&lt;!doctype',
    ):
        assert words in shown
    assert (change.to_plan.amount, change.reason, change.actor) == (3500, "costs rose", "staff")
    assert change.to_plan.code != change.from_plan.code
    assert "costs rose" in page
    assert "1 planned" in page
    assert change.withdrawn_at is not None
    assert PlannedPrice.objects.get().reason == "withdrawn"
    assert not Plan.objects.priced_at(noon.now()).filter(pk=change.to_plan_id).exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"price": "29"}, "price"),
        ({"price": "35.001"}, "price"),
        ({"price": "36"}, "provider_price"),
        ({"day": "2026-03-10"}, "day"),
        ({"provider_price": "price_unknown"}, "provider_price"),
        ({"provider_price": "own"}, "provider_price"),
    ],
)
def test_what_could_not_be_planned_is_refused(
    noon: TurnableClock, chief: Client, change: dict[str, str], field: str
) -> None:
    plan = paying().plan
    if change.get("provider_price") == "own":
        change = {"provider_price": plan.provider_price}
    sent = answers(make_price(plan, 3500)) | change
    answer = chief.post(reverse("admin:billing_plan_price", args=[plan.pk]), sent | {"confirmed": "yes"})

    assert field in answer.context["form"].errors
    assert not PriceChange.objects.exists()


@pytest.mark.parametrize("columns", [{"is_staff": True}, {"is_staff": True, "is_superuser": True}])
def test_others_and_stale_sign_ins_do_not_plan(columns: dict[str, bool]) -> None:
    plan, client = make_local_plan(0), Client()
    client.force_login(make_user(**columns))
    answer = client.get(reverse("admin:billing_plan_price", args=[plan.pk]))

    assert answer.status_code == (302 if "is_superuser" in columns else 403)


def test_new_customers_pay_the_new_price_from_its_day_and_others_what_they_have(clock: Any) -> None:
    clock.turn_to(NOON)
    plan = make_local_plan(14, amount=2900)
    account, other = make_account(), make_account()
    trial = Subscription.objects.create(
        account=other, plan=plan, status="trialing", started_at=NOON, trial_end=NOON + 14 * DAY,
        period_end=NOON + 14 * DAY,
    )  # fmt: skip
    change = change_price(plan, 3500, price="price_new")
    offered = {
        days: [offer.plan.amount for offer in offer_plans(account, at=NOON + days * DAY)] for days in (0.9, 1)
    }
    [kept] = offer_plans(other, at=NOON + 2 * DAY)
    client = Client()
    client.force_login(owner_of(account))
    clock.turn_to(NOON + 2 * DAY)
    old = client.get(reverse("pay", args=[account.public_id, plan.code]))

    assert offered == {0.9: [2900], 1: [3500]}
    assert (kept.plan, kept.way) == (trial.plan, Way.PAY)
    assert plan_now(plan, at=clock.now()) == change.to_plan
    assert old.status_code == 404


def test_planning_and_telling_cost_the_same_statements_for_few_and_for_many(clock: Any) -> None:
    clock.turn_to(NOON)
    counted, plans = [], [make_local_plan(0, amount=2900), make_local_plan(0, amount=2900)]
    for count, plan in zip((2, 12), plans, strict=True):
        for number in range(count):
            Subscription.objects.create(
                account=make_account(), plan=plan, provider_id=f"sub_{count}_{number}", status="active",
                started_at=NOON, first_paid_at=NOON, period_start=NOON, period_end=NOON + 40 * DAY,
            )  # fmt: skip
        change_price(plan, 3500, price=f"price_new_{count}")
        with CaptureQueriesContext(connection) as planning:
            run_prices(at=NOON)
        rows = PlannedPrice.objects.filter(change__from_plan=plan)
        sent = Notice.objects.filter(account__planned_prices__in=rows)
        sent.update(status="sent", sent_at=F("window_from"))
        rows.update(next_at=NOON + 34 * DAY)
        with CaptureQueriesContext(connection) as telling:
            run_prices(at=NOON + 34 * DAY)
        counted.append((len(planning), len(telling), rows.filter(state="set").count()))

    assert [row[2] for row in counted] == [2, 12]
    assert counted[0][:2] == counted[1][:2]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("€35.00 a month, from the charge on", "See how to stop before", "€35.00 instead of €29.00")),
        ("es", ("35,00\xa0€ al mes, desde el cobro del", "Ver cómo irte antes", "en lugar de 29,00\xa0€")),
    ],
)
def test_the_pages_name_the_price_its_day_and_the_way_out(clock: Any, language: str, words: Any) -> None:
    clock.turn_to(NOON)
    account = make_account()
    Subscription.objects.create(
        account=account, plan=make_local_plan(0, amount=2900), provider_id="sub_1", status="active",
        started_at=NOON, first_paid_at=NOON, period_start=NOON, period_end=NOON + 40 * DAY,
    )  # fmt: skip
    change_price(Plan.objects.get(), 3500, price="price_new")
    run_prices(at=NOON)
    owner, client = owner_of(account), Client()
    owner.language = language
    owner.save()
    client.force_login(owner)
    client.cookies["django_language"] = language
    pages = [
        client.get(reverse(name, args=[account.public_id]))
        for name in ("account_overview", "billing_overview")
    ]

    for page in pages:
        text = page.content.decode()
        assert [word for word in words if word not in text] == []
        assert text.count(reverse("leave", args=[account.public_id])) >= 2
