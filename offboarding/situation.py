"""Where someone stands when they want to leave: the facts, as plain values, read once.

A `Situation` holds everything that the outcome of any ending depends on, so that a quote can be
computed again from what was stored with it (R4). What our own declaration changes at the provider
(the scheduled end) is no part of it: it must not make a quote look outdated.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from accounts.law import withdrawal_days
from accounts.models import Acceptance, Account, Member
from billing.models import Invoice, InvoiceLine, Pause, Payment, Refund, Subscription
from billing.refund_rules import PaidInvoice, PaidLine, RefundFacts
from offboarding.models import Reservation


class Start(StrEnum):
    """The starting points that have a page of their own."""

    FREE = "free"
    TRIAL = "trial"
    TRIAL_CARD = "trial_card"
    PAYING = "paying"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True)
class Situation:
    """The facts; moments are epoch seconds, amounts minor units."""

    start: Start
    zone: str
    currency: str
    subscription: str
    period_end: int | None
    unpaid_since: int | None
    teammates: int
    last_free_days_at: int | None
    billing: RefundFacts
    unpaid: tuple[PaidInvoice, ...]

    def measured(self, at: int) -> "Situation":
        """The same facts, measured at another moment."""
        return replace(self, billing=replace(self.billing, declared_at=at))

    def to_json(self) -> dict[str, Any]:
        """The facts as they are stored with a quote."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Situation":
        """The facts back from a quote."""
        billing = dict(stored["billing"])
        billing["invoices"] = _invoices_from(billing["invoices"])
        return cls(
            **(
                stored
                | {
                    "start": Start(stored["start"]),
                    "billing": RefundFacts(**billing),
                    "unpaid": _invoices_from(stored["unpaid"]),
                }
            )
        )

    def fingerprint(self) -> str:
        """A hash of the facts without the moment they are measured at: another hash means that they moved."""
        facts = self.measured(0).to_json()
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _invoices_from(stored: Iterable[dict[str, Any]]) -> tuple[PaidInvoice, ...]:
    return tuple(
        PaidInvoice(**(invoice | {"lines": tuple(PaidLine(**line) for line in invoice["lines"])}))
        for invoice in stored
    )


def read_situation(account: Account, *, at: dt.datetime) -> Situation:
    """Read the facts of this account, in a number of queries that does not grow with it."""
    subscription = Subscription.objects.live().select_related("plan").filter(account=account).first()
    invoices = _invoices(account, subscription)
    paid = [i for i in invoices if i.status == Invoice.Status.PAID and _runs_on(i, at)]
    open_ = [i for i in invoices if i.status == Invoice.Status.OPEN and i.amount_remaining > 0]
    pause = (
        Pause.objects.filter(subscription=subscription, status="planned").first() if subscription else None
    )
    billing = RefundFacts(
        invoices=tuple(_paid_invoice(i) for i in paid),
        declared_at=int(at.timestamp()),
        zone=account.time_zone,
        renewal_at=_epoch(subscription.period_start if subscription and paid else None),
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
    rows = Invoice.objects.filter(account=account, subscription=subscription, status__in=("paid", "open"))
    return list(rows.prefetch_related("lines", "payments", "payments__refunds"))


def _runs_on(invoice: Invoice, at: dt.datetime) -> bool:
    """Whether it paid for time that is not over yet."""
    return any(line.ends_at > at for line in invoice.lines.all())


def _paid_invoice(invoice: Invoice) -> PaidInvoice:
    payment: Payment | None = next(iter(invoice.payments.all()), None)
    return _as_paid(
        invoice,
        payment=payment.provider_id if payment else "",
        paid_cash=payment.amount if payment else 0,
        refunded=(payment.refund_reserved + payment.refunded_elsewhere) if payment else 0,
        disputed=payment.disputed if payment else 0,
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
