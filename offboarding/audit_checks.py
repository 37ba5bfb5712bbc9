"""What must hold of leaving and of the data of who left."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import Exists, F, OuterRef, Q, Sum

from accounts.audit import Invariant, refs, register
from accounts.models import Account, Event, Member, Notice
from billing.models import Instruction, Invoice, Payment, Refund
from offboarding.models import Cancellation, Closure, Erasure, ExitSurvey, Offer, Reservation
from offboarding.quotes import is_faithful
from offboarding.retention import SOON

QUARTER = dt.timedelta(minutes=15)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
#: The mails that say when data is deleted.
TELLING = (SOON, "leaving_received", "trial_farewell")
STATUS_EVENTS = {f"cancellation.{status}": status for status in Cancellation.Status.values}


def declared_without_proof(at: dt.datetime) -> Iterable[str]:
    """Declarations without their line in the history or without any mail owed for them."""
    known = set(Event.objects.filter(kind="cancellation.received").values_list("subject", flat=True))
    told = set(Notice.objects.filter(kind="leaving_received").values_list("subject", flat=True))
    # An erasure under way waits for the provider between its steps; the mails may be gone already.
    going = Closure.objects.filter(status=Closure.Status.PURGING).values("account_id")
    rows = Cancellation.objects.exclude(account__state="erased").exclude(account_id__in=going)
    for row in rows.only("public_id").iterator():
        if row.ref not in known or row.ref not in told:
            yield row.ref


def not_passed_on(at: dt.datetime) -> Iterable[str]:
    """Received a quarter of an hour ago, not scheduled, and in nobody's queue."""
    seen = Instruction.objects.needing_a_person(at).values("account_id")
    rows = Cancellation.objects.filter(status="received", declared_at__lt=at - QUARTER).exclude(
        account_id__in=seen
    )
    return refs(rows.values_list("public_id", flat=True), "cancellation")


def overdue(at: dt.datetime) -> Iterable[str]:
    """Open although their last moment of access has passed."""
    rows = Cancellation.objects.due(at - QUARTER)
    return refs(rows.values_list("public_id", flat=True), "cancellation")


def charged_after_the_end(at: dt.datetime) -> Iterable[str]:
    """Payments for a period after the confirmed end that no refund answers."""
    answered = Refund.objects.alive().values("payment_id")
    rows = (
        Payment.objects.filter(
            invoice__subscription__cancellations__status__in=("received", "scheduled", "completed"),
            invoice__subscription__cancellations__billing_ends_at__lte=F("invoice__lines__starts_at"),
            invoice__subscription__cancellations__declared_at__lt=F("paid_at"),
            invoice__lines__is_proration=False,
        )
        .exclude(pk__in=answered)
        .distinct()
    )
    return refs(rows.values_list("charge_id", flat=True), "payment")


def still_collecting(at: dt.datetime) -> Iterable[str]:
    """Open invoices of someone who left on which the provider still wants to try."""
    left = Cancellation.objects.filter(status__in=("scheduled", "completed")).values("subscription_id")
    rows = Invoice.objects.unpaid().filter(subscription_id__in=left).exclude(next_attempt_at=None)
    return refs(rows.values_list("provider_id", flat=True), "invoice")


def provider_does_not_know(at: dt.datetime) -> Iterable[str]:
    """Scheduled here, read from the provider since, and set to renew there."""
    rows = Cancellation.objects.filter(
        status="scheduled",
        subscription__provider_id__isnull=False,
        subscription__cancel_at=None,
        subscription__synced_at__gt=F("scheduled_at"),
        subscription__status__in=("active", "trialing", "past_due"),
    )
    return refs(rows.values_list("public_id", flat=True), "cancellation")


def undone_but_ending(at: dt.datetime) -> Iterable[str]:
    """Taken back a quarter of an hour ago, and still set to end at the provider with nothing on its way."""
    going = Instruction.objects.open().values("account_id")
    newer = Cancellation.objects.open().values("subscription_id")
    rows = (
        Cancellation.objects.filter(
            status="withdrawn",
            withdrawn_at__lt=at - QUARTER,
            subscription__cancel_at__isnull=False,
            subscription__status__in=("active", "trialing"),
            subscription__provider_id__isnull=False,
        )
        .exclude(account_id__in=going)
        .exclude(subscription_id__in=newer)
    )
    return refs(rows.values_list("public_id", flat=True), "cancellation")


def asked_before_receipt(at: dt.datetime) -> Iterable[str]:
    """Answers or offers older than the declaration they belong to."""
    yield from refs(
        ExitSurvey.objects.filter(answered_at__lt=F("cancellation__declared_at")).values_list(
            "pk", flat=True
        ),
        "survey",
    )
    yield from refs(
        Offer.objects.filter(shown_at__lt=F("cancellation__declared_at")).values_list("pk", flat=True),
        "offer",
    )


def status_not_in_history(at: dt.datetime) -> Iterable[str]:
    """Cancellations whose status is not what the history says last."""
    told = Event.objects.filter(kind__in=STATUS_EVENTS).order_by("account_ref", "seq")
    last = {subject: STATUS_EVENTS[kind] for subject, kind in told.values_list("subject", "kind").iterator()}
    for cancellation in Cancellation.objects.only("public_id", "status").iterator():
        if last.get(cancellation.ref) != cancellation.status:
            yield cancellation.ref


def measured_late(at: dt.datetime) -> Iterable[str]:
    """Quotes measured after the declaration they belong to: waiting must cost nothing."""
    rows = Cancellation.objects.filter(quote__measured_at__gt=F("declared_at"))
    return refs(rows.values_list("public_id", flat=True), "cancellation")


def not_as_quoted(at: dt.datetime) -> Iterable[str]:
    """Confirmed endings whose refunds are not the quote's, or whose quote is not what the rule gives."""
    refunds = Refund.objects.filter(reason_ref__startswith="cancellation:").order_by()
    paid = dict(refunds.values_list("reason_ref").annotate(total=Sum("amount")))
    kept = set(Reservation.objects.exclude(status="claimed").values_list("cancellation_id", flat=True))
    rows = Cancellation.objects.exclude(confirmed_at=None).select_related("quote__terms")
    for row in rows.iterator():
        promised = 0 if row.pk in kept else row.quote.amount
        if not is_faithful(row.quote) or paid.get(row.ref, 0) != promised:
            yield row.ref


def reservations_without_reminders(at: dt.datetime) -> Iterable[str]:
    """Kept refunds that are not what was quoted, or of which the customer will not be reminded twice."""
    owed: dict[str, set[str]] = {}
    reminders = (
        Notice.objects.filter(kind="refund_claim_reminder").values_list("subject", "period").distinct()
    )
    for subject, period in reminders.iterator():
        owed.setdefault(subject, set()).add(period)
    rows = Reservation.objects.exclude(cancellation__account__state="erased").select_related(
        "quote", "cancellation"
    )
    for row in rows.iterator():
        is_told = not row.amount or len(owed.get(row.cancellation.ref, ())) >= 2
        if row.amount != row.quote.amount + row.quote.credit or not is_told:
            yield f"reservation:{row.pk}"


def purged_early(at: dt.datetime) -> Iterable[str]:
    """Deletions that began before their date."""
    begun = dict(Erasure.objects.values_list("account_ref", "started_at"))
    rows = Closure.objects.filter(status__in=("purging", "done")).select_related("account")
    return (
        f"closure:{row.pk}"
        for row in rows.iterator()
        if (started := begun.get(row.account.public_id)) is not None and started < row.purge_on
    )


def deleted_untold(at: dt.datetime) -> Iterable[str]:
    """About to be deleted without a mail of three days before, that was sent or could not be (T2)."""
    by_then = OuterRef("purge_on") - 3 * DAY + HOUR
    mails = Notice.objects.filter(account=OuterRef("account"), kind__in=TELLING, created_at__lte=by_then)
    told = mails.exclude(status="owed", attempts=0)
    readers = Member.objects.payers().filter(account=OuterRef("account"))
    rows = Closure.objects.filter(status="scheduled", purge_on__lte=at + DAY)
    rows = rows.filter(Exists(readers)).exclude(Exists(told))
    return refs(rows.values_list("pk", flat=True), "closure")


def purge_overdue(at: dt.datetime) -> Iterable[str]:
    """Due for a day and not deleted."""
    return refs(Closure.objects.due(at - DAY).values_list("pk", flat=True), "closure")


def erased_without_record(at: dt.datetime) -> Iterable[str]:
    """Accounts being or having been erased without the record that is written first."""
    rows = Account.objects.filter(Q(state="erased") | Q(closures__status__in=("purging", "done")))
    missing = rows.exclude(public_id__in=Erasure.objects.values("account_ref")).distinct()
    return refs(missing.values_list("public_id", flat=True), "account")


def register_invariants() -> None:
    """Called from `AppConfig.ready`."""
    register(
        Invariant(
            code="C1",
            kind="query",
            text="a declaration has its history and its mail",
            find=declared_without_proof,
        ),
        Invariant(
            code="C1",
            kind="test",
            text="declaration, receipt and notice are one transaction",
            proof="offboarding/tests/test_declaration.py",
        ),
        Invariant(
            code="C2",
            kind="constraint",
            text="one open cancellation per subscription",
            proof="cancellation_one_open_per_subscription",
        ),
        Invariant(
            code="C3",
            kind="query",
            text="scheduled or in the human queue within 15 minutes",
            find=not_passed_on,
        ),
        Invariant(code="C4", kind="query", text="it takes effect on its date", find=overdue),
        Invariant(
            code="C5", kind="query", text="nothing is charged after the end", find=charged_after_the_end
        ),
        Invariant(code="C6", kind="query", text="nobody who left is charged by us", find=still_collecting),
        Invariant(
            code="C7", kind="query", text="the provider knows what is scheduled", find=provider_does_not_know
        ),
        Invariant(code="C8", kind="query", text="what was taken back goes on", find=undone_but_ending),
        Invariant(
            code="C9", kind="query", text="nothing is asked before the receipt", find=asked_before_receipt
        ),
        Invariant(
            code="C10",
            kind="query",
            text="status is the last line of the history",
            find=status_not_in_history,
        ),
        Invariant(code="C11", kind="query", text="measured at the declaration", find=measured_late),
        Invariant(code="R4", kind="query", text="executed is quoted is the rule", find=not_as_quoted),
        Invariant(
            code="R9",
            kind="query",
            text="a kept refund is the quote's and is reminded of twice",
            find=reservations_without_reminders,
        ),
        Invariant(
            code="R9",
            kind="constraint",
            text="a kept refund can be claimed for 14 days at least",
            proof="reservation_at_least_14_days",
        ),
        Invariant(code="T2", kind="query", text="nobody's data is deleted untold", find=deleted_untold),
        Invariant(code="D1", kind="query", text="nothing is deleted before its date", find=purged_early),
        Invariant(
            code="D1",
            kind="constraint",
            text="nothing is deleted while it can be fetched",
            proof="closure_after_retrieval",
        ),
        Invariant(code="D2", kind="query", text="what is due is deleted within a day", find=purge_overdue),
        Invariant(
            code="D3",
            kind="test",
            text="every field is classified",
            proof="offboarding/tests/test_deletion_map.py",
        ),
        Invariant(
            code="D4",
            kind="query",
            text="the record comes before the first deletion",
            find=erased_without_record,
        ),
    )
