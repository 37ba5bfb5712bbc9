"""Each query of the audit finds the violation that is planted for it, and nothing in an ordinary world.

Constraints are proven where the models are tested; here `test_every_constraint_exists` holds their names
against the database, and `test_every_named_test_exists` the tests.
"""

import datetime as dt
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from accounts.audit import invariants, run_audit
from accounts.events import SYSTEM, record
from accounts.ids import hash_token
from accounts.models import Account, ActivityDay, Notice, Suppression
from billing.dunning_rules import dunning_day
from billing.models import (
    DunningAttempt,
    DunningCase,
    Incoming,
    Instruction,
    Invoice,
    InvoiceLine,
    Payment,
    Plan,
    PlannedPrice,
    PriceChange,
    Refund,
    RefundMovement,
    Subscription,
    TrialExtension,
    TrialStep,
)
from offboarding.models import Cancellation, Closure, Erasure, ExitSurvey, Quote, Reservation

pytestmark = pytest.mark.django_db

HOURS_25 = dt.timedelta(hours=25)


def broken(at):
    return {finding.invariant.text for finding in run_audit(at=at) if finding.count}


def plant_gap(account, at):
    Account.objects.filter(pk=account.pk).update(event_count=99)


def plant_personal(account, at):
    event = record(account, "account.active", by=SYSTEM, at=at)
    type(event).objects.create(
        account_ref="x" * 26, seq=1, kind="x", actor="system", facts={"to": "a@b.example"}, at=at
    )


def plant_third_sending(account, at):
    Notice.objects.filter(status="sent").update(unanswered=2)


def one_sent(**columns):
    notice = Notice.objects.filter(status="sent").order_by("pk")[0]
    Notice.objects.filter(pk=notice.pk).update(**columns)
    notice.refresh_from_db()
    return notice


def plant_too_early(account, at):
    one_sent(window_from=at + HOURS_25, window_to=at + 2 * HOURS_25)


def plant_night_mail(account, at):
    zone = account.zone
    night = dt.datetime.combine(at.astimezone(zone).date(), dt.time(3), zone)
    one_sent(kind="leaving_last_step", sent_at=night, gentle_day=night.date())


def plant_stale_word(account, at):
    said = one_sent(kind="payment_failed", subject="invoice:x", window_from=at - HOURS_25, sent_at=at)
    said.pk = None
    said.period, said.window_from, said.sent_at = "newer", at - HOURS_25 / 2, at - HOURS_25 / 2
    said.save()


def plant_unsent(account, at):
    Notice.objects.filter(status="sent").update(
        status="owed", window_from=at - HOURS_25, window_to=at - HOURS_25
    )


def plant_suppressed(account, at):
    address = Notice.objects.filter(status="sent").first().user.email
    Suppression.objects.create(address_hash=hash_token(address), reason="bounce", at=at - HOURS_25)


def plant_erased(account, at):
    Notice.objects.filter(status="sent").update(status="owed", sent_at=None)
    Account.objects.filter(pk=account.pk).update(state="erased", closed_at=at)


def plant_declaration_alone(account, at):
    Notice.objects.filter(kind="leaving_received").delete()


def plant_not_passed_on(account, at):
    Cancellation.objects.update(status="received", scheduled_at=None, declared_at=at - HOURS_25)


def plant_overdue(account, at):
    Cancellation.objects.update(effective_at=at - HOURS_25)


def plant_late_charge(account, at):
    RefundMovement.objects.all().delete()
    Refund.objects.all().delete()
    Cancellation.objects.update(
        declared_at=at - dt.timedelta(days=400), billing_ends_at=at - dt.timedelta(days=390)
    )
    InvoiceLine.objects.update(is_proration=False)


def plant_collecting(account, at):
    Invoice.objects.update(status="open", next_attempt_at=at)


def plant_ignorant_provider(account, at):
    Subscription.objects.exclude(provider_id=None).update(cancel_at=None, synced_at=at + HOURS_25)


def plant_not_undone(account, at):
    Cancellation.objects.update(status="withdrawn", withdrawn_at=at - HOURS_25)


def plant_early_question(account, at):
    ExitSurvey.objects.create(cancellation=Cancellation.objects.get(), answered_at=at - HOURS_25)


def plant_other_status(account, at):
    Cancellation.objects.update(status="withdrawn", withdrawn_at=at)


def plant_late_measure(account, at):
    Quote.objects.update(measured_at=at + HOURS_25)


def plant_other_amount(account, at):
    Refund.objects.update(amount=1, tax=0)


def plant_unreserved(account, at):
    cancellation = Cancellation.objects.get()
    Reservation.objects.create(
        cancellation=cancellation,
        quote=cancellation.quote,
        amount=1,
        currency="EUR",
        free_until=at,
        deadline_at=at + dt.timedelta(days=14),
    )


def closing(account, at, **columns):
    defaults = {"data_until": at, "purge_on": at + HOURS_25, "created_at": at, "waived_retrieval": True}
    return Closure.objects.create(account=account, **(defaults | columns))


def plant_early_purge(account, at):
    closing(account, at, status="purging")
    Erasure.objects.create(account_ref=account.public_id, terms_version=1, due_on=at, started_at=at)


def plant_late_purge(account, at):
    closing(account, at, purge_on=at - HOURS_25)


def plant_unrecorded_purge(account, at):
    closing(account, at, status="purging")


def plant_reservation(account, at):
    Payment.objects.update(refund_reserved=1)


def plant_silence(account, at):
    Refund.objects.update(state="unknown", sent_at=at - HOURS_25)


def plant_unbooked(account, at):
    RefundMovement.objects.all().delete()


def plant_stranger(account, at):
    Refund.objects.update(currency="USD")


def plant_untold(account, at):
    Refund.objects.update(state="failed", failed_at=at)


def plant_old_key(account, at):
    row = Instruction.objects.filter(status="done").first()
    Instruction.objects.filter(pk=row.pk).update(
        status="sending", first_sent_at=at - HOURS_25, lease_until=at + HOURS_25
    )


def plant_stuck_outbox(account, at):
    row = Instruction.objects.filter(status="done").first()
    Instruction.objects.filter(pk=row.pk).update(status="pending", attempts=0, created_at=at - HOURS_25)


def plant_stuck_inbox(account, at):
    Incoming.objects.update(status="new", done_at=None, received_at=at - HOURS_25)


def plant_unreconciled(account, at):
    Subscription.objects.exclude(provider_id=None).update(synced_at=at - HOURS_25)


def chase(account, at, **columns):
    """An unpaid invoice of this account with its case, blocked since yesterday unless told otherwise."""
    invoice = Invoice.objects.filter(account=account).first()
    paid = columns.get("status") == "paid"
    Invoice.objects.filter(pk=invoice.pk).update(status="paid" if paid else "open", synced_at=at - HOURS_25)
    Account.objects.filter(pk=account.pk).update(state="frozen", access_ends_at=at - HOURS_25)
    defaults = {
        "terms": account.terms,
        "opened_at": at - 8 * HOURS_25,
        "told_at": at - 8 * HOURS_25,
        "block_at": at - HOURS_25,
        "end_at": at + HOURS_25,
        "blocked_at": at - HOURS_25,
        "next_at": None if paid else at + HOURS_25,
        "closed_at": at - HOURS_25 if paid else None,
    }
    mail = Notice.objects.filter(status="sent").first()
    Notice.objects.filter(pk=mail.pk).update(kind="payment_failed", created_at=at - 8 * HOURS_25)
    return DunningCase.objects.create(account=account, invoice=invoice, **(defaults | columns))


def plant_untold_block(account, at):
    chase(account, at)
    Notice.objects.update(created_at=at - 2 * HOURS_25)


def plant_paid_and_frozen(account, at):
    chase(account, at, status="paid")


def plant_paid_and_chased(account, at):
    case = chase(account, at)
    Invoice.objects.filter(pk=case.invoice_id).update(status="paid")


def plant_free_day(account, at):
    chase(account, at, blocked_at=None)
    Account.objects.filter(pk=account.pk).update(state="grace", access_ends_at=None)


def plant_two_steps(account, at):
    case = chase(account, at)
    day = dunning_day(case.blocked_at, account.time_zone)
    DunningAttempt.objects.create(case=case, at=case.blocked_at, day=day, outcome="declined")


def plant_early_block(account, at):
    chase(account, at, block_at=at + HOURS_25)


def plant_early_step(account, at):
    trial = Subscription.objects.filter(account=account).first()
    later = at + HOURS_25
    TrialStep.objects.create(subscription=trial, kind="end", due_at=later, window_to=later, done_at=at)


def plant_visitor(account, at):
    Account.objects.filter(pk=account.pk).update(state="frozen", access_ends_at=at - 3 * HOURS_25)
    ActivityDay.objects.create(account=account, day=at.date())


def plant_untold_deletion(account, at):
    closing(account, at, purge_on=at + HOURS_25 / 2)
    Notice.objects.update(created_at=at - HOURS_25)


def plant_provider_retry(account, at):
    case = chase(account, at)
    Invoice.objects.filter(pk=case.invoice_id).update(next_attempt_at=at + HOURS_25)


def plant_late_freeze(account, at):
    trial = Subscription.objects.filter(account=account).first()
    moment = at - HOURS_25
    TrialStep.objects.create(subscription=trial, kind="freeze", due_at=moment, window_to=moment)
    Account.objects.filter(pk=account.pk).update(state="grace")


def plant_frozen_payer(account, at):
    Account.objects.filter(pk=account.pk).update(state="frozen")
    Subscription.objects.exclude(provider_id=None).update(status="active")


def plant_frozen_free_plan(account, at):
    Account.objects.filter(pk=account.pk).update(state="frozen")
    Subscription.objects.filter(account=account).update(status="canceled", ended_at=at)
    plan = Plan.objects.create(code="gratis", amount=0, currency="EUR", name_en="Free", name_es="Gratis")
    Subscription.objects.create(account=account, plan=plan, status="active", started_at=at)


def plant_silent_freeze(account, at):
    record(account, "account.frozen", by=SYSTEM, at=at, reason="trial_over")


def extension(account, at, **columns):
    trial = Subscription.objects.filter(account=account).first()
    defaults = {"days": 1, "ends_before": at, "ends_after": at + HOURS_25, "via": "self", "created_at": at}
    return TrialExtension.objects.create(
        account=account, subscription=trial, reason="other", actor="customer", **(defaults | columns)
    )


def plant_long_extension(account, at):
    extension(account, at, days=99)


def plant_stale_extension(account, at):
    extension(account, at, via="staff", ends_before=at - 2 * HOURS_25, ends_after=at - HOURS_25)


def risen(account, at, **columns):
    """Our one paying subscription at a price that rose; `columns` say what is known of it."""
    row = Subscription.objects.filter(account=account).select_related("plan").first()
    plan = Plan.objects.create(
        code="dearer", amount=row.plan.amount + 100, currency="EUR", name_en="A", name_es="A",
        provider_price="price_dearer",
    )  # fmt: skip
    since = {"effective_from": at, "reason": "costs", "actor": "staff", "created_at": at}
    change = PriceChange.objects.create(from_plan=row.plan, to_plan=plan, **since)
    Subscription.objects.filter(pk=row.pk).update(
        plan=plan, status="active", ended_at=None, synced_at=at - HOURS_25
    )
    if columns:
        PlannedPrice.objects.create(
            change=change, account=account, subscription=row, amount_before=1, amount_after=2, currency="EUR",
            takes_at=at, created_at=at, **columns,
        )  # fmt: skip


def plant_untold_rise(account, at):
    risen(account, at, state="done", told_at=at - HOURS_25, set_at=at - HOURS_25, closed_at=at)


def plant_unplanned_rise(account, at):
    risen(account, at)


def plant_forgotten_price(account, at):
    risen(account, at, state="planned", next_at=at - HOURS_25)


PLANTED = {
    "nobody pays a rise untold": plant_untold_rise,
    "nobody pays a rise unplanned": plant_unplanned_rise,
    "planned prices are looked at": plant_forgotten_price,
    "nobody is blocked without a mail 3 days old": plant_untold_block,
    "nobody who paid is frozen": plant_paid_and_frozen,
    "a paid invoice stops dunning within a minute": plant_paid_and_chased,
    "late runs give no free days": plant_free_day,
    "no two dunning steps on one day": plant_two_steps,
    "nobody is blocked before the day that was told": plant_early_block,
    "no step of a trial comes early": plant_early_step,
    "nobody is let in whose access is off": plant_visitor,
    "nobody's data is deleted untold": plant_untold_deletion,
    "nobody retries beside us": plant_provider_retry,
    "what ends is off within the hour": plant_late_freeze,
    "nobody who pays is frozen": plant_frozen_payer,
    "a free plan is never frozen": plant_frozen_free_plan,
    "nobody is frozen untold": plant_silent_freeze,
    "a trial is longer within the terms": plant_long_extension,
    "more days are added to the later of the end and now": plant_stale_extension,
    "history has no gaps": plant_gap,
    "history holds no personal data": plant_personal,
    "each notice is sent at most once more": plant_third_sending,
    "a notice leaves inside its window or is flagged": plant_unsent,
    "no notice leaves outside its window": plant_too_early,
    "reminders come by day, on the day they took": plant_night_mail,
    "nothing stale is said after a newer word": plant_stale_word,
    "no mail to suppressed addresses": plant_suppressed,
    "no mail to erased accounts": plant_erased,
    "a declaration has its history and its mail": plant_declaration_alone,
    "scheduled or in the human queue within 15 minutes": plant_not_passed_on,
    "it takes effect on its date": plant_overdue,
    "nothing is charged after the end": plant_late_charge,
    "nobody who left is charged by us": plant_collecting,
    "the provider knows what is scheduled": plant_ignorant_provider,
    "what was taken back goes on": plant_not_undone,
    "nothing is asked before the receipt": plant_early_question,
    "status is the last line of the history": plant_other_status,
    "measured at the declaration": plant_late_measure,
    "executed is quoted is the rule": plant_other_amount,
    "a kept refund is the quote's and is reminded of twice": plant_unreserved,
    "nothing is deleted before its date": plant_early_purge,
    "what is due is deleted within a day": plant_late_purge,
    "the record comes before the first deletion": plant_unrecorded_purge,
    "what is reserved is what our refunds say": plant_reservation,
    "every refund that was sent is known within a day": plant_silence,
    "every refund that moved is in the books": plant_unbooked,
    "refunds go back to the account's own payment": plant_stranger,
    "a failed refund is told": plant_untold,
    "no key is used after a day": plant_old_key,
    "the outbox is done or seen within an hour": plant_stuck_outbox,
    "the inbox is done or seen within an hour": plant_stuck_inbox,
    "live subscriptions are compared with the provider daily": plant_unreconciled,
}


def test_an_ordinary_world_breaks_nothing(left, clock):
    assert broken(clock.now()) == set()


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_violation_is_found(left, clock, text):
    PLANTED[text](left, clock.now())

    assert text in broken(clock.now())


def test_every_query_has_its_planted_violation():
    assert {i.text for i in invariants() if i.find} == set(PLANTED)


def test_every_constraint_is_in_the_database():
    vendor = connection.vendor
    with connection.cursor() as cursor:
        if vendor == "postgresql":
            cursor.execute(
                "SELECT conname FROM pg_constraint UNION SELECT indexname FROM pg_indexes "
                "UNION SELECT tgname FROM pg_trigger"
            )
        else:
            cursor.execute("SELECT coalesce(sql, name) FROM sqlite_master")
        there = " ".join(row[0] for row in cursor.fetchall())

    assert [i.proof for i in invariants() if i.kind == "constraint" and i.proof not in there] == []


def test_every_named_test_exists():
    named = {i.proof for i in invariants() if i.kind == "test"}

    assert [path for path in named if not (Path(settings.BASE_DIR) / path).exists()] == []
