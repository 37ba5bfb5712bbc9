"""Where a leaving stands, for its pages and its receipt."""

import datetime as dt
from dataclasses import dataclass, field, replace

from billing.models import Instruction, Refund
from offboarding.models import Cancellation, Closure, Ending, ExitSurvey, Reservation
from offboarding.withdrawals import can_stop_deletion, can_withdraw


@dataclass(frozen=True)
class Standing:
    """The facts that a page about one leaving shows."""

    cancellation: Cancellation
    refunds: list[Refund] = field(default_factory=list)
    reservation: Reservation | None = None
    closure: Closure | None = None
    is_answered: bool = False
    waits_for_provider: bool = False
    can_withdraw: bool = False
    can_claim: bool = False
    can_stop_deletion: bool = False
    last_step_open: bool = False


def read_glance(cancellation: Cancellation, *, at: dt.datetime) -> Standing:
    """What a card about it shows; no query where its reservation was read with it."""
    reservation: Reservation | None = getattr(cancellation, "reservation", None)
    return Standing(
        cancellation=cancellation,
        reservation=reservation,
        can_withdraw=can_withdraw(cancellation, at=at),
        can_claim=bool(
            reservation
            and reservation.status == Reservation.Status.RESERVED
            and reservation.deadline_at >= at
            and reservation.amount
        ),
        last_step_open=is_last_step_open(cancellation, at=at),
    )


def read_standing(cancellation: Cancellation, *, at: dt.datetime) -> Standing:
    """Read where it stands, in a fixed number of queries."""
    closures = list(
        Closure.objects.filter(account_id=cancellation.account_id, cancellation=cancellation).order_by("pk")
    )
    closure = closures[-1] if closures else None
    return replace(
        read_glance(cancellation, at=at),
        refunds=refunds_of(cancellation),
        closure=closure,
        is_answered=ExitSurvey.objects.filter(cancellation=cancellation).exists(),
        waits_for_provider=cancellation.status == Cancellation.Status.RECEIVED
        # One that is on its way for the first time has not failed.
        and Instruction.objects.open()
        .filter(account_id=cancellation.account_id, attempts__gt=0)
        .exclude(error="")
        .exists(),
        can_stop_deletion=bool(
            # Stopped once, what follows is the ordinary retention, which nobody has to stop.
            len(closures) == 1
            and can_stop_deletion(closures[0], at=at)
            and cancellation.ending == Ending.CLOSE_DELETE
        ),
    )


def refunds_of(cancellation: Cancellation) -> list[Refund]:
    """What goes back because of it, with the payments that it goes back to. One query."""
    return list(Refund.objects.filter(reason_ref=cancellation.ref).select_related("payment"))


def is_last_step_open(cancellation: Cancellation, *, at: dt.datetime) -> bool:
    """Whether money or data was chosen and waits for the last step."""
    return (
        cancellation.is_open
        and cancellation.moves_money_or_data
        and cancellation.confirmed_at is None
        and (cancellation.claim_until is None or cancellation.claim_until >= at)
    )
