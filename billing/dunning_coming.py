"""What is still to come of an unpaid invoice: one list for its mails, the pages and support's page."""

import datetime as dt
from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts.calendar import CalendarEntry
from accounts.models import Terms
from accounts.templatetags.terms_format import format_money
from billing import declines
from billing.dunning_dates import steps_left
from billing.dunning_rules import ATTEMPT, BLOCK, END
from billing.models import DunningCase


@dataclass(frozen=True)
class Ahead:
    """One dated step: an attempt (`is_chosen`: on the customer's own day; `is_later`: only where the one
    before it fails too), the end of access, the end."""

    kind: str
    at: dt.datetime
    is_chosen: bool = False
    is_later: bool = False


def steps_ahead(case: DunningCase, zone: str, *, card_id: str, at: dt.datetime) -> list[Ahead]:
    """Each attempt with the card on file, the end of access and the end of it all, earliest first.

    Nothing where nothing comes by itself any more; no attempt with a card that is not tried again.
    """
    if not case.is_running:
        return []
    ahead: list[Ahead] = []
    if is_tried_again(case, card_id):
        attempts = [step for step in steps_left(case) if step.kind == ATTEMPT]
        ahead += [
            Ahead(ATTEMPT, step.at(zone), is_chosen=step.key == "chosen", is_later=number > 0)
            for number, step in enumerate(attempts)
        ]
    if case.blocked_at is None and case.block_at > at:
        ahead.append(Ahead(BLOCK, case.block_at))
    ahead.append(Ahead(END, case.end_at))
    order = (ATTEMPT, BLOCK, END)
    return sorted(ahead, key=lambda step: (step.at, order.index(step.kind)))


def is_tried_again(case: DunningCase, card_id: str) -> bool:
    """Whether the card on file is charged on the days of the plan: not one that the bank refused for good
    or that wants its owner, unless it is another one by now."""
    is_same = card_id == case.card_id
    is_stuck = declines.is_hard(case.decline) or declines.wants_customer(case.decline)
    return bool(card_id) and not (is_same and is_stuck)


def waits_for_owner(case: DunningCase, card_id: str) -> bool:
    """Whether the bank of the card on file, and of no other, wants its owner to confirm the payment."""
    return bool(card_id) and card_id == case.card_id and declines.wants_customer(case.decline)


def case_entries(
    case: DunningCase, zone: str, *, card_id: str, at: dt.datetime, is_payer: bool = True, url: str = ""
) -> list[CalendarEntry]:
    """The same steps as lines of what comes next, each with why; amounts are for those who pay."""
    ahead, is_tried = steps_ahead(case, zone, card_id=card_id, at=at), is_tried_again(case, card_id)
    return [_entry(case, step, url, is_tried) for step in ahead if is_payer or step.kind != ATTEMPT]


def _entry(case: DunningCase, step: Ahead, url: str, is_tried: bool) -> CalendarEntry:
    if step.kind == ATTEMPT:
        amount = format_money(case.invoice.amount_remaining, case.invoice.currency)
        text, why = _("We try to charge %(amount)s again") % {"amount": amount}, _why_then(step)
    elif step.kind == BLOCK:
        text = _("Access is turned off, unless the invoice is paid before")
        why = _("Every mail about the unpaid invoice says this day.")
    else:
        text = end_words(case, is_tried=is_tried)
        why = _("It is what the terms say where an invoice stays unpaid.")
    return CalendarEntry(at=step.at, text=text, why=why, url=url)


def _why_then(step: Ahead) -> str:
    if step.is_chosen:
        return _("You chose this day.")
    if step.is_later:
        return _("Only if the attempt before fails too.")
    return _("The bank refused it; the terms say on which days.")


def end_words(case: DunningCase, *, is_tried: bool) -> str:
    """What comes last where nobody pays; what was not tried is not stopped."""
    ends = {
        Terms.DunningEnd.CANCEL: _("The subscription ends, unless the invoice is paid before"),
        Terms.DunningEnd.FREE_PLAN: _("The free plan begins, unless the invoice is paid before"),
        Terms.DunningEnd.KEEP: _("We stop trying, and a person writes") if is_tried else _("A person writes"),
    }
    stays_off = (
        _("We stop trying; access stays off until it is paid")
        if is_tried
        else _("We stop writing; access stays off until it is paid")
    )
    return ends.get(Terms.DunningEnd(case.terms.dunning_end), stays_off)
