"""Writing invoices, payments, refunds and disputes from the provider's objects, as `billing.sync` does."""

import datetime as dt
import logging
from typing import Any

from django.db import transaction

from accounts.events import PROVIDER, record
from accounts.models import Account
from billing import dunning_cases, refunds
from billing.locks import writing_customer
from billing.models import Customer, Dispute, Invoice, InvoiceLine, Payment, Refund, Subscription
from billing.notices import owe_payers
from billing.signals import payment_received
from billing.stripe_api import calling, id_of, instant, metadata_of, moment, optional

logger = logging.getLogger(__name__)

#: News of a first failure comes within minutes; after an outage of ours, within days.
LATE_NEWS = dt.timedelta(days=21)


def sync_invoice(customer: Customer, provider_id: str, *, at: dt.datetime) -> list[str]:
    """Fetch one invoice with its lines and the payments made on it; returns the payments it looked at."""
    with writing_customer(customer), calling() as stripe:
        fetched = stripe.v1.invoices.retrieve(provider_id)
        lines = list(
            stripe.v1.invoices.line_items.list(provider_id, params={"limit": 100}).auto_paging_iter()
        )
        made = stripe.v1.invoice_payments.list(params={"invoice": provider_id, "status": "paid"})
        intents = [
            id_of(p.payment.payment_intent) for p in made.auto_paging_iter() if p.payment.payment_intent
        ]
        decline = _last_decline(provider_id) if fetched.status == "open" and fetched.attempt_count else ""
        _apply_invoice(customer, fetched, lines, decline, at=at)
        for intent in intents:
            _fetch_payment(customer, intent, provider_id, at=at)
    return intents


def _last_decline(provider_id: str) -> str:
    """Why the last attempt on an open invoice failed, as the bank's code; "" where nobody says."""
    with calling() as stripe:
        tried = stripe.v1.invoice_payments.list(
            params={
                "invoice": provider_id,
                "status": "open",
                "expand": ["data.payment.payment_intent"],
            }
        )
        for made in tried.data:
            intent: Any = made.payment.payment_intent
            if intent and intent.status == "requires_action":
                return "authentication_required"
            error = optional(intent, "last_payment_error") if intent else None
            if error:
                return str(optional(error, "decline_code") or optional(error, "code") or "")
    return ""


@transaction.atomic
def _apply_invoice(
    customer: Customer, fetched: Any, lines: list[Any], decline: str, *, at: dt.datetime
) -> None:
    account = Account.objects.select_for_update().get(pk=customer.account_id)
    parent = fetched.parent.subscription_details if fetched.parent else None
    subscription = (
        Subscription.objects.filter(provider_id=id_of(parent.subscription)).first() if parent else None
    )
    seen, tried = Invoice.objects.filter(provider_id=fetched.id).values_list(
        "status", "attempt_count"
    ).first() or ("", 0)
    row, _created = Invoice.objects.update_or_create(
        provider_id=fetched.id,
        defaults=_invoice_columns(fetched, lines)
        | {"account": account, "subscription": subscription, "synced_at": at},
    )
    for line in lines:
        InvoiceLine.objects.update_or_create(invoice=row, provider_id=line.id, defaults=_line_columns(line))
    InvoiceLine.objects.filter(invoice=row).exclude(provider_id__in=[line.id for line in lines]).delete()
    if row.status != seen and row.status != Invoice.Status.DRAFT:
        record(
            account,
            f"invoice.{row.status}",
            by=PROVIDER,
            at=at,
            subject=f"invoice:{row.provider_id}",
            amount=row.amount_due,
            currency=row.currency,
        )
    has_failed = row.attempt_count > tried and row.status == Invoice.Status.OPEN
    if has_failed:
        _record_failure(row, decline, at=at)
    dunning_cases.follow_invoice(
        row, decline, is_new_failure=has_failed, at=at, failed_at=_first_try(fetched, at=at)
    )


def _first_try(fetched: Any, *, at: dt.datetime) -> dt.datetime:
    """When the provider tried it first: as it issued the invoice, unless that is long ago."""
    issued = moment(fetched.status_transitions.finalized_at)
    return issued if issued is not None and at - issued < LATE_NEWS else at


def _record_failure(invoice: Invoice, decline: str, *, at: dt.datetime) -> None:
    """The provider tried to charge and could not. Only a first attempt is its own: the others are ours."""
    record(
        invoice.account,
        "payment.failed",
        by=PROVIDER,
        at=at,
        subject=f"invoice:{invoice.provider_id}",
        amount=invoice.amount_remaining,
        currency=invoice.currency,
        decline=decline,
    )
    if invoice.next_attempt_at is not None and invoice.billing_reason != "subscription_create":
        logger.critical(
            "the provider tries again by itself: switch its retries off",
            extra={"invoice": invoice.provider_id},
        )


def _invoice_columns(fetched: Any, lines: list[Any]) -> dict[str, Any]:
    marks = fetched.status_transitions
    starts = [line.period.start for line in lines]
    ends = [line.period.end for line in lines]
    return {
        "number": fetched.number or "",
        "status": fetched.status,
        "billing_reason": fetched.billing_reason or "",
        "currency": fetched.currency.upper(),
        "subtotal": fetched.subtotal,
        "discount": sum(d.amount for d in fetched.total_discount_amounts or []),
        "tax": sum(t.amount for t in fetched.total_taxes or []),
        "total": fetched.total,
        "amount_due": fetched.amount_due,
        "amount_paid": fetched.amount_paid,
        "amount_remaining": fetched.amount_remaining,
        "credit_applied": max(0, fetched.total - fetched.amount_due) if fetched.starting_balance < 0 else 0,
        "created_at": moment(fetched.created),
        "due_at": moment(fetched.due_date),
        "paid_at": moment(marks.paid_at) or (moment(fetched.created) if fetched.status == "paid" else None),
        "attempt_count": fetched.attempt_count,
        "next_attempt_at": moment(fetched.next_payment_attempt),
        "period_start": moment(min(starts)) if starts else None,
        "period_end": moment(max(ends)) if ends else None,
    }


def _line_columns(line: Any) -> dict[str, Any]:
    discount = sum(d.amount for d in line.discount_amounts or [])
    taxes = line.taxes or []
    inside = sum(t.amount for t in taxes if t.tax_behavior == "inclusive")
    details = (
        (line.parent.subscription_item_details or line.parent.invoice_item_details) if line.parent else None
    )
    return {
        "description": (line.description or "")[:250],
        "net": line.amount - discount - inside,
        "tax": sum(t.amount for t in taxes),
        "starts_at": moment(line.period.start),
        "ends_at": moment(line.period.end),
        "is_proration": bool(details and details.proration),
    }


def sync_payment(customer: Customer, payment_intent: str, *, at: dt.datetime) -> None:
    """Fetch one payment with its refunds and disputes."""
    with writing_customer(customer), calling() as stripe:
        made = stripe.v1.invoice_payments.list(
            params={"payment": {"type": "payment_intent", "payment_intent": payment_intent}}
        )
        invoice = next((id_of(p.invoice) for p in made.auto_paging_iter()), "")
        _fetch_payment(customer, payment_intent, invoice, at=at)


def _fetch_payment(customer: Customer, payment_intent: str, invoice_id: str, *, at: dt.datetime) -> None:
    """Read charge, refunds, disputes in that order, so that what is written is no older than it says."""
    with calling() as stripe:
        intent = stripe.v1.payment_intents.retrieve(payment_intent, params={"expand": ["latest_charge"]})
        charge: Any = intent.latest_charge
        if intent.status != "succeeded" or charge is None:
            return
        made = list(
            stripe.v1.refunds.list(params={"payment_intent": payment_intent, "limit": 100}).auto_paging_iter()
        )
        opened = list(stripe.v1.disputes.list(params={"payment_intent": payment_intent}).auto_paging_iter())
    _apply_payment(customer, payment_intent, charge, invoice_id, made, opened, at=at)


@transaction.atomic
def _apply_payment(
    customer: Customer,
    payment_intent: str,
    charge: Any,
    invoice_id: str,
    made: list[Any],
    opened: list[Any],
    *,
    at: dt.datetime,
) -> None:
    account = Account.objects.select_for_update().get(pk=customer.account_id)
    card = charge.payment_method_details.card if charge.payment_method_details else None
    payment, is_new = Payment.objects.get_or_create(
        provider_id=payment_intent,
        defaults={
            "account": account,
            "charge_id": charge.id,
            "amount": charge.amount,
            "currency": charge.currency.upper(),
            "paid_at": instant(charge.created),
            "balance_transaction": id_of(charge.balance_transaction),
            "method_brand": card.brand if card else "",
            "method_last4": card.last4 if card else "",
            "method_fingerprint": (card.fingerprint or "") if card else "",
        },
    )
    invoice = Invoice.objects.filter(provider_id=invoice_id).first() if invoice_id else None
    if invoice and payment.invoice_id != invoice.pk:
        Payment.objects.filter(pk=payment.pk).update(invoice=invoice)
        payment.refresh_from_db()
    _apply_refunds(payment, made, at=at)
    _apply_disputes(payment, opened, at=at)
    if is_new:
        _welcome(account, payment, at=at)


def _welcome(account: Account, payment: Payment, *, at: dt.datetime) -> None:
    record(
        account,
        "payment.received",
        by=PROVIDER,
        at=at,
        subject=f"payment:{payment.charge_id}",
        amount=payment.amount,
        currency=payment.currency,
    )
    if payment.invoice and payment.invoice.subscription_id:
        Subscription.objects.filter(pk=payment.invoice.subscription_id, first_paid_at=None).update(
            first_paid_at=payment.paid_at
        )
    if not dunning_cases.is_settled_by(payment, at=at):
        subject = f"payment:{payment.charge_id}"
        owe_payers(account, "payment_received", period=payment.charge_id, subject=subject, at=at)
    payment_received.send(Payment, payment=payment, at=at)


def _apply_refunds(payment: Payment, made: list[Any], *, at: dt.datetime) -> None:
    for provider in made:
        ours = metadata_of(provider).get("good_terms_refund", "")
        row = Refund.objects.filter(public_id=ours, payment=payment).first() if ours else None
        if row is None:
            refunds.import_external_refund(payment, provider, at=at)
        else:
            refunds.apply_provider_refund(row, provider, at=at)
    elsewhere = Refund.objects.alive().filter(payment=payment, basis=Refund.Basis.EXTERNAL)
    Payment.objects.filter(pk=payment.pk).update(refunded_elsewhere=sum(r.amount for r in elsewhere))


def _apply_disputes(payment: Payment, opened: list[Any], *, at: dt.datetime) -> None:
    for provider in opened:
        seen = Dispute.objects.filter(provider_id=provider.id).values_list("status", flat=True).first()
        Dispute.objects.update_or_create(
            provider_id=provider.id,
            defaults={
                "payment": payment,
                "amount": provider.amount,
                "currency": provider.currency.upper(),
                "status": provider.status,
                "reason": provider.reason or "",
                "opened_at": instant(provider.created),
                "synced_at": at,
            },
        )
        if seen != provider.status:
            record(
                payment.account,
                "payment.disputed" if seen is None else "dispute.changed",
                by=PROVIDER,
                at=at,
                subject=f"dispute:{provider.id}",
                amount=provider.amount,
                currency=payment.currency,
                status=provider.status,
            )
    counted = sum(d.amount for d in payment.disputes.all() if d.counts)
    Payment.objects.filter(pk=payment.pk).update(disputed=counted)
