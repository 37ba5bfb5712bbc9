"""Quotes: what was shown is what is executed (R4).

A page shows outcomes with a signed mark of when they were measured and from which facts. The mark
comes back with the choice: if the facts are still the same, the very same outcome is computed
again, stored and executed; if they moved, nothing is executed and the new one is shown.
"""

import datetime as dt
from dataclasses import asdict, dataclass

from django.core import signing

from accounts.models import Account, Terms
from billing.models import Subscription
from billing.refund_rules import After, RefundTerms
from offboarding.facts import read_situation
from offboarding.models import Cancellation, Quote
from offboarding.outcomes import Act, LeavingTerms, Outcome, act_of, decide_outcome
from offboarding.situation import Situation

SALT = "offboarding.shown"
#: How long a page may lie open and still be executed as it was shown.
SHOWN_FOR = dt.timedelta(minutes=30)


class FactsMoved(Exception):
    """What was shown does not hold any more: nothing is executed, the new one is shown and asked again."""


@dataclass(frozen=True)
class Shown:
    """What a page showed: when it was measured and from which facts."""

    at: dt.datetime
    fingerprint: str

    def sign(self, account: Account) -> str:
        """The mark for a hidden field."""
        return signing.dumps([account.public_id, int(self.at.timestamp()), self.fingerprint], salt=SALT)

    @classmethod
    def read(cls, account: Account, mark: str, *, at: dt.datetime) -> "Shown":
        """The mark of this account's page; raises `FactsMoved` for one that is false, foreign or too old."""
        try:
            owner, epoch, fingerprint = signing.loads(mark, salt=SALT)
        except (signing.BadSignature, ValueError) as error:
            raise FactsMoved from error
        shown = cls(dt.datetime.fromtimestamp(epoch, dt.UTC), fingerprint)
        if owner != account.public_id or not dt.timedelta() <= at - shown.at <= SHOWN_FOR:
            raise FactsMoved
        return shown


def leaving_terms(terms: Terms) -> LeavingTerms:
    """The rules that leaving needs, from the account's accepted version."""
    return LeavingTerms(
        refund=RefundTerms(
            full_days=terms.refund_full_days,
            after=After(terms.refund_after),
            keep_access=terms.refund_keeps_access,
            once_per_months=terms.refund_once_per_months,
        ),
        refund_arrival_days=terms.refund_arrival_days,
        dunning_block_day=terms.dunning_block_day,
        open_invoice=terms.open_invoice,
        free_days=terms.free_days,
        free_days_claim_days=terms.free_days_claim_days,
        free_days_once_per_months=terms.refund_once_per_months,
        team_hold_hours=terms.team_hold_hours,
        deletion_days=terms.deletion_days,
        retrieval_days=terms.retrieval_days,
        retention_days=terms.retention_days,
    )


def store_quote(account: Account, facts: Situation, outcome: Outcome, *, at: dt.datetime) -> Quote:
    """Keep what one ending meant, with the facts it was computed from."""
    refund, unpaid = outcome.refund, outcome.open_invoice
    return Quote.objects.create(
        account=account,
        subscription=Subscription.objects.filter(account=account, public_id=facts.subscription).first(),
        ending=outcome.ending,
        terms=account.terms,
        made_at=at,
        measured_at=dt.datetime.fromtimestamp(facts.billing.declared_at, dt.UTC),
        facts=facts.to_json(),
        facts_hash=facts.fingerprint(),
        currency=refund.currency or facts.currency,
        amount=refund.amount,
        tax=refund.tax,
        credit=refund.credit,
        basis=refund.basis,
        rule=refund.rule,
        why_none=refund.why_none,
        parts=[asdict(part) for part in refund.parts],
        lines=[asdict(line) for line in refund.lines],
        access_ends_at=outcome.access_ends_at,
        keeps_access=outcome.keeps_access,
        billing_ends_at=outcome.billing_ends_at,
        undo_until=outcome.undo_until,
        refund_by=outcome.refund_by,
        claim_until=outcome.claim_until,
        data_until=outcome.data_until,
        purge_on=outcome.purge_on,
        open_invoice=unpaid.rule if unpaid else "",
        open_invoice_amount=unpaid.amount if unpaid else 0,
        open_invoice_owed=unpaid.owed if unpaid else 0,
    )


def act_of_quote(quote: Quote) -> Act:
    """What was shown and chosen, by what it does."""
    return act_of(quote.ending, str(quote.facts.get("start")), keeps_access=quote.keeps_access)


def situation_of(quote: Quote) -> Situation:
    """The facts that a quote was made from."""
    return Situation.from_json(quote.facts)


def recompute(quote: Quote) -> Outcome:
    """The rule again, from the terms and facts stored with the quote; must equal what is stored (R4)."""
    return decide_outcome(leaving_terms(quote.terms), situation_of(quote), quote.ending)


def is_faithful(quote: Quote) -> bool:
    """Whether the stored figures are what the rule gives from the stored facts."""
    again = recompute(quote)
    stored = (quote.amount, quote.credit, quote.tax, quote.access_ends_at, quote.purge_on, quote.parts)
    refund = again.refund
    parts = [asdict(part) for part in refund.parts]
    return stored == (refund.amount, refund.credit, refund.tax, again.access_ends_at, again.purge_on, parts)


def current_facts(cancellation: Cancellation) -> Situation:
    """The facts as they are now, measured at the declaration: time that passed costs nothing (C11)."""
    return read_situation(
        cancellation.account, at=cancellation.quote.measured_at, of=cancellation.subscription
    )
