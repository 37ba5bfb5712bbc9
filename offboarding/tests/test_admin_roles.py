"""Who of the staff sees what, and that nobody edits what only a verb may change."""

import datetime as dt
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts import clock, notices
from accounts.calendar import what_comes_next
from accounts.models import Account, Terms, User
from accounts.tests.worlds import NOON, make_account, make_member, make_terms, make_user, owner_of
from billing.models import Instruction, Pause, Plan, Subscription
from offboarding.models import Closure, ExitReason
from offboarding.tests.test_reports import give_back, make_cancellation

pytestmark = pytest.mark.django_db

SUPPORT_ONLY = ["accounts_account", "offboarding_cancellation", "accounts_notice", "billing_instruction"]
FINANCE_ONLY = ["billing_refundmovement", "billing_invoice", "billing_payment"]


def make_staff(*roles: str, **columns: Any) -> User:
    """A member of staff in these roles."""
    user = make_user(is_staff=True, **columns)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def browser(*roles: str, **columns: Any) -> Client:
    client = Client()
    client.force_login(make_staff(*roles, **columns))
    return client


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The member of staff has just signed in."""
    monkeypatch.setattr("accounts.admin.base.is_fresh", lambda request: True)


def lists(client: Client, names: list[str]) -> list[int]:
    return [client.get(reverse(f"admin:{name}_changelist")).status_code for name in names]


def make_dead_letter(account: Account) -> Instruction:
    return Instruction.objects.create(
        account=account,
        kind="subscription",
        subject="subscription:sub_1",
        idempotency_key="gt-1",
        status="dead",
        attempts=1,
        error="No such subscription",
        next_attempt_at=NOON,
        created_at=NOON,
    )


def test_support_sees_accounts_and_not_the_books() -> None:
    support = browser("support")

    assert set(lists(support, SUPPORT_ONLY)) == {200}
    assert set(lists(support, FINANCE_ONLY)) == {403}
    assert support.get(reverse("admin:reports")).status_code == 403
    assert support.get(reverse("admin:report_download", args=["refunds"])).status_code == 403


def test_finance_sees_the_books_and_not_the_accounts() -> None:
    account = make_account()
    finance = browser("finance")

    assert set(lists(finance, FINANCE_ONLY)) == {200}
    assert set(lists(finance, SUPPORT_ONLY)) == {403}
    assert finance.get(reverse("admin:accounts_account_change", args=[account.pk])).status_code == 403


def test_staff_without_a_role_see_nothing() -> None:
    assert set(lists(browser(), SUPPORT_ONLY + FINANCE_ONLY)) == {403}


@pytest.mark.parametrize("role", ["support", "finance"])
def test_roles_neither_make_staff_nor_change_plans_and_terms(role: str) -> None:
    pages = ["accounts_user", "billing_plan", "accounts_terms"]

    assert set(lists(browser(role), pages)) == {403}


def test_the_menu_shows_what_one_may_open() -> None:
    support = browser("support").get(reverse("admin:index")).content.decode()
    finance = browser("finance").get(reverse("admin:index")).content.decode()

    assert reverse("admin:accounts_account_changelist") in support
    assert reverse("admin:reports") not in support
    assert reverse("admin:reports") in finance
    assert reverse("admin:accounts_account_changelist") not in finance


def test_every_list_and_every_row_opens_for_a_superuser(client: Client) -> None:
    account = make_account()
    give_back(make_cancellation(account, amount=100), 100)
    make_dead_letter(account)
    client.force_login(make_staff(is_superuser=True))
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert client.get(reverse(f"{name}_changelist")).status_code == 200, name
        row = page.get_queryset(None).first()  # type: ignore[arg-type]
        if row is not None:
            assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200, name


EDITABLE = {"accounts.terms", "accounts.user", "billing.plan", "offboarding.exitreason"}


def test_nobody_edits_adds_or_deletes_what_only_verbs_may_change(client: Client) -> None:
    account = make_account()
    cancellation = make_cancellation(account, amount=100)
    give_back(cancellation, 100)
    make_dead_letter(account)
    client.force_login(make_staff(is_superuser=True))
    tried = 0
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = page.get_queryset(None).first()  # type: ignore[arg-type]
        if model._meta.label_lower in EDITABLE or row is None:
            continue
        sent = {"status": "withdrawn", "state": "closed", "amount": "1"}
        answers = [
            client.post(reverse(f"{name}_change", args=[row.pk]), sent),
            client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}),
            client.post(reverse(f"{name}_add"), sent),
        ]
        tried += 1
        assert [answer.status_code for answer in answers] == [403, 403, 403], name
        assert (
            page.get_queryset(None).filter(pk=row.pk).values().get()
            == type(row)
            .objects.filter(  # type: ignore[arg-type, attr-defined]
                pk=row.pk
            )
            .values()
            .get()
        )
    cancellation.refresh_from_db()

    assert tried >= 5
    assert cancellation.status == "completed"


def test_a_published_version_of_the_terms_is_only_read(client: Client) -> None:
    terms = make_terms()
    client.force_login(make_staff(is_superuser=True))
    answer = client.post(reverse("admin:accounts_terms_change", args=[terms.pk]), {"free_days": "1"})

    assert answer.status_code == 403


def test_a_draft_is_made_edited_and_published_by_a_superuser(client: Client, fresh: None) -> None:
    make_terms()
    client.force_login(make_staff(is_superuser=True))
    client.post(reverse("admin:accounts_terms_draft"))
    draft = Terms.objects.get(version=2)
    page = client.get(reverse("admin:accounts_terms_change", args=[draft.pk]))
    form = page.context["adminform"].form
    sent = {name: form[name].value() for name in form.fields if name not in ("in_force_from",)}
    sent = {name: value for name, value in sent.items() if value is not None and value is not False}
    day = (draft.in_force_from + dt.timedelta(days=1)).date().isoformat()
    sent |= {"free_days": "21", "in_force_from_0": day, "in_force_from_1": "00:00:00"}
    client.post(reverse("admin:accounts_terms_change", args=[draft.pk]), sent)
    client.post(reverse("admin:accounts_terms_act", args=[draft.pk, "publish"]))
    draft.refresh_from_db()

    assert draft.free_days == 21
    assert draft.published_at is not None


def test_support_edits_the_exit_reasons_but_not_their_codes() -> None:
    reason = ExitReason.objects.create(code="other-tool", label_en="Other tool", label_es="Otra")
    url = reverse("admin:offboarding_exitreason_change", args=[reason.pk])
    sent = {"code": "new", "label_en": "Another tool", "label_es": "Otra", "offer": "call", "position": "7"}
    answer = browser("support").post(url, sent)
    reason.refresh_from_db()

    assert answer.status_code == 302
    assert (reason.code, reason.label_en, reason.offer) == ("other-tool", "Another tool", "call")


def test_a_plan_keeps_its_price_once_it_is_made(client: Client) -> None:
    plan = Plan.objects.create(
        code="pro", name_en="Pro", name_es="Pro", amount=2900, currency="EUR", provider_price="price_1"
    )
    client.force_login(make_staff(is_superuser=True))
    sent = {"name_en": "Pro+", "name_es": "Pro+", "trial_days": "0", "amount": "1"}
    answer = client.post(reverse("admin:billing_plan_change", args=[plan.pk]), sent)
    plan.refresh_from_db()

    assert answer.status_code == 302
    assert (plan.name_en, plan.amount) == ("Pro+", 2900)


def test_new_staff_get_no_password_from_anybody(client: Client) -> None:
    client.force_login(make_staff(is_superuser=True))
    page = client.get(reverse("admin:accounts_user_add")).content.decode()
    sent = {"email": "Ana@Example.com", "language": "es", "is_active": "on", "is_staff": "on"}
    sent["groups"] = str(Group.objects.get(name="support").pk)
    client.post(reverse("admin:accounts_user_add"), sent)
    made = User.objects.get(email="ana@example.com")

    assert 'type="password"' not in page
    assert not made.has_usable_password()
    assert made.has_perm("accounts.view_account")


def test_a_dead_letter_is_sent_again_or_given_up_by_support(fresh: None) -> None:
    letter = make_dead_letter(make_account())
    support = browser("support")
    page = support.get(reverse("admin:billing_instruction_change", args=[letter.pk])).content.decode()
    url = reverse("admin:billing_instruction_act", args=[letter.pk, "abandon"])
    without_reason = support.post(url)
    support.post(url, {"reason": "Done by hand"})
    letter.refresh_from_db()

    assert url in page
    assert without_reason.status_code == 200
    assert (letter.status, letter.closed_reason) == ("abandoned", "Done by hand")


def test_a_look_at_the_question_changes_nothing(fresh: None) -> None:
    letter = make_dead_letter(make_account())
    answer = browser("support").get(reverse("admin:billing_instruction_act", args=[letter.pk, "replay"]))
    letter.refresh_from_db()

    assert answer.status_code == 200
    assert letter.status == "dead"


def test_an_act_wants_a_fresh_sign_in() -> None:
    letter = make_dead_letter(make_account())
    answer = browser("support").post(reverse("admin:billing_instruction_act", args=[letter.pk, "replay"]))
    letter.refresh_from_db()

    assert answer.status_code == 302
    assert "/admin/" not in answer["Location"].partition("?next=")[0]
    assert letter.status == "dead"


def test_nobody_acts_on_an_account_of_their_own(fresh: None) -> None:
    staff = make_staff("support")
    letter = make_dead_letter(make_account(owner=staff))
    client = Client()
    client.force_login(staff)
    answer = client.post(reverse("admin:billing_instruction_act", args=[letter.pk, "replay"]))
    letter.refresh_from_db()

    assert answer.status_code == 403
    assert letter.status == "dead"


def test_lists_show_the_companys_hours(settings: Any) -> None:
    settings.COMPANY_TIME_ZONE = "Asia/Tokyo"
    make_dead_letter(make_account())
    html = browser("support").get(reverse("admin:billing_instruction_changelist")).content.decode()

    assert "11\u00a0Mar\u00a02026, 21:00" in html


def test_finance_may_not_touch_a_dead_letter() -> None:
    letter = make_dead_letter(make_account())
    answer = browser("finance").post(reverse("admin:billing_instruction_act", args=[letter.pk, "replay"]))

    assert answer.status_code == 403


@pytest.mark.parametrize("by", ["name", "address", "number", "receipt", "provider"])
def test_an_account_is_found_by_whatever_the_customer_has_at_hand(by: str) -> None:
    account, other = make_account(name="Ferretería Luna"), make_account(name="Otra")
    cancellation = make_cancellation(account, amount=100)
    give_back(cancellation, 100)
    make_member(other)
    refund = account.refunds.get()
    terms = {
        "name": "luna",
        "address": owner_of(account).email.upper(),
        "number": account.public_id,
        "receipt": cancellation.receipt_number.lower().replace("-", ""),
        "provider": str(refund.provider_id),
    }
    answer = browser("support").get(reverse("admin:accounts_account_changelist"), {"q": terms[by]})

    assert [row.pk for row in answer.context["cl"].result_list] == [account.pk]


def test_the_accounts_page_says_everything_in_few_queries(django_assert_max_num_queries: Any) -> None:
    account = make_account(name="Ferretería Luna")
    cancellation = make_cancellation(account, amount=2900)
    give_back(cancellation, 2900)
    make_dead_letter(account)
    make_subscription(account, clock.now(), clock.now() + dt.timedelta(days=9))
    support = browser("support")
    url = reverse("admin:accounts_account_change", args=[account.pk])
    support.get(url)
    with django_assert_max_num_queries(
        18
    ):  # three of them ask what can be offered: a hold, more trial, another
        html = support.get(url).content.decode()

    assert cancellation.receipt_number in html
    assert "€29.00" in html
    assert owner_of(account).email in html
    assert reverse("admin:call_leave", args=[account.public_id]) in html


def make_subscription(account: Account, start: dt.datetime, end: dt.datetime) -> Subscription:
    """29.00 EUR a month, billed by the provider."""
    plan = Plan.objects.create(
        code="pro", name_en="Pro", name_es="Pro", amount=2900, currency="EUR", provider_price="price_1"
    )
    return Subscription.objects.create(
        account=account, plan=plan, status="active", provider_id="sub_1", started_at=start, period_end=end
    )


def test_support_sees_coming_what_the_customer_sees_coming() -> None:
    account = make_account()
    make_cancellation(account, status="scheduled", scheduled_at=NOON, completed_at=None, confirmed_at=None)
    now = clock.now()
    soon = now + dt.timedelta(days=9)
    subscription = make_subscription(account, now, soon)
    Pause.objects.create(
        subscription=subscription,
        starts_at=soon - dt.timedelta(hours=1),
        resumes_at=soon + dt.timedelta(days=30),
        created_at=now,
    )
    Closure.objects.create(
        account=account, data_until=soon, purge_on=soon + dt.timedelta(days=99), created_at=now
    )
    notices.owe(account, "welcome", to=[owner_of(account)], period="x", at=now, window_from=soon)
    page = browser("support").get(reverse("admin:accounts_account_change", args=[account.pk]))
    [ours] = [part["context"]["ahead"] for part in page.context["aside"] if "coming" in part["section"].code]
    theirs = what_comes_next(account, account.members.get(), at=now)

    assert [(entry.at, str(entry.text)) for entry in ours] == [
        (entry.at, str(entry.text)) for entry in theirs
    ]
    assert len(ours) >= 4


def test_a_list_counts_no_further_than_anyone_pages(
    django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.admin.base.COUNTED", 3)
    for _ in range(5):
        make_account()
    support = browser("support")
    support.get(reverse("admin:accounts_account_changelist"))
    with django_assert_max_num_queries(15):
        answer = support.get(reverse("admin:accounts_account_changelist"))

    assert answer.context["cl"].result_count == 3


def test_reports_show_totals_and_stream_a_file() -> None:
    finance = browser("finance")
    days = {"first": "2026-03-01", "last": "2026-03-31", "part": "rows", "excel": "on"}
    make_cancellation(amount=2900)
    page = finance.get(reverse("admin:reports"), days).content.decode()
    answer = finance.get(reverse("admin:report_download", args=["cancellations"]), days)
    text = b"".join(answer).decode("utf-8-sig")

    assert "completed" in page
    assert answer.streaming
    assert answer["Content-Disposition"] == 'attachment; filename="cancellations-2026-03-01-2026-03-31.csv"'
    assert text.startswith("date,declared,receipt")
    assert text.count("\n") == 2


def test_days_the_wrong_way_round_are_said_and_not_downloaded() -> None:
    days = {"first": "2026-03-31", "last": "2026-03-01"}
    answer = browser("finance").get(reverse("admin:report_download", args=["refunds"]), days)

    assert "The last day is before the first." in answer.content.decode()


def test_a_new_installation_says_what_it_lacks_and_makes_its_first_terms(client: Client, fresh: None) -> None:
    Plan.objects.all().delete()
    client.force_login(make_staff(is_superuser=True))
    lacks = [str(words) for words, _url in client.get(reverse("admin:index")).context["missing"]]
    made = client.post(reverse("admin:accounts_terms_draft"))
    first = Terms.objects.get()
    act = reverse("admin:accounts_terms_act", args=[first.pk, "publish"])
    client.post(act)

    assert lacks == ["Publish the first terms", "Make the plans that you sell"]
    assert made["Location"] == reverse("admin:accounts_terms_change", args=[first.pk])
    assert Terms.objects.in_force(clock.now()).version == 1
    assert browser("support").get(reverse("admin:index")).context["missing"] == []
    left = client.get(reverse("admin:index")).context["missing"]
    assert [str(words) for words, _url in left] == ["Make the plans that you sell"]


def test_the_mirror_names_an_invoice_by_its_number_and_shows_what_stripe_sent() -> None:
    sent = {"number": "8E4C-0001", "amount_due": 2900, "amount_paid": 2900, "currency": "eur"}
    mirror = {name: apps.get_model("djstripe", name).objects for name in ("Customer", "Invoice")}
    columns = {"livemode": False, "created": NOON, "stripe_data": sent}
    customer = mirror["Customer"].create(id="cus_mirrored", **columns)
    row = mirror["Invoice"].create(id="in_mirrored", customer=customer, **columns)
    page = browser("support").get(reverse("admin:djstripe_invoice_change", args=[row.pk])).content.decode()

    assert "2,900" in str(row), "dj-stripe takes cents for euros"
    assert "2,900" not in page
    assert "in_mirrored" in page
    assert "&quot;amount_due&quot;: 2900" in page
