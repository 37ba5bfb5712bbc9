"""Reading where an account stands, from our own rows, in a number of queries that does not grow with it."""

import datetime as dt
from dataclasses import dataclass, replace

from accounts.law import withdrawal_days
from accounts.models import Acceptance, Account, Member
from billing.models import Instruction, Invoice, InvoiceLine, Pause, Payment, Refund, Subscription
from billing.refund_rules import PaidInvoice, PaidLine, RefundFacts
from offboarding.models import Reservation
from offboarding.situation import Situation, Start


def read_situation(account: Account, *, at: dt.datetime, of: Subscription | None = None) -> Situation:
    """The facts of this account as they are now, measured at `at`.

    `of` is the subscription that was declared about: that it has ended at the provider since takes no
    refund away. Without it the live one is meant.
    """
    rows = Subscription.objects.select_related("plan").filter(account=account)
    subscription = rows.filter(pk=of.pk).first() if of else rows.live().first()
    invoices = _invoices(account, subscription)
    gifts = _free_time(account)
    paid = [i for i in invoices if i.status == Invoice.Status.PAID and _runs_on(i, gifts, at)]
    open_ = [i for i in invoices if i.status == Invoice.Status.OPEN and i.amount_remaining > 0]
    pause = (
        Pause.objects.filter(subscription=subscription, status="planned").first() if subscription else None
    )
    billing = RefundFacts(
        invoices=tuple(_paid_invoice(i, gifts, _credited(account)) for i in paid),
        declared_at=int(at.timestamp()),
        zone=account.time_zone,
        renewal_at=_renewal(paid),
        last_voluntary_refund_at=_last_voluntary_refund(account),
        contract_concluded_at=_epoch(
            subscription.started_at if subscription and not subscription.is_local else None
        ),
        withdrawal_days=withdrawal_days(account.country, account.kind),
        immediate_start_consented=_consented(account),
    )
    return Situation(
        start=_start_of(subscription, pause, open_),
        zone=account.time_zone,
        currency=subscription.plan.currency
        if subscription and not subscription.plan.is_free
        else account.currency,
        subscription=subscription.public_id if subscription else "",
        period_end=_epoch(_paid_end(subscription, pause, at)),
        unpaid_since=_epoch(min((i.created_at for i in open_), default=None)),
        teammates=Member.objects.current().filter(account=account).count() - 1,
        last_free_days_at=_last_free_days(account),
        billing=billing,
        unpaid=tuple(_unpaid_invoice(i) for i in open_),
        charging=sum(i.amount_due for i in invoices if i.status == Invoice.Status.DRAFT),
    )


def _start_of(subscription: Subscription | None, pause: Pause | None, unpaid: list[Invoice]) -> Start:
    if subscription is None:
        return Start.ENDED
    if pause is not None:
        return Start.PAUSED
    if subscription.is_local:
        return Start.FREE if subscription.plan.is_free else Start.TRIAL
    if subscription.status in ("past_due", "unpaid") or unpaid:
        return Start.PAST_DUE
    # A pushed end makes the provider say `trialing`; whoever has paid is not on trial.
    return (
        Start.TRIAL_CARD
        if subscription.status == "trialing" and not subscription.first_paid_at
        else Start.PAYING
    )


def _paid_end(subscription: Subscription | None, pause: Pause | None, at: dt.datetime) -> dt.datetime | None:
    """The end of what is paid. In a pause that has begun it is the day on which charging would resume."""
    if subscription is None or pause is None:
        return subscription.period_end if subscription else None
    return pause.starts_at if pause.starts_at > at else pause.resumes_at


def _invoices(account: Account, subscription: Subscription | None) -> list[Invoice]:
    if subscription is None or subscription.is_local:
        return []
    rows = Invoice.objects.filter(
        account=account, subscription=subscription, status__in=("paid", "open", "draft")
    )
    return list(rows.prefetch_related("lines", "payments"))


def _renewal(paid: list[Invoice]) -> int | None:
    """Start of the paid period. Not the provider's: pushing the end of a period moves that to the push."""
    starts = [line.starts_at for invoice in paid for line in invoice.lines.all() if not line.is_proration]
    return _epoch(max(starts, default=None))


@dataclass(frozen=True)
class FreeTime:
    """Free days that were given: from when, and how many seconds."""

    since: dt.datetime
    seconds: int


def _free_time(account: Account) -> list[FreeTime]:
    rows = Reservation.objects.filter(cancellation__account=account).select_related("quote").order_by("pk")
    return [
        FreeTime(row.quote.measured_at, int((row.free_until - row.quote.measured_at).total_seconds()))
        for row in rows
    ]


def _given_within(invoice: Invoice, gifts: list[FreeTime]) -> FreeTime | None:
    """The free days that fell into what this invoice paid for; they lengthen it and are never used time."""
    lines = invoice.lines.all()
    return next((g for g in gifts if any(line.starts_at <= g.since < line.ends_at for line in lines)), None)


def _credited(account: Account) -> dict[str, int]:
    """What already went back to the balance, by invoice."""
    rows = Instruction.objects.filter(account=account, kind=Instruction.Kind.CREDIT).exclude(
        status__in=("superseded", "dead", "abandoned")
    )
    total: dict[str, int] = {}
    for row in rows:
        invoice = row.subject.rpartition(":")[2]
        total[invoice] = total.get(invoice, 0) + int(row.desired["amount"])
    return total


def _runs_on(invoice: Invoice, gifts: list[FreeTime], at: dt.datetime) -> bool:
    """Whether it paid for time that is not over yet, free days included."""
    gift = _given_within(invoice, gifts)
    longer = dt.timedelta(seconds=gift.seconds if gift else 0)
    return any(line.ends_at + longer > at for line in invoice.lines.all())


def _paid_invoice(invoice: Invoice, gifts: list[FreeTime], credited: dict[str, int]) -> PaidInvoice:
    payment: Payment | None = next(iter(invoice.payments.all()), None)
    gift = _given_within(invoice, gifts)
    plain = _as_paid(
        invoice,
        payment=payment.provider_id if payment else "",
        paid_cash=payment.amount if payment else 0,
        refunded=(payment.refund_reserved + payment.refunded_elsewhere) if payment else 0,
        disputed=payment.disputed if payment else 0,
    )
    return replace(
        plain,
        extension_seconds=gift.seconds if gift else 0,
        extension_from=_epoch(gift.since) if gift else None,
        credited=credited.get(invoice.provider_id, 0),
    )


def _unpaid_invoice(invoice: Invoice) -> PaidInvoice:
    return _as_paid(invoice, payment="", paid_cash=invoice.amount_paid, refunded=0, disputed=0)


def _as_paid(invoice: Invoice, *, payment: str, paid_cash: int, refunded: int, disputed: int) -> PaidInvoice:
    lines = tuple(_line(line) for line in sorted(invoice.lines.all(), key=lambda line: line.pk))
    starts, ends = [line.starts for line in lines], [line.ends for line in lines]
    return PaidInvoice(
        invoice=invoice.provider_id,
        payment=payment,
        currency=invoice.currency,
        lines=lines,
        paid_cash=paid_cash,
        paid_credit=invoice.credit_applied,
        refunded=refunded,
        disputed=disputed,
        period_start=min(starts, default=0),
        period_end=max(ends, default=0),
        extension_seconds=0,
    )


def _line(line: InvoiceLine) -> PaidLine:
    return PaidLine(
        line=line.provider_id,
        net=line.net,
        tax=line.tax,
        starts=int(line.starts_at.timestamp()),
        ends=int(line.ends_at.timestamp()),
    )


def _last_voluntary_refund(account: Account) -> int | None:
    newest = (
        Refund.objects.alive()
        .filter(account=account, is_voluntary=True)
        .order_by("-created_at")
        .values_list("created_at", flat=True)
        .first()
    )
    return _epoch(newest)


def _last_free_days(account: Account) -> int | None:
    newest = (
        Reservation.objects.filter(cancellation__account=account)
        .order_by("-pk")
        .values_list("cancellation__confirmed_at", flat=True)
        .first()
    )
    return _epoch(newest)


def _consented(account: Account) -> bool:
    return Acceptance.objects.filter(account=account, immediate_start=True).exists()


def _epoch(moment: dt.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
