"""What each ending means: one pure function of the terms, the facts and the moment.

No clock, no database: the same facts give the same outcome for ever, which is what lets a quote be
shown, stored, executed and audited as one thing.
"""

import datetime as dt
from dataclasses import dataclass, replace
from enum import StrEnum

from billing import periods
from billing.refund_rules import (
    Basis,
    RefundResult,
    RefundTerms,
    Rule,
    refund_for_stopping_now,
    used_part_of_open_invoice,
)
from offboarding.models import Ending
from offboarding.situation import Situation, Start

#: Where nothing is billed to who does nothing: no ending is needed there.
FREE_STARTS = (Start.FREE, Start.TRIAL, Start.TRIAL_OVER)


class Act(StrEnum):
    """What an ending does from where someone stands: that is what it is called there."""

    STOP_RENEWING = "stop_renewing"
    CLOSE_TODAY = "close_today"
    LEAVE_WITH_TRIAL = "leave_with_trial"
    LEAVE_WITH_GRACE = "leave_with_grace"
    STOP_NOW = "stop_now"
    REFUND_NOW = "refund_now"
    FREE_DAYS = "free_days"
    CLOSE_DELETE = "close_delete"
    DELETE_DATA = "delete_data"


@dataclass(frozen=True)
class LeavingTerms:
    """The rules that leaving needs, from one version of the terms (see `accounts.models.Terms`)."""

    refund: RefundTerms
    refund_arrival_days: int
    dunning_block_day: int
    open_invoice: str
    free_days: int
    free_days_claim_days: int
    free_days_once_per_months: int
    team_hold_hours: int
    deletion_days: int
    retrieval_days: int
    retention_days: int


@dataclass(frozen=True)
class OpenInvoice:
    """What becomes of what is unpaid (C6): `owed` of `amount` stays owed."""

    rule: str
    amount: int
    owed: int
    credits: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Outcome:
    """One ending, to the day and to the cent. Moments are in UTC; a deadline counts to its last second."""

    ending: str
    why_not: str
    refund: RefundResult
    access_ends_at: dt.datetime
    keeps_access: bool
    paid_until: dt.datetime
    billing_ends_at: dt.datetime
    undo_until: dt.datetime | None
    claim_until: dt.datetime | None
    free_until: dt.datetime | None
    refund_by: dt.datetime | None
    data_until: dt.datetime
    purge_on: dt.datetime
    stop_until: dt.datetime | None
    open_invoice: OpenInvoice | None

    @property
    def is_offered(self) -> bool:
        """Whether this ending can be chosen from here; `why_not` says why not."""
        return not self.why_not


def decide_outcome(terms: LeavingTerms, facts: Situation, ending: str) -> Outcome:
    """The outcome of one ending, measured at `facts.billing.declared_at`."""
    at = _moment(facts.billing.declared_at)
    paid_until = _paid_until(terms, facts, at)
    refund = _refund(terms, facts, ending)
    access, billing = _ends(terms, facts, ending, at, paid_until, refund)
    retrieval = _end_of_day_after(access, terms.retrieval_days, facts.zone)
    is_deletion = ending == Ending.CLOSE_DELETE
    stop_until = _team_time_ends(terms, at) if is_deletion and facts.teammates else None
    return Outcome(
        ending=ending,
        why_not=_why_not(terms, facts, ending, at),
        refund=refund,
        access_ends_at=access,
        keeps_access=refund.keeps_access and ending == Ending.STOP_NOW,
        paid_until=paid_until,
        billing_ends_at=billing,
        undo_until=_undo_until(ending, access, at),
        claim_until=_claim_until(terms, facts, ending, at, paid_until),
        free_until=periods.add_local_days(at, terms.free_days, facts.zone)
        if ending == Ending.FREE_DAYS
        else None,
        refund_by=at + dt.timedelta(days=terms.refund_arrival_days) if refund.amount else None,
        data_until=retrieval,
        purge_on=_purge_on(terms, facts, at, access, stop_until)
        if is_deletion
        else _end_of_day_after(access, terms.retention_days, facts.zone),
        stop_until=stop_until,
        open_invoice=_open_invoice(terms, facts, at),
    )


def act_of(ending: str, start: str, *, keeps_access: bool) -> Act:
    """The name follows what is executed: nobody stops *now* who keeps access for weeks."""
    if ending == Ending.STOP_RENEWING:
        acts: dict[str, Act] = {
            Start.FREE: Act.CLOSE_TODAY,
            Start.TRIAL: Act.LEAVE_WITH_TRIAL,
            Start.TRIAL_CARD: Act.LEAVE_WITH_TRIAL,
            Start.TRIAL_OVER: Act.LEAVE_WITH_GRACE,
        }
        return acts.get(start, Act.STOP_RENEWING)
    if ending == Ending.CLOSE_DELETE and start == Start.ENDED:
        return Act.DELETE_DATA
    return Act.REFUND_NOW if keeps_access else Act(ending)


@dataclass(frozen=True)
class LaterRefund:
    """The refund of the declaration, as whoever only stopped the renewal can still choose it."""

    value: int
    currency: str
    until: dt.datetime
    act: Act


def later_refund(terms: LeavingTerms, facts: Situation) -> LaterRefund | None:
    """What stopping the renewal leaves open: until access ends another ending can be chosen (C11)."""
    renewing, now = _renewing_and_now(terms, facts)
    if not now.is_offered or not now.refund.value or now.claim_until is None:
        return None
    until = min(renewing.access_ends_at, now.claim_until)
    if until <= _moment(facts.billing.declared_at):
        return None
    act = act_of(Ending.STOP_NOW, facts.start, keeps_access=now.keeps_access)
    return LaterRefund(now.refund.value, now.refund.currency, until, act)


def is_now_like_renewing(terms: LeavingTerms, facts: Situation) -> bool:
    """Whether stopping now does no more than stopping the renewal: access is off, nothing comes back."""
    renewing, now = _renewing_and_now(terms, facts)
    if not facts.is_blocked or facts.charging or now.refund.value:
        return False
    same = replace(now, ending=renewing.ending, refund=renewing.refund, undo_until=None, claim_until=None)
    return same == replace(renewing, undo_until=None, claim_until=None)


def default_ending(terms: LeavingTerms, facts: Situation) -> str:
    """What is suggested to who is in doubt: to stop the renewal, where that forfeits nothing.

    Nothing is suggested where doing nothing costs nothing, where the refund of today could not be had
    afterwards, while a charge is under way that stopping now would spare, and where access is off already.
    """
    renewing, now = _renewing_and_now(terms, facts)
    if not renewing.is_offered or facts.start in FREE_STARTS or facts.charging or facts.is_blocked:
        return ""
    is_safe = not now.refund.value or later_refund(terms, facts) is not None
    return Ending.STOP_RENEWING if is_safe else ""


def _renewing_and_now(terms: LeavingTerms, facts: Situation) -> tuple[Outcome, Outcome]:
    return (
        decide_outcome(terms, facts, Ending.STOP_RENEWING),
        decide_outcome(terms, facts, Ending.STOP_NOW),
    )


def _paid_until(terms: LeavingTerms, facts: Situation, at: dt.datetime) -> dt.datetime:
    """The last moment of access when renewal just stops: nobody loses what is paid or granted."""
    if facts.start in (Start.FREE, Start.ENDED):
        return periods.end_of_local_day(at, facts.zone)
    end = _moment(facts.period_end) if facts.period_end else at
    if facts.start == Start.PAST_DUE and facts.unpaid_since is not None:
        end = min(end, _unpaid_until(terms, facts, facts.unpaid_since))
    return max(end, at)


def _unpaid_until(terms: LeavingTerms, facts: Situation, unpaid_since: int) -> dt.datetime:
    """The day that the first mail about the failure said; before that mail, the day that it will say."""
    if facts.unpaid_until is not None:
        return _moment(facts.unpaid_until)
    return _end_of_day_after(_moment(unpaid_since), terms.dunning_block_day, facts.zone)


def _refund(terms: LeavingTerms, facts: Situation, ending: str) -> RefundResult:
    if ending != Ending.STOP_RENEWING:
        return refund_for_stopping_now(terms.refund, facts.billing)
    return RefundResult(
        amount=0,
        tax=0,
        credit=0,
        currency=facts.currency,
        basis=Basis.TERMS,
        rule=Rule.NONE,
        keeps_access=True,
        parts=(),
        lines=(),
        why_none="runs_to_the_end",
    )


def _ends(
    terms: LeavingTerms,
    facts: Situation,
    ending: str,
    at: dt.datetime,
    paid_until: dt.datetime,
    refund: RefundResult,
) -> tuple[dt.datetime, dt.datetime]:
    """When access ends, and after which moment nothing may be billed: two axes."""
    if ending == Ending.STOP_RENEWING:
        return paid_until, at if facts.start == Start.PAUSED else paid_until
    if ending == Ending.FREE_DAYS:
        moved = periods.add_local_days(paid_until, terms.free_days, facts.zone)
        return moved, moved
    if ending == Ending.STOP_NOW and refund.keeps_access:
        return paid_until, paid_until
    if ending == Ending.CLOSE_DELETE and facts.teammates:
        return _team_time_ends(terms, at), at
    return at, at


def _team_time_ends(terms: LeavingTerms, at: dt.datetime) -> dt.datetime:
    """Never less than the hours promised: `at` has lost its fraction of a second, so a second is added."""
    return at + dt.timedelta(hours=terms.team_hold_hours, seconds=1)


def _undo_until(ending: str, access: dt.datetime, at: dt.datetime) -> dt.datetime | None:
    """Until when it can be taken back; None: not once it is confirmed, because the money has left."""
    return access if ending in (Ending.STOP_RENEWING, Ending.FREE_DAYS) else None


def _claim_until(
    terms: LeavingTerms, facts: Situation, ending: str, at: dt.datetime, paid_until: dt.datetime
) -> dt.datetime | None:
    """Until when a refund that was chosen can still be confirmed or claimed."""
    if ending == Ending.FREE_DAYS:
        return _end_of_day_after(at, terms.free_days + terms.free_days_claim_days, facts.zone)
    if ending in (Ending.STOP_NOW, Ending.CLOSE_DELETE):
        return max(paid_until, periods.end_of_local_day(at, facts.zone))
    return None


def _purge_on(
    terms: LeavingTerms,
    facts: Situation,
    at: dt.datetime,
    access: dt.datetime,
    stop_until: dt.datetime | None,
) -> dt.datetime:
    """The day of deletion when the days to fetch the data are given up, never inside teammates' time."""
    soonest = _end_of_day_after(at, terms.deletion_days, facts.zone)
    return max(soonest, access, stop_until or soonest)


def _open_invoice(terms: LeavingTerms, facts: Situation, at: dt.datetime) -> OpenInvoice | None:
    if not facts.unpaid:
        return None
    amounts = {invoice.invoice: invoice.total - invoice.paid for invoice in facts.unpaid}
    if terms.open_invoice == "void":
        owed = dict.fromkeys(amounts, 0)
    elif terms.open_invoice == "used_part":
        used = {i.invoice: used_part_of_open_invoice(i, int(at.timestamp())).amount for i in facts.unpaid}
        owed = {name: min(amounts[name], part) for name, part in used.items()}
    else:
        owed = amounts
    return OpenInvoice(
        rule=terms.open_invoice,
        amount=sum(amounts.values()),
        owed=sum(owed.values()),
        credits=tuple((name, amounts[name] - owed[name]) for name in amounts),
    )


def _why_not(terms: LeavingTerms, facts: Situation, ending: str, at: dt.datetime) -> str:
    """Why this ending is not offered from here: a code, or ""."""
    if ending == Ending.CLOSE_DELETE:
        return ""
    if facts.start == Start.ENDED:
        return "nothing_runs"
    if ending != Ending.FREE_DAYS:
        return ""
    if not terms.free_days:
        return "not_in_terms"
    if facts.start in (Start.FREE, Start.PAST_DUE, Start.PAUSED):
        return {Start.FREE: "already_free", Start.PAST_DUE: "unpaid", Start.PAUSED: "paused"}[facts.start]
    if facts.charging:
        return "being_charged"
    return "had_free_days" if _had_free_days(terms, facts, at) else ""


def _had_free_days(terms: LeavingTerms, facts: Situation, at: dt.datetime) -> bool:
    if facts.last_free_days_at is None or not terms.free_days_once_per_months:
        return False
    last = periods.local_date(_moment(facts.last_free_days_at), facts.zone)
    return periods.local_date(at, facts.zone) < periods.add_months(last, terms.free_days_once_per_months)


def _end_of_day_after(moment: dt.datetime, days: int, zone: str) -> dt.datetime:
    day = periods.local_date(moment, zone) + dt.timedelta(days=days)
    return periods.end_of_date(day, zone)


def _moment(epoch: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(epoch, dt.UTC)
