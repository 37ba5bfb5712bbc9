"""More time by a click, the banner and the card on the pages, and what support may do."""

import re

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account, Event, Hold, Member, Notice
from accounts.notices import kinds, render_notice
from accounts.templatetags.terms_format import moment
from accounts.tests.worlds import make_account, make_terms, make_user, owner_of
from billing.models import (
    Instruction,
    Subscription,
    TrialAllowance,
    TrialExtension,
    TrialRequest,
    TrialStep,
)
from billing.renewals import RENEWS
from billing.subscriptions import start_trial
from billing.tests.trial_worlds import DAY, MONDAY, live_on, make_free_plan, make_local_plan, make_trial
from billing.trial_calendar import StepKind
from billing.trial_notices import KINDS, period_of
from billing.trials import ask_for_time, decline_request, extend_trial

pytestmark = pytest.mark.django_db

END = MONDAY + 14 * DAY


def as_owner(account: Account) -> Client:
    client = Client()
    client.force_login(owner_of(account))
    return client


def link_of_last_mail() -> str:
    found = re.search(r"(/more-time/[^\s/]+/)", mail.outbox[-1].body)
    assert found
    return found.group(1)


# --- By the link of a mail --------------------------------------------------------------------


def test_the_link_shows_what_it_would_do_and_does_it_by_post(clock):
    trial = make_trial()
    live_on(END - 5 * DAY)
    clock.turn_to(END - 5 * DAY)
    path, client = link_of_last_mail(), Client()
    looked = client.get(path)
    before = TrialExtension.objects.count()
    client.post(path, {"text": "To move our data."})
    extension = TrialExtension.objects.get()

    assert (looked.status_code, before) == (200, 0)
    assert looked["Cache-Control"] == "no-store"
    assert extension.ends_after == END + 7 * DAY
    assert (extension.actor, extension.actor_ref) == ("customer", owner_of(trial.account).public_id)
    assert TrialRequest.objects.get().text == "To move our data."
    assert not Event.objects.filter(facts__icontains="data.").exists()


def test_more_time_in_the_days_of_grace_never_looks_shorter_than_doing_nothing(clock):
    trial = make_trial()
    live_on(END + 2 * DAY)
    clock.turn_to(END + 2 * DAY)
    account = Account.objects.get(pk=trial.account_id)
    path, client = reverse("more_time", args=[account.public_id]), as_owner(account)
    page, before = client.get(path), account.access_ends_at
    client.post(path, {"text": ""})
    account.refresh_from_db()

    assert page.context["more"].until < before < page.context["all_on_until"]
    assert "everything stays on until" in page.content.decode()
    assert account.access_ends_at == page.context["all_on_until"]


def test_the_link_is_of_one_person_and_ends_with_their_seat(clock):
    trial = make_trial()
    live_on(END - 5 * DAY)
    clock.turn_to(END - 5 * DAY)
    path = link_of_last_mail()
    Member.objects.filter(account=trial.account).update(left_at=END)

    assert Client().post(path).status_code == 404
    assert Client().get("/more-time/unheard-of/").status_code == 404
    assert not TrialExtension.objects.exists()


# --- From the account -------------------------------------------------------------------------


def test_beyond_the_terms_it_is_a_request_and_the_clock_stands_still(clock):
    make_terms(trial_extensions_max=1)
    trial = make_trial()
    clock.turn_to(MONDAY + DAY)
    client, path = as_owner(trial.account), reverse("more_time", args=[trial.account.public_id])
    client.post(path)
    client.post(path, {"text": "We wait for our data."})
    shown = client.get(path)
    client.post(path)

    assert TrialExtension.objects.count() == TrialRequest.objects.open().count() == 1
    assert Hold.objects.get().reason == "request"
    assert "Your request is with us" in shown.content.decode()


def test_a_frozen_account_finds_the_way_on_its_closed_door(clock):
    make_terms(trial_grace_days=0)
    trial = make_trial()
    live_on(END + DAY)
    clock.turn_to(END + DAY)
    client = as_owner(trial.account)
    door = client.get(reverse("account_overview", args=[trial.account.public_id]))
    client.post(reverse("more_time", args=[trial.account.public_id]))
    again = client.get(reverse("account_overview", args=[trial.account.public_id]))

    assert door.status_code == 402
    assert reverse("more_time", args=[trial.account.public_id]) in door.content.decode()
    assert again.status_code == 200


def test_an_extension_adds_to_the_later_of_the_end_and_now_within_the_cap():
    make_terms(charge_move_days=10)
    trial = make_trial()
    first = extend_trial(trial.account, 3, via="staff", reason="other", by=By("staff"), at=MONDAY)
    late = extend_trial(trial.account, 3, via="staff", reason="other", by=By("staff"), at=END + 30 * DAY)

    assert first.ends_after == END + 3 * DAY
    assert late.ends_after == END + 33 * DAY
    with pytest.raises(WrongState):
        extend_trial(trial.account, 11, via="staff", reason="other", by=By("staff"), at=END)


# --- Banner and card --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (-5, ""),
        (-3, "Only 3 days left of your trial"),
        (-1, "Only 1 day left of your trial"),
        (0.05 - 0.1, "Your trial ends today"),
        (2, "Your trial is over. Everything stays on until"),
    ],
)
def test_every_page_counts_down_and_says_how_long_everything_stays_on(clock, day, words):
    trial = make_trial()
    now = END + day * DAY
    live_on(now)
    clock.turn_to(now)
    pages = [
        as_owner(trial.account).get(reverse(name, args=[trial.account.public_id])).content.decode()
        for name in ("people", "billing_overview")
    ]

    assert all(words in page for page in pages)
    assert all(('role="status"' in page) == bool(words) for page in pages)


def test_the_banner_costs_one_query_only_while_something_is_near(clock, django_assert_num_queries):
    from accounts.banners import banner_of

    trial = make_trial()
    account = trial.account
    member = account.members.get()
    Account.objects.filter(pk=account.pk).update(state="active")
    calm = Account.objects.get(pk=account.pk)

    with django_assert_num_queries(0):
        assert banner_of(calm, member, at=END - DAY) is None
    with django_assert_num_queries(1):
        assert banner_of(account, member, at=END - DAY) is not None


# --- One trial each ---------------------------------------------------------------------------


def test_one_trial_for_each_person_and_card_unless_support_allows_another(staff):
    owner = make_user()
    make_trial(account=make_account(owner=owner))
    second = make_account(owner=owner)
    with pytest.raises(WrongState):
        make_trial(account=second)
    act(staff, "accounts_account", second.pk, "allow_trial", note="A new company of theirs.")
    make_trial(account=second)

    assert Subscription.objects.filter(status="trialing").count() == 2
    third = make_account(owner=owner)
    with pytest.raises(WrongState):
        start_trial(third, make_local_plan(), by=By.customer(owner), at=MONDAY)


# --- Support ----------------------------------------------------------------------------------


@pytest.fixture
def staff(monkeypatch, clock):
    """A member of support, freshly signed in, on the day before the end of a trial that began on MONDAY."""
    clock.turn_to(END - DAY)
    monkeypatch.setattr("accounts.admin.base.is_fresh", lambda request: True)
    user = make_user(is_staff=True)
    user.groups.set(Group.objects.filter(name="support"))
    client = Client()
    client.force_login(user)
    return client


def act(client, model, pk, code, **answers):
    path = reverse(f"admin:{model}_act", args=[pk, code])
    assert client.get(path).status_code == 200
    before = everything()
    client.post(path, answers)  # shows what it would mean
    assert everything() == before
    return client.post(path, answers | {"confirmed": "yes"})


def everything():
    """Every row that a verb of support could write, and the dates that it could move."""
    models = (Event, Notice, Hold, TrialExtension, TrialRequest, TrialStep, TrialAllowance, Instruction)
    rows = [list(model.objects.order_by("pk").values()) for model in models]
    return [*rows, list(Account.objects.values()), list(Subscription.objects.values())]


def test_what_an_act_means_is_shown_before_it_with_both_dates_and_every_mail(staff):
    trial = make_trial()
    path = reverse("admin:accounts_account_act", args=[trial.account_id, "extend_trial"])
    shown = staff.post(path, {"days": 5, "reason": "no_time", "note": "Rang us."}).context["meaning"]
    too_many = staff.post(path, {"days": 99, "reason": "no_time", "confirmed": "yes"}).content.decode()
    moved = {change.label: (change.now, change.then) for change in shown.changes}
    told = dict(shown.leaving)
    done = staff.post(
        path, {"days": 5, "reason": "no_time", "note": "Rang us.", "confirmed": "yes"}, follow=True
    )

    now, then = moved["The trial ends"]
    timezone.activate(trial.account.zone)
    assert moved["Access until"][0] != moved["Access until"][1]
    assert [mail.split(",")[0] for mail in told["Mails that are sent"]] == ["Your trial is longer"]
    assert told["What Stripe is told"] == []
    assert "Between 1 and 30 days" in too_many
    trial.refresh_from_db()
    assert (now, then) == (moment(END), moment(trial.trial_end))
    assert then in done.content.decode()
    assert TrialExtension.objects.get().note == "Rang us."


def test_support_extends_moves_holds_and_ends_a_hold(staff):
    trial = make_trial()
    account = trial.account
    desk = staff.get(reverse("admin:accounts_account_change", args=[account.pk])).content.decode()
    act(staff, "accounts_account", account.pk, "extend_trial", days=5, reason="no_time")
    act(staff, "accounts_account", account.pk, "move_trial_end", last_day="2026-06-30", reason="waiting")
    act(staff, "accounts_account", account.pk, "extend_trial", days=99, reason="no_time")
    act(staff, "accounts_account", account.pk, "hold", reason="conversation", until="2026-06-17")
    act(staff, "accounts_hold", Hold.objects.get().pk, "end", reason="asked")

    assert all(f"/do/{code}/" in desk for code in ("extend_trial", "move_trial_end", "hold"))
    assert [e.days for e in TrialExtension.objects.order_by("pk")] == [5, 10]
    assert {e.actor for e in TrialExtension.objects.all()} == {"staff"}
    assert Hold.objects.get().ends_at < END
    trial.refresh_from_db()
    assert abs(trial.trial_end - (END + 15 * DAY)).total_seconds() < 120


@pytest.mark.parametrize("code", ["grant", "decline"])
def test_support_answers_a_request(staff, code):
    trial = make_trial()
    user = owner_of(trial.account)
    request = ask_for_time(trial.account, user=user, text="To move our data.", at=END - DAY)
    queue = staff.get(reverse("admin:billing_trialrequest_changelist")).content.decode()
    answers = {"days": 10, "reason": "waiting"} if code == "grant" else {"answer": "Let us show you."}
    act(staff, "billing_trialrequest", request.pk, code, **answers)
    request.refresh_from_db()

    assert "To move our data." in queue
    assert request.state == ("granted" if code == "grant" else "declined")
    assert TrialExtension.objects.count() == (code == "grant")
    assert Notice.objects.filter(kind="trial_extended" if code == "grant" else "trial_declined").count() == 1


# --- Mails ------------------------------------------------------------------------------------

STEPS = {
    "trial_ends": [StepKind.REMIND_FIRST],
    "trial_over": [StepKind.AFTER_0, StepKind.AFTER_3, StepKind.AFTER_8],
    "trial_farewell": [StepKind.FAREWELL],
}


def test_every_mail_of_a_trial_can_be_written_under_all_terms_in_both_languages():
    free = make_free_plan()
    texts = set()
    for version, (grace, end) in enumerate([(11, "freeze"), (0, "freeze"), (11, "free_plan")], start=1):
        terms = make_terms(version, trial_grace_days=grace, trial_end_plan=end)
        trial = make_trial(account=make_account(terms))
        account = trial.account
        extend_trial(account, 1, via="staff", reason="other", by=By("staff"), at=MONDAY)
        request = ask_for_time(account, user=owner_of(account), text="x", at=MONDAY)
        decline_request(request, answer="Let us show you.", by=By("staff"), at=MONDAY)
        trial.refresh_from_db()
        for kind, steps in ((k.code, STEPS.get(k.code, [""])) for k in KINDS if k.code != RENEWS):
            for step in steps:
                texts |= {written(trial, kind, step, language) for language in ("en", "es")}
    assert free.name_en == "Free"
    assert len(texts) > 30
    assert not [text for text in texts if re.search(r"\{\{|\{%|None|&[a-z]+;", text)]


def written(trial, kind, step, language):
    account, user = trial.account, owner_of(trial.account)
    sample = kinds()[kind].sample(account, END)
    period = period_of(trial, step) if step else sample.period
    notice = Notice(account=account, user=user, kind=kind, subject=sample.subject, period=period)
    message = render_notice(notice, at=END - DAY, language=language)
    assert message.subject
    return message.text
