"""What the database itself refuses: one planted violation for each constraint that the audit relies on."""

import datetime as dt

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models import F, UniqueConstraint

from accounts.audit import invariants
from accounts.models import Event, Notice
from accounts.tests.worlds import make_account
from billing.models import (
    DunningAttempt,
    DunningCase,
    Instruction,
    Invoice,
    Payment,
    PlannedPrice,
    PriceChange,
    Refund,
    Subscription,
    TrialExtension,
)
from billing.tests.trial_worlds import make_local_plan
from offboarding.models import Cancellation, Closure, Reservation

pytestmark = pytest.mark.django_db


def again(row, **changes):
    """A copy of a row with these changes, inserted."""
    row.pk = None
    row._state.adding = True
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(force_insert=True)


def second_open_cancellation(at):
    again(
        Cancellation.objects.get(),
        account=make_account(),  # one and the same would be refused for itself
        public_id="c" * 26,
        receipt_number="AAAA-AAAA-AAAA",
        receipt_hash="r",
        undo_hash="u",
    )


def change_of_history(at):
    Event.objects.update(kind="account.opened")


def second_notice(at):
    again(Notice.objects.filter(kind="leaving_received").first())


def second_reminder_of_a_day(at):
    row = Notice.objects.filter(kind="leaving_received").first()
    Notice.objects.filter(pk=row.pk).update(gentle_day=at.date())
    again(row, period="another", gentle_day=at.date())


def second_in_flight(at):
    row = Instruction.objects.filter(kind="refund").get()
    Instruction.objects.filter(pk=row.pk).update(status="sending")
    again(row, public_id="i" * 26, version=2, idempotency_key="another", status="unknown", done_at=None)


def more_than_the_payment(at):
    Payment.objects.update(refund_reserved=F("amount") + 1)


def second_living_refund(at):
    again(Refund.objects.get(), public_id="f" * 26, provider_id="re_other")


def short_claim(at):
    cancellation = Cancellation.objects.get()
    Reservation.objects.create(
        cancellation=cancellation,
        quote=cancellation.quote,
        amount=1,
        currency="EUR",
        free_until=at,
        deadline_at=at + dt.timedelta(days=13),
    )


def early_purge(at):
    account = Cancellation.objects.get().account
    Closure.objects.create(account=account, data_until=at, purge_on=at - dt.timedelta(days=1), created_at=at)


def extension_by_nobody(at):
    subscription = Subscription.objects.get()
    TrialExtension.objects.create(
        account=subscription.account,
        subscription=subscription,
        days=1,
        ends_before=at,
        ends_after=at + dt.timedelta(days=1),
        via="staff",
        created_at=at,
    )


def change_of_price(at, reason="costs"):
    plan = Subscription.objects.get().plan
    dearer = make_local_plan(amount=plan.amount + 100)
    return PriceChange.objects.create(
        from_plan=plan, to_plan=dearer, effective_from=at, reason=reason, actor="staff", created_at=at
    )


def rise_for_no_reason(at):
    change_of_price(at, reason="")


def rise_of_which_nobody_was_told(at):
    change, subscription = change_of_price(at), Subscription.objects.get()
    PlannedPrice.objects.create(
        change=change,
        account=subscription.account,
        subscription=subscription,
        amount_before=change.from_plan.amount,
        amount_after=change.to_plan.amount,
        currency="EUR",
        takes_at=at,
        state="set",
        next_at=at,
        created_at=at,
    )


def second_attempt_of_a_day(at):
    invoice = Invoice.objects.get()
    case = DunningCase.objects.create(
        account=invoice.account,
        invoice=invoice,
        terms=invoice.account.terms,
        status="paid",
        opened_at=at,
        told_at=at,
        block_at=at,
        end_at=at,
        closed_at=at,
    )
    for _twice in range(2):
        DunningAttempt.objects.create(case=case, at=at, day=at.date())


PLANTED = {
    "dunning_one_attempt_a_day": second_attempt_of_a_day,
    "trial_extension_has_actor_and_reason": extension_by_nobody,
    "cancellation_one_open_per_subscription": second_open_cancellation,
    "event_append_only": change_of_history,
    "notice_owed_once": second_notice,
    "notice_one_reminder_a_day": second_reminder_of_a_day,
    "instruction_one_in_flight": second_in_flight,
    "payment_refunds_fit": more_than_the_payment,
    "refund_one_alive_per_reason": second_living_refund,
    "reservation_at_least_14_days": short_claim,
    "closure_after_retrieval": early_purge,
    "price_change_has_actor_and_reason": rise_for_no_reason,
    "planned_price_rise_was_told": rise_of_which_nobody_was_told,
}


#: A trigger, which no model knows; its words are the same in both databases.
TRIGGERS = {"event_append_only": "The history is append-only."}


def words_of(name):
    """How the refusal by this constraint ends: its name, or on SQLite the columns that are unique."""
    if name in TRIGGERS:
        return TRIGGERS[name]
    [(model, found)] = [
        (model, one) for model in apps.get_models() for one in model._meta.constraints if one.name == name
    ]
    if connection.vendor == "postgresql":
        return f'constraint "{name}"'
    if not isinstance(found, UniqueConstraint):
        return f"CHECK constraint failed: {name}"
    columns = [model._meta.get_field(field).column for field in found.fields]
    return "UNIQUE constraint failed: " + ", ".join(f"{model._meta.db_table}.{one}" for one in columns)


@pytest.mark.parametrize("name", PLANTED)
def test_the_database_refuses(left, clock, name):
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        PLANTED[name](clock.now())

    assert str(refused.value).partition("\n")[0].endswith(words_of(name))


def test_every_constraint_of_the_audit_is_planted():
    assert {i.proof for i in invariants() if i.kind == "constraint"} == set(PLANTED)
