"""Paying out what a quote promised."""

import datetime as dt

from accounts.events import By
from billing.instructions import instruct
from billing.models import Customer, Instruction, Payment, Refund
from billing.refunds import make_refund
from offboarding.models import Cancellation


def give_back(cancellation: Cancellation, *, by: By, at: dt.datetime) -> None:
    """Each part of the quote to its own payment; what was paid with credit goes back as credit."""
    quote, account = cancellation.quote, cancellation.account
    for part in quote.parts:
        if part["amount"]:
            payment = Payment.objects.select_related("account").get(provider_id=part["payment"])
            make_refund(
                payment,
                amount=part["amount"],
                tax=part["tax"],
                basis=quote.basis,
                by=by,
                at=at,
                terms=quote.terms,
                reason_ref=cancellation.ref,
                quote_ref=quote.public_id,
                is_voluntary=quote.basis == Refund.Basis.TERMS,
            )
        if part["credit"]:
            instruct(
                account,
                kind=Instruction.Kind.CREDIT,
                subject=f"credit:{quote.public_id}:{part['invoice']}",
                by=by,
                at=at,
                desired={
                    "customer": Customer.objects.get(account=account).provider_id,
                    "amount": part["credit"],
                    "currency": quote.currency,
                    "for": cancellation.public_id,
                },
            )
