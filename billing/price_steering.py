"""Telling the provider what the next renewal costs: many subscriptions in a few statements.

The price is set for one renewal: whoever carries the instruction leaves it out where that renewal has been
charged, or moved, by the time it is sent, however late that is.
"""

import datetime as dt
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.db.models import Max

from accounts.doorbell import ring
from accounts.events import SYSTEM, record_many
from billing.models import Instruction, Subscription


class Steered(NamedTuple):
    """A subscription, the price of the provider's that it should renew at, and those that it may replace."""

    subscription: Subscription
    price: str
    instead_of: Sequence[str]


def steer_prices(wanted: Iterable[Steered], *, at: dt.datetime) -> None:
    """Let each subscription renew at this price, from the end of its period on.

    What `steer_subscription` does, for many at once, inside the caller's transaction, which holds the
    accounts. Nothing else of what should be is touched: what is unsaid is carried on, and a plan that the
    customer has just chosen comes first.
    """
    rows = {f"subscription:{one.subscription.provider_id}": one for one in wanted}
    if not rows:
        return
    earlier = Instruction.objects.filter(subject__in=rows)
    unsaid = {one.subject: one for one in earlier.open().order_by("version")}
    last = dict(earlier.values("subject").annotate(last=Max("version")).values_list("subject", "last"))
    earlier.filter(status=Instruction.Status.PENDING).update(status=Instruction.Status.SUPERSEDED)
    new = [
        Instruction(
            account_id=one.subscription.account_id,
            kind=Instruction.Kind.SUBSCRIPTION,
            subject=subject,
            version=last.get(subject, 0) + 1,
            desired=_desired(one, unsaid.get(subject)),
            idempotency_key=f"gt-{secrets.token_hex(16)}",
            next_attempt_at=at,
            created_at=at,
        )
        for subject, one in rows.items()
    ]
    Instruction.objects.bulk_create(new)
    record_many(
        [one.account_id for one in new],
        "instruction.given",
        by=SYSTEM,
        at=at,
        subjects={one.account_id: f"instruction:{one.public_id}" for one in new},
        facts_of={one.account_id: {"about": one.subject, "version": one.version} for one in new},
    )
    ring("billing.send_instructions")


def _desired(one: Steered, unsaid: Instruction | None) -> dict[str, Any]:
    row = one.subscription
    assert row.period_end is not None
    desired = dict(unsaid.desired) if unsaid else {"subscription": row.provider_id, "ends": Instruction.AS_IS}
    if "price" in desired and "price_if" not in desired:
        return desired
    condition = {"renews": int(row.period_end.timestamp()), "instead_of": list(one.instead_of)}
    return desired | {"price": one.price, "price_if": condition}
