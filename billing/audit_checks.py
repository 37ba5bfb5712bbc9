"""What must hold of money and of what travels to and from the provider."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import Exists, F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.audit import Invariant, refs, register
from accounts.models import Account, Member, Notice
from billing.dunning_rules import dunning_day
from billing.models import (
    DunningAttempt,
    DunningCase,
    Incoming,
    Instruction,
    Payment,
    Refund,
    RefundMovement,
    Subscription,
)

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
KEY_LIFE = dt.timedelta(hours=24)


def reservations_astray(at: dt.datetime) -> Iterable[str]:
    """Payments whose reserved amount is not the sum of our own living refunds."""
    living = (
        Refund.objects.alive()
        .exclude(basis=Refund.Basis.EXTERNAL)
        .filter(payment=OuterRef("pk"))
        .order_by()
        .values("payment")
        .annotate(total=Sum("amount"))
        .values("total")
    )
    rows = Payment.objects.annotate(living=Coalesce(Subquery(living), 0)).exclude(living=F("refund_reserved"))
    return refs(rows.values_list("charge_id", flat=True), "payment")


def refunds_unsettled(at: dt.datetime) -> Iterable[str]:
    """Refunds that were sent, have had no answer for a day, and are in nobody's queue."""
    rows = Refund.objects.filter(state__in=("sending", "unknown"), sent_at__lt=at - DAY)
    waiting = rows.exclude(public_id__in=_human_queue(at))
    return refs(waiting.values_list("public_id", flat=True), "refund")


def _human_queue(at: dt.datetime) -> list[str]:
    rows = Instruction.objects.needing_a_person(at).filter(kind=Instruction.Kind.REFUND)
    return [subject.partition(":")[2] for subject in rows.values_list("subject", flat=True)]


def refunds_without_movement(at: dt.datetime) -> Iterable[str]:
    """Refunds that moved without the movement the books are written from."""
    moved = RefundMovement.objects.filter(kind="refund").values("refund_id")
    rows = Refund.objects.filter(state__in=("succeeded", "pending")).exclude(pk__in=moved)
    return refs(rows.values_list("public_id", flat=True), "refund")


def refunds_to_strangers(at: dt.datetime) -> Iterable[str]:
    """Refunds on a payment of another account, or in another currency than it was paid in."""
    rows = Refund.objects.exclude(payment__account=F("account"), payment__currency=F("currency"))
    return refs(rows.values_list("public_id", flat=True), "refund")


def failures_untold(at: dt.datetime) -> Iterable[str]:
    """Failed refunds of which nobody was told."""
    failed = Refund.objects.filter(state="failed").exclude(basis=Refund.Basis.EXTERNAL)
    told = set(Notice.objects.filter(kind="refund_failed").values_list("period", flat=True))
    return (
        f"refund:{ref}" for ref in failed.values_list("public_id", flat=True).iterator() if ref not in told
    )


def keys_too_old(at: dt.datetime) -> Iterable[str]:
    """Instructions still trying under a key that the provider has forgotten."""
    rows = Instruction.objects.open().filter(first_sent_at__lt=at - KEY_LIFE, lease_until__gt=at)
    return refs(rows.values_list("public_id", flat=True), "instruction")


def outbox_stuck(at: dt.datetime) -> Iterable[str]:
    """Instructions an hour old that are neither done nor where a person sees them."""
    seen = Instruction.objects.needing_a_person(at).values("pk")
    rows = Instruction.objects.open().filter(created_at__lt=at - HOUR).exclude(pk__in=seen)
    return refs(rows.values_list("public_id", flat=True), "instruction")


def inbox_stuck(at: dt.datetime) -> Iterable[str]:
    """Events an hour old that were neither applied nor given to a person."""
    rows = Incoming.objects.filter(status="new", received_at__lt=at - HOUR)
    return refs(rows.values_list("event_id", flat=True), "event")


def not_reconciled(at: dt.datetime) -> Iterable[str]:
    """Live subscriptions that nobody compared with the provider for a day."""
    rows = (
        Subscription.objects.live()
        .exclude(provider_id=None)
        .filter(
            Q(account__customer__reconciled_at=None) | Q(account__customer__reconciled_at__lt=at - DAY),
            synced_at__lt=at - DAY,
        )
    )
    return refs(rows.values_list("public_id", flat=True), "subscription")


MINUTE = dt.timedelta(minutes=1)
NOTICE_AGE = dt.timedelta(days=3)


def blocked_untold(at: dt.datetime) -> Iterable[str]:
    """Access blocked for an unpaid invoice without a mail about it that went, or was tried, 3 days before."""
    told = Notice.objects.filter(
        account=OuterRef("account"),
        kind="payment_failed",
        created_at__lte=OuterRef("blocked_at") - NOTICE_AGE,
    ).exclude(status="owed", attempts=0)
    readers = Member.objects.payers().filter(account=OuterRef("account"))
    rows = DunningCase.objects.exclude(blocked_at=None).filter(Exists(readers)).exclude(Exists(told))
    return refs(rows.values_list("public_id", flat=True), "dunning")


def frozen_though_paid(at: dt.datetime) -> Iterable[str]:
    """Frozen by the date of an invoice that is paid, with no other that is not."""
    unpaid = DunningCase.objects.unpaid().filter(account=OuterRef("account"))
    rows = DunningCase.objects.filter(
        status="paid",
        closed_at__lt=at - MINUTE,
        account__state="frozen",
        account__access_ends_at=F("block_at"),
    ).exclude(Exists(unpaid))
    return refs(rows.values_list("public_id", flat=True), "dunning")


def chased_though_settled(at: dt.datetime) -> Iterable[str]:
    """Cases that run on although their invoice has not been open for a minute."""
    rows = DunningCase.objects.running().exclude(invoice__status="open")
    rows = rows.filter(invoice__synced_at__lt=at - MINUTE)
    return refs(rows.values_list("public_id", flat=True), "dunning")


def free_days_by_lateness(at: dt.datetime) -> Iterable[str]:
    """Unpaid past the day that was told, with access beyond it."""
    rows = DunningCase.objects.running().filter(
        Q(account__access_ends_at=None) | Q(account__access_ends_at__gt=F("block_at")),
        block_at__lte=at,
        account__state__in=Account.OPEN_STATES,
    )
    return refs(rows.values_list("public_id", flat=True), "dunning")


def steps_on_one_day(at: dt.datetime) -> Iterable[str]:
    """An attempt of ours on the very day on which access was blocked."""
    rows = DunningAttempt.objects.exclude(outcome="skipped").filter(case__blocked_at__isnull=False)
    columns = ("case__public_id", "day", "case__blocked_at", "case__account__time_zone")
    for ref, day, blocked_at, zone in rows.values_list(*columns).iterator():
        if dunning_day(blocked_at, zone) == day:
            yield f"dunning:{ref}"


def blocked_before_their_day(at: dt.datetime) -> Iterable[str]:
    """Access taken before the moment that every mail said: days taken away (T3)."""
    rows = DunningCase.objects.filter(blocked_at__lt=F("block_at"))
    return refs(rows.values_list("public_id", flat=True), "dunning")


def tried_by_the_provider(at: dt.datetime) -> Iterable[str]:
    """Unpaid invoices that the provider means to try again by itself: its retries have to be off."""
    rows = DunningCase.objects.running().exclude(invoice__next_attempt_at=None)
    return refs(rows.values_list("invoice__provider_id", flat=True), "invoice")


def register_invariants() -> None:
    """Called from `AppConfig.ready`."""
    register(
        Invariant(
            code="C7",
            kind="query",
            text="live subscriptions are compared with the provider daily",
            find=not_reconciled,
        ),
        Invariant(
            code="C8",
            kind="constraint",
            text="one instruction in flight per subject",
            proof="instruction_one_in_flight",
        ),
        Invariant(
            code="R1",
            kind="constraint",
            text="our refunds never exceed the payment",
            proof="payment_refunds_fit",
        ),
        Invariant(
            code="R1", kind="query", text="what is reserved is what our refunds say", find=reservations_astray
        ),
        Invariant(
            code="R2",
            kind="constraint",
            text="one living refund per reason and payment",
            proof="refund_one_alive_per_reason",
        ),
        Invariant(
            code="R3",
            kind="query",
            text="every refund that was sent is known within a day",
            find=refunds_unsettled,
        ),
        Invariant(
            code="R3",
            kind="query",
            text="every refund that moved is in the books",
            find=refunds_without_movement,
        ),
        Invariant(
            code="R5",
            kind="query",
            text="refunds go back to the account's own payment",
            find=refunds_to_strangers,
        ),
        Invariant(code="R6", kind="query", text="a failed refund is told", find=failures_untold),
        Invariant(
            code="T2", kind="query", text="nobody is blocked without a mail 3 days old", find=blocked_untold
        ),
        Invariant(code="T2", kind="query", text="nobody who paid is frozen", find=frozen_though_paid),
        Invariant(
            code="T3",
            kind="query",
            text="a paid invoice stops dunning within a minute",
            find=chased_though_settled,
        ),
        Invariant(code="T3", kind="query", text="late runs give no free days", find=free_days_by_lateness),
        Invariant(
            code="T3",
            kind="query",
            text="nobody is blocked before the day that was told",
            find=blocked_before_their_day,
        ),
        Invariant(code="T3", kind="query", text="no two dunning steps on one day", find=steps_on_one_day),
        Invariant(
            code="T3",
            kind="constraint",
            text="one attempt a day for an invoice",
            proof="dunning_one_attempt_a_day",
        ),
        Invariant(code="T3", kind="query", text="nobody retries beside us", find=tried_by_the_provider),
        Invariant(
            code="T3",
            kind="test",
            text="the dates are in order, told in time, and only ever move later",
            proof="billing/tests/test_dunning_rules.py",
        ),
        Invariant(code="R8", kind="query", text="no key is used after a day", find=keys_too_old),
        Invariant(
            code="I1", kind="query", text="the outbox is done or seen within an hour", find=outbox_stuck
        ),
        Invariant(code="I1", kind="query", text="the inbox is done or seen within an hour", find=inbox_stuck),
        Invariant(
            code="I2",
            kind="test",
            text="an event is applied once, in any order",
            proof="config/tests/test_webhook_weather.py",
        ),
    )
