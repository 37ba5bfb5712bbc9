"""Where someone stands when they want to leave: the facts, as plain values, read once.

A `Situation` holds everything that the outcome of any ending depends on, so that a quote can be
computed again from what was stored with it (R4). What our own declaration changes at the provider
(the scheduled end) is no part of it: it must not make a quote look outdated.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from billing.refund_rules import PaidInvoice, PaidLine, RefundFacts


class Start(StrEnum):
    """The starting points that have a page of their own."""

    FREE = "free"
    TRIAL = "trial"
    #: A trial without a card that has ended: everything is on for the days of grace.
    TRIAL_OVER = "trial_over"
    TRIAL_CARD = "trial_card"
    PAYING = "paying"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True)
class Situation:
    """The facts; moments are epoch seconds, amounts minor units.

    `unpaid_until` is the day that the mails about an unpaid invoice say: access ends with it.
    `charging` is what is about to be charged for a period that has begun: the provider issues the
    invoice of a renewal and charges it about an hour later.
    """

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
    charging: int = 0
    unpaid_until: int | None = None

    @property
    def is_pause_to_come(self) -> bool:
        """Whether a pause is agreed on while paid time still runs: it begins where that ends."""
        return self.start == Start.PAUSED and bool(self.billing.invoices)

    @property
    def is_blocked(self) -> bool:
        """Whether access is off already because an invoice stayed unpaid."""
        return self.unpaid_until is not None and self.unpaid_until <= self.billing.declared_at

    def measured(self, at: int) -> "Situation":
        """The same facts, measured at another moment."""
        return replace(self, billing=replace(self.billing, declared_at=at))

    def to_json(self) -> dict[str, Any]:
        """The facts as they are stored with a quote."""
        facts = asdict(self)
        # Quotes from before this was a fact stay the same facts, and so do pages that lie open.
        if facts["billing"]["last_card_refund_at"] is None:
            del facts["billing"]["last_card_refund_at"]
        return facts

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
