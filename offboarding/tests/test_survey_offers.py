"""The survey and the offers: after the receipt, each answer optional, "no, continue" always live (C9)."""

import pytest
from django.urls import reverse

from accounts.models import Event
from accounts.tests.worlds import NOON
from billing.models import Pause, Plan
from billing.tests.worlds import make_plan, run_worker
from offboarding.models import ExitReason, ExitSurvey, Offer
from offboarding.tests.leaving import choose, confirm, latest, owners_browser
from offboarding.tests.situations import (
    after,
    charged,
    live_at_provider,
    paid_long_ago,
    the_subscription,
    words,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("stripe_account")]


@pytest.fixture
def account(clock):
    clock.turn_to(NOON)
    return paid_long_ago(clock)


def reason(offer):
    found, _ = ExitReason.objects.update_or_create(
        code=f"because-{offer or 'nothing'}",
        defaults={"label_en": f"Because {offer}", "label_es": f"Porque {offer}", "offer": offer},
    )
    return found


def page_of(account, name):
    return reverse(name, args=[account.public_id, latest(account).public_id])


def answer(browser, account, **answers):
    return browser.post(page_of(account, "leaving_survey"), answers, follow=True)


def offered(browser, account, kind, ending="stop_renewing"):
    """Leave, and give a reason that this offer fits."""
    choose(browser, account, ending)
    run_worker()
    return answer(browser, account, reason=reason(kind).pk)


def test_nothing_is_asked_or_offered_before_the_receipt(account):
    browser = owners_browser(account)
    before = words(browser.get(reverse("leave", args=[account.public_id])))

    page = words(choose(browser, account, "stop_renewing"))

    assert "What is the main reason?" not in before
    assert "pause" not in before.lower()
    assert latest(account).receipt_number in page
    assert not Offer.objects.exists()


def test_it_is_one_page_with_all_questions_and_nothing_is_required(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")

    page = words(browser.get(page_of(account, "leaving_survey")))
    saved = answer(browser, account)

    for question in (
        "What problem were you trying to solve?",
        "Why do you feel you did not get what you thought you were buying?",
        "Did you give it a real chance?",
        "What would you change to attract more people like you?",
        "I would like a short call",
        "Tell me by e-mail when things change",
    ):
        assert question in page
    assert "Thank you. Your answers help" in words(saved)
    assert ExitSurvey.objects.get().reason is None


def test_a_second_tab_and_the_back_button_replace_the_answers(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    answer(browser, account, problem="first", usage="low")

    answer(browser, account, problem="second", usage="high", wants_news="on")

    survey = ExitSurvey.objects.get()
    assert (survey.problem, survey.usage, survey.wants_news) == ("second", "high", True)
    assert Event.objects.filter(kind="survey.answered").count() == 1
    assert "second" in browser.get(page_of(account, "leaving_survey")).content.decode()


def test_the_words_of_the_answers_stay_out_of_the_history(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_renewing")
    answer(browser, account, problem="my secret", reason=reason("").pk)

    event = Event.objects.get(kind="survey.answered")

    assert event.facts == {"reason": "because-nothing", "usage": ""}


@pytest.mark.parametrize("kind", ["pause", "plan", "free_days", "call"])
def test_an_offer_stands_beside_a_live_no_which_changes_nothing(kind, account):
    make_plan("small", amount=900)
    browser = owners_browser(account)

    page = offered(browser, account, kind)

    assert page.redirect_chain[-1][0] == page_of(account, "leaving_offer")
    assert f'href="{page_of(account, "leaving")}">No, continue</a>' in page.content.decode()
    assert [(o.kind, o.status) for o in Offer.objects.all()] == [(kind, "shown")]
    assert latest(account).status == "scheduled"


def test_the_offer_comes_after_no_before_the_last_step_where_there_is_one(account):
    browser = owners_browser(account)

    page = offered(browser, account, "pause", ending="stop_now")

    assert f'href="{page_of(account, "leaving_confirm")}">No, continue</a>' in page.content.decode()


def test_taking_a_pause_keeps_the_subscription_and_charges_on_the_stated_date(account, clock):
    browser = owners_browser(account)
    offered(browser, account, "pause")

    browser.post(page_of(account, "leaving_offer"), {"months": "1"})
    run_worker()

    pause, subscription = Pause.objects.get(), the_subscription(account)
    account.refresh_from_db()
    assert latest(account).status == "withdrawn"
    assert account.access_ends_at == pause.starts_at
    assert (subscription.period_end, subscription.cancel_at) == (pause.resumes_at, None)
    after(clock, days=30)
    assert charged() == 2900
    after(clock, days=15)
    assert charged() == 5800


def test_taking_a_smaller_plan_keeps_the_subscription_at_the_smaller_price(account, clock):
    make_plan("small", amount=900)
    browser = owners_browser(account)
    offered(browser, account, "plan")

    browser.post(page_of(account, "leaving_offer"), {"plan": "small"})
    run_worker()

    [live] = live_at_provider()
    assert latest(account).status == "withdrawn"
    assert live["cancel_at_period_end"] is False
    assert live["items"]["data"][0]["price"]["id"] == Plan.objects.get(code="small").provider_price
    after(clock, days=14)
    assert charged() == 2900 + 900


def test_whoever_pays_already_is_offered_no_trial_of_the_same_plan(account):
    make_plan("small", amount=900, name_en="Small")
    make_plan("small-trial", amount=900, name_en="Small to try", trial_days=14)
    browser = owners_browser(account)
    offered(browser, account, "plan")

    page = words(browser.get(page_of(account, "leaving_offer")))

    assert "Small: €9.00 a month" in page
    assert "Small to try" not in page


def test_a_plan_that_is_not_on_offer_changes_nothing(account):
    make_plan("small", amount=900)
    browser = owners_browser(account)
    offered(browser, account, "plan")

    browser.post(page_of(account, "leaving_offer"), {"plan": the_subscription(account).plan.code})

    assert latest(account).status == "scheduled"
    assert Offer.objects.get().status == "shown"


def test_taking_the_free_days_leads_to_the_last_step_with_todays_refund(account):
    browser = owners_browser(account)
    offered(browser, account, "free_days")

    page = browser.post(page_of(account, "leaving_offer"), follow=True)

    assert page.redirect_chain[-1][0] == page_of(account, "leaving_confirm")
    assert latest(account).ending == "free_days"
    assert latest(account).quote.amount == 1030


def test_asking_for_a_call_leaves_the_cancellation_as_it_is(account):
    browser = owners_browser(account)
    offered(browser, account, "call")

    browser.post(page_of(account, "leaving_offer"), {"call_when": "Monday at ten"})

    assert (ExitSurvey.objects.get().wants_call, ExitSurvey.objects.get().call_when) == (
        True,
        "Monday at ten",
    )
    assert latest(account).status == "scheduled"
    assert Offer.objects.get().status == "taken"


def test_after_the_last_step_nothing_is_offered_any_more(account):
    browser = owners_browser(account)
    choose(browser, account, "stop_now")
    confirm(browser, account)

    page = answer(browser, account, reason=reason("pause").pk)

    assert page.redirect_chain[-1][0] == page_of(account, "leaving")
    assert not Offer.objects.exists()


def test_an_offer_that_does_not_hold_here_is_not_made(account):
    browser = owners_browser(account)
    offered(browser, account, "plan")

    page = browser.get(page_of(account, "leaving_offer"), follow=True)

    assert not Offer.objects.exists()
    assert page.redirect_chain[-1][0] == page_of(account, "leaving")
