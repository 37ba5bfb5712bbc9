"""Reading where an account stands, from our own rows, in a number of queries that does not grow with it."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery

from accounts.law import withdrawal_days
from accounts.models import Acceptance, Account, Event, Member
from billing.dunning_late import GIVEN_BACK
from billing.invoices import as_paid_invoice
from billing.models import DunningCase, Instruction, Invoice, Pause, Payment, Refund, Subscription
from billing.refund_rules import PaidInvoice, RefundFacts
from offboarding.models import Reservation
from offboarding.situation import Situation, Start


def read_situation(account: Account, *, at: dt.datetime, of: Subscription | None = None) -> Situation:
    """The facts of this account as they are now, measured at `at`. Of an account that was left nothing runs.

    `of` is the subscription that was declared about: that it has ended at the provider since takes no
    refund away. Without it the live one is meant.
    """
    rows = Subscription.objects.select_related("plan").filter(account=account)
    # The provider may not have ended yet what was ended here.
    running = rows.none() if account.state == Account.State.CLOSED else rows.live()
    subscription = _with_pause(rows.filter(pk=of.pk) if of else running).first()
    invoices = _invoices(account, subscription)
    around = _around(account, cards=_cards(invoices))
    given = _given(account) if around["has_free_time"] else []
    gifts = [_free_time(row) for row in given]
    gifts += _given_back(account) if around["has_days_back"] else []
    credited = _credited(account) if around["has_credits"] else {}
    paid = [i for i in invoices if i.status == Invoice.Status.PAID and _runs_on(i, gifts, at)]
    open_ = [i for i in invoices if i.status == Invoice.Status.OPEN and i.amount_remaining > 0]
    pause = _agreed_pause(subscription)
    renewal_at, paid_at = _renewal(paid)
    billing = RefundFacts(
        invoices=tuple(_paid_invoice(i, gifts, credited) for i in paid),
        declared_at=int(at.timestamp()),
        zone=account.time_zone,
        renewal_at=renewal_at,
        last_voluntary_refund_at=_epoch(around["last_voluntary_refund"]),
        contract_concluded_at=_epoch(
            subscription.started_at if subscription and not subscription.is_local else None
        ),
        withdrawal_days=withdrawal_days(account.country, account.kind),
        immediate_start_consented=around["has_consented"],
        last_card_refund_at=_epoch(around["last_card_refund"]),
        paid_at=paid_at,
    )
    return Situation(
        start=_start_of(subscription, pause, open_, at),
        zone=account.time_zone,
        currency=subscription.plan.currency
        if subscription and not subscription.plan.is_free
        else account.currency,
        subscription=subscription.public_id if subscription else "",
        period_end=_epoch(_paid_end(subscription, pause, at)),
        unpaid_since=_epoch(min((i.created_at for i in open_), default=None)),
        teammates=(around["seats"] or 0) - 1,
        last_free_days_at=_epoch(given[-1].cancellation.confirmed_at) if given else None,
        billing=billing,
        unpaid=tuple(_unpaid_invoice(i) for i in open_),
        unpaid_until=_epoch(around["unpaid_until"]) if open_ else None,
        charging=sum(i.amount_due for i in invoices if i.status == Invoice.Status.DRAFT),
    )


def _cards(invoices: list[Invoice]) -> set[str]:
    """Fingerprints of the cards that paid these invoices: the same card has the same one everywhere."""
    return {payment.method_fingerprint for i in invoices for payment in i.payments.all()} - {""}


def _around(account: Account, *, cards: set[str]) -> dict[str, Any]:
    """What stands beside subscription and invoices, in one query; what is rare is only asked after."""
    mine = {"account": OuterRef("pk")}
    voluntary = Refund.objects.alive().filter(is_voluntary=True).order_by("-created_at")
    refunds = voluntary.filter(**mine)
    to_the_card = voluntary.exclude(**mine).filter(payment__method_fingerprint__in=cards)
    seats = Member.objects.current().filter(**mine).order_by().values("account")
    rows = Account.objects.filter(pk=account.pk)
    chased = DunningCase.objects.filter(invoice__status=Invoice.Status.OPEN, **mine).order_by("block_at")
    found = rows.values(
        unpaid_until=Subquery(chased.values("block_at")[:1]),
        last_voluntary_refund=Subquery(refunds.values("created_at")[:1]),
        last_card_refund=Subquery(to_the_card.values("created_at")[:1]),
        seats=Subquery(seats.annotate(number=Count("pk")).values("number")),
        has_consented=Exists(Acceptance.objects.filter(immediate_start=True, **mine)),
        has_free_time=Exists(Reservation.objects.filter(cancellation__account=OuterRef("pk"))),
        has_days_back=Exists(Event.objects.filter(account_ref=OuterRef("public_id"), kind=GIVEN_BACK)),
        has_credits=Exists(_credits().filter(**mine)),
    ).get()
    return {**found}


@dataclass(frozen=True)
class AgreedPause:
    """From when until when nothing is charged."""

    starts_at: dt.datetime
    resumes_at: dt.datetime


def _with_pause(rows: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Each with its agreed pause; a constraint says that there is one at most."""
    pauses = Pause.objects.filter(subscription=OuterRef("pk"), status=Pause.Status.PLANNED)
    return rows.annotate(
        pause_starts_at=Subquery(pauses.values("starts_at")[:1]),
        pause_resumes_at=Subquery(pauses.values("resumes_at")[:1]),
    )


def _agreed_pause(row: Any) -> AgreedPause | None:
    """Of a row that `_with_pause` read."""
    if row is None or row.pause_starts_at is None:
        return None
    return AgreedPause(row.pause_starts_at, row.pause_resumes_at)


def _start_of(
    subscription: Subscription | None, pause: AgreedPause | None, unpaid: list[Invoice], at: dt.datetime
) -> Start:
    if subscription is None:
        return Start.ENDED
    if pause is not None:
        return Start.PAUSED
    if subscription.is_local:
        if subscription.plan.is_free:
            return Start.FREE
        ends_at = subscription.trial_end
        return Start.TRIAL_OVER if ends_at is not None and ends_at <= at else Start.TRIAL
    if subscription.status in ("past_due", "unpaid") or unpaid:
        return Start.PAST_DUE
    # A pushed end makes the provider say `trialing`; whoever has paid is not on trial.
    return (
        Start.TRIAL_CARD
        if subscription.status == "trialing" and not subscription.first_paid_at
        else Start.PAYING
    )


def _paid_end(
    subscription: Subscription | None, pause: AgreedPause | None, at: dt.datetime
) -> dt.datetime | None:
    """The end of what is paid. In a pause that has begun it is the day on which charging would resume.

    Of a trial that only we know of it is its end, and once that has passed the end of the grace after it.
    """
    if subscription is None:
        return None
    if subscription.is_local and subscription.trial_end is not None:
        return subscription.trial_end if subscription.trial_end > at else subscription.period_end
    if pause is None:
        return subscription.period_end
    return pause.starts_at if pause.starts_at > at else pause.resumes_at


def _invoices(account: Account, subscription: Subscription | None) -> list[Invoice]:
    if subscription is None or subscription.is_local:
        return []
    rows = Invoice.objects.filter(
        account=account, subscription=subscription, status__in=("paid", "open", "draft")
    )
    return list(rows.prefetch_related("lines", "payments"))


def _renewal(paid: list[Invoice]) -> tuple[int | None, int | None]:
    """Start of the paid period, and when it was paid.

    Not the provider's start: pushing the end of a period moves that to the push.
    """
    began = [
        (line.starts_at, invoice.paid_at or line.starts_at)
        for invoice in paid
        for line in invoice.lines.all()
        if not line.is_proration
    ]
    starts_at, paid_at = max(began, default=(None, None))
    return _epoch(starts_at), _epoch(paid_at)


@dataclass(frozen=True)
class FreeTime:
    """Free days: from when, how many seconds, and up to when a period has to begin to last longer by them."""

    since: dt.datetime
    seconds: int
    until: dt.datetime


def _given(account: Account) -> list[Reservation]:
    rows = Reservation.objects.filter(cancellation__account=account)
    return list(rows.select_related("quote", "cancellation").order_by("pk"))


def _free_time(row: Reservation) -> FreeTime:
    since = row.quote.measured_at
    return FreeTime(since, int((row.free_until - since).total_seconds()), until=since)


def _given_back(account: Account) -> list[FreeTime]:
    """Days that were paid without access: they are had later, from the payment on."""
    rows = Event.objects.filter(account_ref=account.public_id, kind=GIVEN_BACK)
    found: list[FreeTime] = []
    for event in rows:
        since, paid_until, until = (
            dt.datetime.fromisoformat(event.facts[name]) for name in ("since", "paid_until", "until")
        )
        found.append(FreeTime(since, int((until - paid_until).total_seconds()), until=event.at))
    return found


def given_within(invoice: Invoice, gifts: list[FreeTime]) -> FreeTime | None:
    """The free days that fell into what this invoice paid for; they lengthen it and are never used time.

    Several are put together, the earlier ones to the beginning of the last: before that nobody asks.
    """
    found: FreeTime | None = None
    for gift in sorted(gifts, key=lambda gift: gift.since):
        before = dt.timedelta(seconds=found.seconds if found else 0)
        lines = [
            line
            for line in invoice.lines.all()
            if line.starts_at <= gift.until and gift.since < line.ends_at + before
        ]
        if lines:
            since = max(gift.since, min(line.starts_at for line in lines)) - before
            found = FreeTime(since, gift.seconds + int(before.total_seconds()), gift.until)
    return found


def _credits() -> QuerySet[Instruction]:
    rows: QuerySet[Instruction] = Instruction.objects.filter(kind=Instruction.Kind.CREDIT)
    return rows.exclude(status__in=("superseded", "dead", "abandoned"))


def _credited(account: Account) -> dict[str, int]:
    """What already went back to the balance, by invoice."""
    rows = _credits().filter(account=account)
    total: dict[str, int] = {}
    for row in rows:
        invoice = row.subject.rpartition(":")[2]
        total[invoice] = total.get(invoice, 0) + int(row.desired["amount"])
    return total


def _runs_on(invoice: Invoice, gifts: list[FreeTime], at: dt.datetime) -> bool:
    """Whether it paid for time that is not over yet, free days included."""
    gift = given_within(invoice, gifts)
    longer = dt.timedelta(seconds=gift.seconds if gift else 0)
    return any(line.ends_at + longer > at for line in invoice.lines.all())


def _paid_invoice(invoice: Invoice, gifts: list[FreeTime], credited: dict[str, int]) -> PaidInvoice:
    payment: Payment | None = next(iter(invoice.payments.all()), None)
    gift = given_within(invoice, gifts)
    plain = as_paid_invoice(
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
    return as_paid_invoice(invoice, payment="", paid_cash=invoice.amount_paid, refunded=0, disputed=0)


def _epoch(moment: dt.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
