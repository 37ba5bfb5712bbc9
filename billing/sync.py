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
from billing.dunning_access import is_chased
from billing.dunning_attempts import try_new_card
from billing.dunning_ends import follow_end
from billing.locks import writing_customer
from billing.models import Customer, Invoice, Plan, Refund, Subscription, TrialExtension
from billing.notices import owe_payers
from billing.renewals import owe_renewal_notices
from billing.signals import subscription_changed
from billing.stripe_api import StripeRefused, calling, id_of, moment, optional
from billing.subscriptions import owe_start_of_trial
from billing.sync_invoices import sync_invoice, sync_payment
from billing.trial_rights import use_allowance
from billing.trial_steps import drop_trial, grant_end

#: Older invoices that are settled move only by an event, and those are back-filled.
RECENT = dt.timedelta(days=40)


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
    before: dict[str, Any] = {
        "status": row.status if row else "",
        "cancel_at": row.cancel_at if row else None,
    }
    columns = _subscription_columns(fetched) | {"plan": plan, "synced_at": at}
    gave_way: list[Subscription] = []
    if row is None:
        if columns["status"] in Subscription.LIVE:
            gave_way = _make_way(account, at=at)
        row = Subscription.objects.create(account=account, provider_id=fetched.id, **columns)
    else:
        if columns["status"] in Subscription.LIVE and row.status not in Subscription.LIVE:
            gave_way = _make_way(account, at=at)
        Subscription.objects.filter(pk=row.pk).update(**columns)
        row.refresh_from_db()
    for trial in gave_way:
        _note_days_for_card(trial, row, at=at)
    _follow_trial(row, before["status"], at=at)
    owe_renewal_notices(row, at=at)
    if row.status != before["status"]:
        kind = "free_time" if row.is_free_time else row.status
        record(account, f"subscription.{kind}", by=PROVIDER, at=at, subject=f"subscription:{row.public_id}")
        _open_account(account, row, at=at)
        follow_end(row, at=at)
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


def _make_way(account: Account, *, at: dt.datetime) -> list[Subscription]:
    """The free plan or a trial without card gives way to what is paid, and its end of access with it.

    Returns what gave way, as it was.
    """
    rows = Subscription.objects.live().filter(account=account, provider_id=None)
    gave_way = list(rows)
    ends = [row.period_end for row in gave_way if row.trial_end]
    Account.objects.filter(pk=account.pk, access_ends_at__in=ends).update(access_ends_at=None)
    rows.update(status=Subscription.Status.CANCELED, ended_at=at)
    drop_trial(account, at=at, reason="subscribed")
    return gave_way


def _note_days_for_card(trial: Subscription, new: Subscription, *, at: dt.datetime) -> None:
    """Adding a card during the trial made it longer, as the terms say (T4: a row that says why)."""
    before, after = trial.trial_end, new.trial_end
    if before is None or after is None or after <= before:
        return
    TrialExtension.objects.create(
        account_id=trial.account_id,
        subscription=new,
        days=max(1, (after - before).days),
        ends_before=before,
        ends_after=after,
        via=TrialExtension.Via.CARD,
        reason=TrialExtension.Reason.CARD,
        actor=PROVIDER.actor,
        created_at=at,
    )


def _follow_trial(row: Subscription, before: str, *, at: dt.datetime) -> None:
    """A trial with a card: its notices are planned, and again when its end moves; afterwards none is left."""
    is_trial = row.status == Subscription.Status.TRIALING and row.first_paid_at is None
    if is_trial and row.trial_end is not None and row.trial_end != row.trial_granted_end:
        is_new = row.trial_granted_end is None
        calendar = grant_end(row, row.trial_end, at=at)
        if is_new and before in ("", Subscription.Status.INCOMPLETE):
            use_allowance(row.account, at=at)
            owe_start_of_trial(row, calendar, at=at)
    elif not is_trial and row.trial_granted_end is not None and before == Subscription.Status.TRIALING:
        drop_trial(row.account, at=at, reason="over")


def _open_account(account: Account, row: Subscription, *, at: dt.datetime) -> None:
    """What is paid or on trial is open (T2: nobody who paid is frozen).

    Only an account that was shut gets its access back here: the end of access of one that is
    leaving or paused was set by whoever decided that. A pushed end makes the provider say
    `trialing`; whoever has paid is not on trial. While an invoice is unpaid its case decides.
    """
    on_trial = row.status == Subscription.Status.TRIALING and row.first_paid_at is None
    wanted = Account.State.TRIALING if on_trial else Account.State.ACTIVE
    if row.status not in ("active", "trialing") or account.state in (wanted, Account.State.ERASED):
        return
    if is_chased(account):
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
    if before != method.id:
        customer.refresh_from_db()
        try_new_card(customer, at=at)
