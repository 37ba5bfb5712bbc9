"""What the database itself refuses: one test for each constraint and each append-only table."""

import datetime as dt

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.errors import WrongState
from accounts.events import SYSTEM, record
from accounts.ids import new_id, new_receipt_number
from accounts.models import (
    Acceptance,
    Account,
    ActivityDay,
    Event,
    Hold,
    Invitation,
    JobRun,
    JobSwitch,
    Member,
    Notice,
    Suppression,
    Terms,
    TermsText,
    User,
    WebhookDelivery,
    WebhookEndpoint,
)
from accounts.states import move_account
from accounts.tests.worlds import LONG_AGO, NOON, make_account, make_member, make_terms, make_user, owner_of

pytestmark = pytest.mark.django_db


def notice(**columns):
    account = columns.pop("account", None) or make_account()
    defaults = {
        "account": account,
        "user": owner_of(account),
        "recipient": "r",
        "kind": "k",
        "period": "p",
        "window_from": NOON,
        "window_to": NOON,
        "next_attempt_at": NOON,
        "created_at": NOON,
    }
    return Notice(**(defaults | columns))


def twice(make):
    """The second of two equal rows, the first being saved."""
    make().save()
    return make()


def two_seats():
    account, user = make_account(), make_user()
    return twice(lambda: Member(account=account, user=user, role="member", joined_at=NOON))


def two_invitations():
    account = make_account()
    return twice(lambda: Invitation(account=account, email="a@b.c", created_at=NOON, expires_at=NOON))


def two_acceptances():
    account = make_account()
    return twice(
        lambda: Acceptance(
            account=account, terms=account.terms, accepted_at=NOON, language="en", text_hash="h"
        )
    )


def two_texts():
    terms = make_terms()
    return twice(lambda: TermsText(terms=terms, text_hash="h", language="en", text="words"))


def two_notices():
    account = make_account()
    return twice(lambda: notice(account=account))


def two_reminders():
    """The second one takes the day of the first."""
    account, today = make_account(), NOON.date()
    notice(account=account, gentle_day=today).save()
    return notice(account=account, gentle_day=today, period="q")


def two_days():
    account = make_account()
    return twice(lambda: ActivityDay(account=account, day=NOON.date()))


def delivery(**columns):
    endpoint = WebhookEndpoint.objects.create(url="https://a.example/", secret="whsec_", created_at=NOON)
    return WebhookDelivery(endpoint=endpoint, next_attempt_at=NOON, created_at=NOON, **columns)


def terms(**columns):
    return Terms(version=5, in_force_from=NOON, **columns)


def changed(row, **columns):
    for name, value in columns.items():
        setattr(row, name, value)
    return row


REFUSED = {
    "account_state_known": lambda: changed(make_account(), state="odd"),
    "account_closed_has_date": lambda: changed(make_account(), state="closed"),
    "member_once": two_seats,
    "member_role_known": lambda: changed(make_member(make_account()), role="god"),
    "invitation_open_once": two_invitations,
    "acceptance_once": two_acceptances,
    "notice_owed_once": two_notices,
    "notice_window": lambda: notice(window_to=NOON - dt.timedelta(seconds=1)),
    "notice_sent_has_date": lambda: notice(status="sent"),
    "notice_end_has_reason": lambda: notice(status="failed"),
    "notice_one_reminder_a_day": two_reminders,
    "notice_has_recipient": lambda: notice(user=None),
    "terms_retention_covers_retrieval": lambda: terms(retrieval_days=60, retention_days=59),
    "terms_retrieval_at_least_30_days": lambda: terms(retrieval_days=29),
    "terms_team_hold_at_least_72_hours": lambda: terms(team_hold_hours=71),
    "terms_claim_at_least_14_days": lambda: terms(free_days_claim_days=13),
    "terms_trial_grace": lambda: terms(trial_grace_days=10),
    "hold_has_an_end": lambda: Hold(
        account=make_account(), reason="promise", starts_at=NOON, ends_at=LONG_AGO, created_at=NOON
    ),
    "event_gap_free": lambda: twice(lambda: Event(account_ref="a", seq=1, kind="k", actor="system", at=NOON)),
    "job_switch_has_reason": lambda: JobSwitch(name="j", is_off=True, actor="staff", at=NOON),
    "activity_day_once": two_days,
    "delivery_done_has_date": lambda: delivery(status="done"),
    "job_slot_once": lambda: twice(lambda: JobRun(name="j", slot=NOON, started_at=NOON)),
}
#: Columns that are unique by themselves.
UNIQUE = {
    "address": lambda: twice(lambda: User(email="a@b.c")),
    "address hash": lambda: twice(lambda: Suppression(address_hash="h", reason="bounce", at=NOON)),
    "text hash": two_texts,
    "version": lambda: twice(lambda: terms()),
}


def test_every_constraint_of_this_app_has_its_test():
    from django.apps import apps

    declared = {
        constraint.name
        for model in apps.get_app_config("accounts").get_models()
        for constraint in model._meta.constraints
    }

    assert declared == set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_the_database_refuses(name):
    row = REFUSED[name]()

    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


@pytest.mark.parametrize("name", UNIQUE)
def test_the_database_refuses_a_second(name):
    row = UNIQUE[name]()

    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


@pytest.mark.parametrize("change", [lambda row: row.delete(), lambda row: changed(row, kind="x").save()])
def test_the_database_keeps_the_history_as_it_was(change):
    event = record(make_account(), "account.opened", by=SYSTEM, at=NOON)

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        change(event)


def test_the_history_has_no_gap_even_when_transactions_fail():
    account = make_account()
    for number in range(5):
        with transaction.atomic():
            record(account, f"test.{number}", by=SYSTEM, at=NOON)
            transaction.set_rollback(number % 2 == 1)

    assert list(Event.objects.values_list("seq", flat=True)) == [1, 2, 3]
    account.refresh_from_db()
    assert account.event_count == 3


def test_the_history_outlives_its_account():
    account = make_account()
    record(account, "account.opened", by=SYSTEM, at=NOON)
    account.delete()

    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    "fact", ["Ana Ruiz", "ana@example.com", 1.5, {"a": 1}, ["Ana Ruiz"], "x" * 81, object()]
)
def test_the_history_takes_no_free_text(fact):
    with pytest.raises(ValueError, match="history"):
        record(make_account(), "account.opened", by=SYSTEM, at=NOON, note=fact)


@pytest.mark.parametrize("fact", [None, True, 12, "2026-03-11T12:00:00+00:00", "ES", ["name", "language"]])
def test_the_history_takes_codes_amounts_and_times(fact):
    event = record(make_account(), "account.opened", by=SYSTEM, at=NOON, fact=fact)

    assert Event.objects.get(pk=event.pk).facts == {"fact": fact}


@pytest.mark.parametrize("state", Account.State.values)
@pytest.mark.parametrize("target", Account.State.values)
def test_an_account_moves_only_where_the_table_says(state, target):
    closed_at = NOON if state in ("closed", "erased") else None
    account = make_account(state=state, closed_at=closed_at)
    if target in Account.MOVES[state]:
        move_account(account, target, by=SYSTEM, at=NOON, reason="test")
        account.refresh_from_db()

        assert account.state == target
        assert Event.objects.get().kind == f"account.{target}"
    else:
        with pytest.raises(WrongState):
            move_account(account, target, by=SYSTEM, at=NOON, reason="test")
        assert not Event.objects.exists()


def test_a_move_that_someone_else_made_first_is_refused():
    account = make_account()
    stale = Account.objects.get(pk=account.pk)
    move_account(account, "frozen", by=SYSTEM, at=NOON, reason="test")

    with pytest.raises(WrongState):
        move_account(stale, "closed", by=SYSTEM, at=NOON, reason="test")
    assert Event.objects.count() == 1


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", "../etc/passwd", "europe/madrid "])
def test_a_time_zone_that_nobody_knows_is_refused(zone):
    account = changed(make_account(), time_zone=zone)

    with pytest.raises(ValidationError) as refused:
        account.full_clean()
    assert list(refused.value.message_dict) == ["time_zone"]


def test_addresses_are_one_person_in_any_case():
    user = User.objects.create_user(" Ana@Example.com ")

    assert user.email == "ana@example.com"
    assert User.objects.get_by_natural_key("ANA@example.com") == user
    assert not user.has_usable_password()


def test_ids_are_long_enough_not_to_be_guessed():
    ids = {new_id() for _ in range(500)}

    assert len(ids) == 500
    assert {len(found) for found in ids} == {26}
    assert all(set(number) <= set("23456789ABCDEFGHJKMNPQRSTVWXYZ-") for number in [new_receipt_number()])


def test_who_belongs_to_an_account_is_asked_at_the_row_not_at_the_pair():
    """A former member of one account who is in another one sees that other one only."""
    first, second, user = make_account(), make_account(), make_user()
    make_member(first, user=user, left_at=NOON)
    make_member(second, user=user, joined_at=LONG_AGO)

    assert list(Account.objects.of(user)) == [second]
    assert [seat.account for seat in Member.objects.of(user)] == [second]
