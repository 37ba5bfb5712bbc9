"""The mails about money: what each says, and whether it is still so when it is about to leave."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Member, Notice, User
from accounts.notices import Category, NoticeKind, owe, register
from billing.models import Customer, Pause, Payment, Refund
from billing.samples import newest


def payers_of(account: Account) -> list[User]:
    """Those who get the mails about money: owners and billing members of today."""
    return [m.user for m in Member.objects.payers().filter(account=account).select_related("user")]


def owe_payers(
    account: Account,
    kind: str,
    *,
    period: str,
    subject: str,
    at: dt.datetime,
    facts: dict[str, Any] | None = None,
) -> None:
    """Owe every payer this notice once for this period."""
    owe(account, kind, to=payers_of(account), period=period, subject=subject, at=at, facts=facts)


def register_notices() -> None:
    """Make billing's kinds known; called from `AppConfig.ready`."""
    from billing.dunning_notices import KINDS as DUNNING

    for kind in (*KINDS, *DUNNING):
        register(kind)


def _named(notice: Notice) -> str:
    """The id behind the kind in the notice's subject: "refund:ID" is ID."""
    return notice.subject.partition(":")[2]


def _path(notice: Notice, name: str, **ids: str) -> str:
    return reverse(name, kwargs={"account_id": notice.account.public_id, **ids})


def _card(brand: str, last4: str) -> dict[str, str]:
    return {"card_brand": brand.capitalize(), "card_last4": last4}


# --- Payments ---------------------------------------------------------------------------------


def _payment(notice: Notice) -> Payment | None:
    found = Payment.objects.select_related("invoice__subscription__plan")
    return found.filter(account=notice.account, charge_id=_named(notice)).first()


def _receipt(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    payment = _payment(notice)
    if payment is None:
        raise LookupError(notice.subject)
    invoice = payment.invoice
    subscription = invoice.subscription if invoice else None
    number = invoice.number if invoice else ""
    return {
        "payment": payment,
        "invoice": invoice,
        "plan": subscription.plan if subscription else None,
        "is_first": invoice is not None and invoice.billing_reason == "subscription_create",
        "renews_at": subscription.renews_at if subscription else None,
        "path": _path(notice, "invoice", number=number) if number else _path(notice, "invoices"),
        **_card(payment.method_brand, payment.method_last4),
    }


# --- Refunds ----------------------------------------------------------------------------------


def _refund(notice: Notice) -> Refund | None:
    found = Refund.objects.select_related("payment__invoice")
    return found.filter(account=notice.account, public_id=_named(notice)).first()


def _is_refund(*states: str) -> Any:
    def ask(notice: Notice, at: dt.datetime) -> bool:
        refund = _refund(notice)
        return refund is not None and refund.state in states

    return ask


def _refund_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    refund = _refund(notice)
    if refund is None:
        raise LookupError(notice.subject)
    payment = refund.payment
    number = payment.invoice.number if payment.invoice else ""
    return {
        "refund": refund,
        "payment": payment,
        "path": _path(notice, "invoice", number=number) if number else _path(notice, "invoices"),
        **_card(payment.method_brand, payment.method_last4),
    }


# --- Cards -------------------------------------------------------------------------------------


def _is_card_still_used(notice: Notice, at: dt.datetime) -> bool:
    return Customer.objects.filter(account=notice.account, card_id=_named(notice)).exists()


def _new_card(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    customer = Customer.objects.get(account=notice.account)
    return {
        "path": _path(notice, "billing_overview"),
        "expires": customer.card_valid_until,
        **_card(customer.card_brand, customer.card_last4),
    }


# --- Pauses -----------------------------------------------------------------------------------


def _pause(notice: Notice) -> Pause | None:
    rows = Pause.objects.select_related("subscription__plan").filter(status=Pause.Status.PLANNED)
    return rows.filter(pk=int(notice.period.partition(":")[2])).first()


def _pause_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    return {"pause": _pause(notice), "path": _path(notice, "billing_overview")}


def _is_still_paused(notice: Notice, at: dt.datetime) -> bool:
    """It goes on after the pause: nobody has said that they leave."""
    pause = _pause(notice)
    return pause is not None and pause.subscription.cancel_at is None


KINDS = (
    NoticeKind(
        code="payment_received",
        title=_("Receipt for your payment"),
        why=_("We received a payment."),
        context=_receipt,
        still_true=lambda notice, at: _payment(notice) is not None,
        sample=newest("payment", subject="sample:"),
    ),
    NoticeKind(
        code="refund_sent",
        title=_("Your refund is on its way"),
        why=_("We gave a refund to the payment provider."),
        context=_refund_words,
        still_true=_is_refund(Refund.State.PENDING, Refund.State.SUCCEEDED),
        topic="refund",
        sample=newest("refund", subject="sample:"),
    ),
    NoticeKind(
        code="refund_failed",
        title=_("Your refund could not be delivered"),
        why=_("A refund came back; the mail says what happens now."),
        context=_refund_words,
        still_true=_is_refund(Refund.State.FAILED),
        topic="refund",
        sample=newest("refund", subject="sample:"),
    ),
    NoticeKind(
        code="pause_ends",
        title=_("Your pause ends"),
        why=_("You agreed on a pause; it ends on the date you chose."),
        context=_pause_words,
        still_true=_is_still_paused,
        # It announces a charge: nobody waits for a better moment with that.
        category=Category.LEGAL,
    ),
    NoticeKind(
        code="card_changed",
        title=_("The card on file was changed"),
        why=_("Another card is charged from now on."),
        context=_new_card,
        still_true=_is_card_still_used,
        sample=newest("card", subject="sample:"),
    ),
)
