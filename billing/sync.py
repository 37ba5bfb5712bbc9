"""Writing our own facts from the provider's objects, fetched afresh.

What a webhook says is never believed: it only names the object. Each function fetches outside a
transaction, under the customer's lock, and applies in one; applying the same object twice, late or
out of order ends in the same rows and the same history (I2).
"""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.events import PROVIDER, record
from accounts.models import Account
from accounts.states import move_account
from billing import refunds
from billing.locks import writing_customer
from billing.models import Customer, Dispute, Invoice, InvoiceLine, Payment, Plan, Refund, Subscription
from billing.notices import owe_payers
from billing.signals import payment_received, subscription_changed
from billing.stripe_api import StripeRefused, calling, metadata_of, optional

#: Older invoices that are settled move only by an event, and those are back-filled.
RECENT = dt.timedelta(days=40)


def instant(epoch: int) -> dt.datetime:
    """The provider's epoch seconds as a moment in UTC."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC)


def moment(epoch: int | None) -> dt.datetime | None:
    """The same for a field that may be empty."""
    return None if epoch is None else instant(epoch)


def id_of(value: Any) -> str:
    """The id of a field that holds an id or an expanded object."""
    return "" if value is None else value if isinstance(value, str) else str(value.id)


def sync_everything(customer: Customer, *, at: dt.datetime) -> None:
    """Read all that can still move for a customer: card, subscriptions, recent invoices, their payments."""
    sync_customer(customer, at=at)
    with calling() as stripe:
        listed = {"customer": customer.provider_id, "limit": 100}
        subscriptions = [s.id for s in stripe.v1.subscriptions.list(params=listed | {"status": "all"}).data]  # type: ignore[arg-type]
        recent = listed | {"created": {"gte": int((at - RECENT).timestamp())}}
        invoices = [str(i.id) for i in stripe.v1.invoices.list(params=recent).data]  # type: ignore[arg-type]
    for provider_id in subscriptions:
        sync_subscription(customer, provider_id, at=at)
    older = Invoice.objects.unpaid().filter(account=customer.account).exclude(provider_id__in=invoices)
    for provider_id in [*invoices, *older.values_list("provider_id", flat=True)]:
        sync_invoice(customer, provider_id, at=at)
    moving = Refund.objects.filter(account=customer.account, state__in=("pending", "unknown", "sending"))
    for intent in moving.values_list("payment__provider_id", flat=True).distinct():
        sync_payment(customer, intent, at=at)


# --- Subscriptions ----------------------------------------------------------------------------


def sync_subscription(customer: Customer, provider_id: str, *, at: dt.datetime) -> None:
    """Fetch one subscription and write it."""
    with writing_customer(customer), calling() as stripe:
        fetched = stripe.v1.subscriptions.retrieve(provider_id, params={"expand": ["default_payment_method"]})
        _apply_subscription(customer, fetched, at=at)
        if fetched.default_payment_method and fetched.status in Subscription.LIVE:
            _apply_card(customer, fetched.default_payment_method, at=at)


@transaction.atomic
def _apply_subscription(customer: Customer, fetched: Any, *, at: dt.datetime) -> None:
    plan = Plan.objects.filter(provider_price=fetched["items"].data[0].price.id).first()
    if plan is None:
        raise LookupError(f"no plan has the price of {fetched.id}")
    account = Account.objects.select_for_update().select_related("terms").get(pk=customer.account_id)
    row = Subscription.objects.filter(provider_id=fetched.id).first()
    before = {"status": row.status if row else "", "cancel_at": row.cancel_at if row else None}
    columns = _subscription_columns(fetched) | {"plan": plan, "synced_at": at}
    if row is None:
        if columns["status"] in Subscription.LIVE:
            _make_way(account, at=at)
        row = Subscription.objects.create(account=account, provider_id=fetched.id, **columns)
    else:
        if columns["status"] in Subscription.LIVE and row.status not in Subscription.LIVE:
            _make_way(account, at=at)
        Subscription.objects.filter(pk=row.pk).update(**columns)
        row.refresh_from_db()
    if row.status != before["status"]:
        kind = "free_time" if _is_free_time(row) else row.status
        record(account, f"subscription.{kind}", by=PROVIDER, at=at, subject=f"subscription:{row.public_id}")
        _open_account(account, row, at=at)
    if row.status == Subscription.Status.TRIALING and before["status"] in ("", "incomplete"):
        subject = f"subscription:{row.public_id}"
        owe_payers(account, "subscription_started", period=row.public_id, subject=subject, at=at)
    subscription_changed.send(Subscription, subscription=row, before=before, at=at)


def _subscription_columns(fetched: Any) -> dict[str, Any]:
    item = fetched["items"].data[0]
    ends = fetched.cancel_at or (item.current_period_end if fetched.cancel_at_period_end else None)
    return {
        "status": fetched.status,
        "started_at": moment(fetched.start_date),
        "period_start": moment(item.current_period_start),
        "period_end": moment(item.current_period_end),
        "trial_end": moment(fetched.trial_end),
        "cancel_at": moment(ends),
        "ended_at": moment(fetched.ended_at),
    }


def _make_way(account: Account, *, at: dt.datetime) -> None:
    """The free plan or a trial without card gives way to what is paid, and its end of access with it."""
    local = Subscription.objects.live().filter(account=account, provider_id=None)
    ends = [row.trial_end for row in local if row.trial_end]
    Account.objects.filter(pk=account.pk, access_ends_at__in=ends).update(access_ends_at=None)
    local.update(status=Subscription.Status.CANCELED, ended_at=at)


def _is_free_time(row: Subscription) -> bool:
    """The provider calls a paid subscription whose end was moved "trialing" too; ours is paid."""
    return row.status == Subscription.Status.TRIALING and row.first_paid_at is not None


def _open_account(account: Account, row: Subscription, *, at: dt.datetime) -> None:
    """What is paid or on trial is open (T2: nobody who paid is frozen).

    Only an account that was shut gets its access back here: the end of access of one that is
    leaving or paused was set by whoever decided that. A pushed end makes the provider say
    `trialing`; whoever has paid is not on trial.
    """
    on_trial = row.status == Subscription.Status.TRIALING and row.first_paid_at is None
    wanted = Account.State.TRIALING if on_trial else Account.State.ACTIVE
    if row.status not in ("active", "trialing") or account.state in (wanted, Account.State.ERASED):
        return
    columns = {} if account.state in Account.OPEN_STATES else {"access_ends_at": None}
    move_account(account, wanted, by=PROVIDER, at=at, reason=f"subscription.{row.status}", **columns)


# --- Customers and cards ----------------------------------------------------------------------


def sync_customer(customer: Customer, *, at: dt.datetime) -> None:
    """Fetch the customer: its credit, and the card that is charged.

    That is the live subscription's own card, else the customer's, else the one we know as long as it
    has not been taken off: whichever event comes last, the answer is the same, and who left can come
    back with it.
    """
    with writing_customer(customer), calling() as stripe:
        fetched = stripe.v1.customers.retrieve(
            customer.provider_id, params={"expand": ["invoice_settings.default_payment_method"]}
        )
        if optional(fetched, "deleted"):
            Customer.objects.filter(pk=customer.pk).update(deleted_at=at, synced_at=at)
            return
        Customer.objects.filter(pk=customer.pk).update(
            credit=max(0, -(fetched.balance or 0)), currency=(fetched.currency or "").upper(), synced_at=at
        )
        method = fetched.invoice_settings.default_payment_method if fetched.invoice_settings else None
        live = Subscription.objects.live().filter(account=customer.account).exclude(provider_id=None).first()
        if live is not None:
            own = stripe.v1.subscriptions.retrieve(
                str(live.provider_id), params={"expand": ["default_payment_method"]}
            )
            method = own.default_payment_method or method
        if method:
            _apply_card(customer, method, at=at)
        elif not _has_known_card(customer):
            _forget_card(customer, at=at)


def _has_known_card(customer: Customer) -> bool:
    """Whether the card that we know still belongs to the customer at the provider."""
    known = Customer.objects.values_list("card_id", flat=True).get(pk=customer.pk)
    if not known:
        return False
    try:
        with calling() as stripe:
            return id_of(stripe.v1.payment_methods.retrieve(known).customer) == customer.provider_id
    except StripeRefused:
        return False


def _forget_card(customer: Customer, *, at: dt.datetime) -> None:
    Customer.objects.filter(pk=customer.pk).update(
        card_id="", card_brand="", card_last4="", card_expires="", card_fingerprint="", synced_at=at
    )


@transaction.atomic
def _apply_card(customer: Customer, method: Any, *, at: dt.datetime) -> None:
    card = optional(method, "card")
    before = Customer.objects.values_list("card_id", flat=True).get(pk=customer.pk)
    if before and before != method.id:
        subject = f"card:{method.id}"
        record(customer.account, "card.changed", by=PROVIDER, at=at, subject=subject)
        owe_payers(customer.account, "card_changed", period=method.id, subject=subject, at=at)
    Customer.objects.filter(pk=customer.pk).update(
        card_id=method.id,
        card_brand=card.brand if card else method.type,
        card_last4=card.last4 if card else "",
        card_expires=f"{card.exp_year:04}-{card.exp_month:02}" if card else "",
        card_fingerprint=(card.fingerprint or "") if card else "",
        synced_at=at,
    )


# --- Invoices and payments --------------------------------------------------------------------


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
    if row.attempt_count > tried and row.status == Invoice.Status.OPEN:
        _tell_failure(row, decline, at=at)


def _tell_failure(invoice: Invoice, decline: str, *, at: dt.datetime) -> None:
    """The provider tried to charge and could not. At the start the page says so itself: no mail."""
    subject = f"invoice:{invoice.provider_id}"
    record(
        invoice.account,
        "payment.failed",
        by=PROVIDER,
        at=at,
        subject=subject,
        amount=invoice.amount_remaining,
        currency=invoice.currency,
        decline=decline,
    )
    if invoice.billing_reason != "subscription_create":
        period = f"{invoice.provider_id}:{invoice.attempt_count}"
        facts = {"decline": decline}
        owe_payers(invoice.account, "payment_failed", period=period, subject=subject, at=at, facts=facts)


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
    owe_payers(
        account, "payment_received", period=payment.charge_id, subject=f"payment:{payment.charge_id}", at=at
    )
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
