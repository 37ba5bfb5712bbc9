"""The dates of one leaving, in the same words on its page, on its receipt and in its mails.

What is said comes from the stored quote, the kept refund and the declaration alone; nothing is asked
of the database.
"""

import datetime as dt
from dataclasses import replace

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.templatetags.terms_format import day, format_money, moment
from offboarding import wording
from offboarding.completions import kept_until
from offboarding.models import Cancellation, Ending, Quote, Reservation
from offboarding.outcomes import FREE_STARTS, LaterRefund, later_refund
from offboarding.quotes import leaving_terms, recompute, situation_of
from offboarding.situation import Start
from offboarding.standing import Standing
from offboarding.wording import Pair


def dates_of(standing: Standing) -> list[Pair]:
    """When access ends, until when a refund can be had, and what the last step changes about both."""
    cancellation = standing.cancellation
    if cancellation.status == Cancellation.Status.WITHDRAWN:
        return []
    facts = situation_of(cancellation.quote)
    if facts.start == Start.ENDED:
        return []
    if facts.is_blocked and facts.unpaid_until is not None:
        ended_at = dt.datetime.fromtimestamp(facts.unpaid_until, dt.UTC)
        return [(_("Last moment of access"), moment(ended_at))]
    if standing.last_step_open:
        return _with_and_without_the_step(cancellation)
    last = (_("Last moment of access"), moment(cancellation.effective_at))
    if standing.reservation is not None:
        free = _free_days(cancellation, standing.reservation.free_until)
        return [free, last, *_kept(standing.reservation, is_open=cancellation.is_open)]
    later = refund_left_open(cancellation)
    open_ = [(_("Refund"), wording.still_open(later))] if later else []
    return [last, *open_, *_refund_missed(cancellation)]


def refund_left_open(cancellation: Cancellation) -> LaterRefund | None:
    """Whoever only stopped the renewal can still choose the refund of that day, while access is on."""
    if not cancellation.is_open or cancellation.ending != Ending.STOP_RENEWING:
        return None
    later = later_refund(leaving_terms(cancellation.quote.terms), situation_of(cancellation.quote))
    return replace(later, until=min(later.until, cancellation.effective_at)) if later else None


def is_free_time_first(cancellation: Cancellation) -> bool:
    """Whether paid days go on after the free ones: in a trial there are none."""
    paid = situation_of(cancellation.quote).start not in wording.NOTHING_PAID
    return paid and cancellation.is_open and cancellation.ending == Ending.FREE_DAYS


def data_and_the_step(cancellation: Cancellation) -> str:
    """When the data goes, without the last step and with it."""
    quote = cancellation.quote
    kept = kept_until(cancellation)
    days = quote.terms.retention_days
    words = {"day": day(kept), "days": days, "other": day(quote.purge_on)}
    if quote.ending == Ending.CLOSE_DELETE:
        said = _("Without the last step it is deleted on %(day)s; with it, on the day that you choose there.")
    elif quote.ending == Ending.STOP_NOW and not quote.keeps_access:
        said = ngettext(
            "Without the last step it is deleted on %(day)s; with it, %(days)d day after you confirm.",
            "Without the last step it is deleted on %(day)s; with it, %(days)d days after you confirm.",
            days,
        )
    elif quote.purge_on != kept:
        said = _("Without the last step it is deleted on %(day)s; with it, on %(other)s.")
    else:
        said = _("It is deleted on %(day)s, with the last step or without it.")
    return said % words


def renews_otherwise(quote: Quote) -> bool:
    """Whether something would have renewed: not on the free plan, in a trial without card, after the end."""
    return situation_of(quote).start not in (*FREE_STARTS, Start.ENDED)


def billing_words(cancellation: Cancellation) -> str:
    """What is still billed: nothing, save a period that had begun and was being charged."""
    quote = cancellation.quote
    charging = situation_of(quote).charging
    stands = cancellation.ending == Ending.STOP_RENEWING or cancellation.confirmed_at is None
    if charging and stands:
        return _("%(amount)s for the period that had just begun; nothing after it.") % {
            "amount": format_money(charging, quote.currency)
        }
    return _("Nothing more is billed.")


def _with_and_without_the_step(cancellation: Cancellation) -> list[Pair]:
    quote = cancellation.quote
    return [
        (
            _("Without the last step"),
            _("Access ends on %(moment)s; nothing is refunded")
            % {"moment": moment(cancellation.effective_at)}
            if quote.amount or quote.credit
            else _("Access ends on %(moment)s") % {"moment": moment(cancellation.effective_at)},
        ),
        (_("With the last step"), _access_with_it(quote)),
        *_refund_of_the_step(cancellation),
    ]


def _access_with_it(quote: Quote) -> str:
    if quote.ending == Ending.FREE_DAYS or quote.keeps_access:
        return _("Access ends on %(moment)s") % {"moment": moment(quote.access_ends_at)}
    if quote.ending == Ending.CLOSE_DELETE and situation_of(quote).teammates:
        hours = quote.terms.team_hold_hours
        return ngettext(
            "Access ends %(hours)d hour after you confirm",
            "Access ends %(hours)d hours after you confirm",
            hours,
        ) % {"hours": hours}
    return _("Access ends once you confirm")


def _refund_of_the_step(cancellation: Cancellation) -> list[Pair]:
    quote = cancellation.quote
    value = quote.amount + quote.credit
    if not value or cancellation.claim_until is None:
        return []
    if quote.ending != Ending.FREE_DAYS:
        words = _("%(amount)s, if you take the last step by %(moment)s; after that it lapses") % {
            "amount": format_money(value, quote.currency),
            "moment": moment(cancellation.claim_until),
        }
        return [(_("Refund"), words)]
    kept = _(
        "%(amount)s is then kept for you: claim it on any day until %(moment)s; "
        "claiming it ends what is left of access"
    ) % {
        "amount": format_money(value, quote.currency),
        "moment": moment(cancellation.claim_until),
    }
    return [_free_days(cancellation, recompute(quote).free_until), (_("Refund"), kept)]


def _free_days(cancellation: Cancellation, until: dt.datetime | None) -> Pair:
    if not is_free_time_first(cancellation):
        return (_("Free days until"), day(until))
    return (_("Free days"), _("Until %(day)s; after them your paid days go on") % {"day": day(until)})


def _kept(reservation: Reservation, *, is_open: bool) -> list[Pair]:
    """The refund that free days keep, and what became of it."""
    if not reservation.amount:
        return []
    amount = format_money(reservation.amount, reservation.currency)
    closed = {"amount": amount, "day": day(reservation.closed_at)}
    words = {
        Reservation.Status.CLAIMED: _("%(amount)s was claimed on %(day)s") % closed,
        Reservation.Status.LAPSED: _("%(amount)s could be claimed until %(moment)s and was not")
        % {"amount": amount, "moment": moment(reservation.deadline_at)},
    }.get(
        Reservation.Status(reservation.status),
        wording.kept_refund(
            reservation.amount, reservation.currency, reservation.deadline_at, ends_access=is_open
        ),
    )
    return [(_("Refund"), words)]


def _refund_missed(cancellation: Cancellation) -> list[Pair]:
    """The last step was not taken by its last moment."""
    quote = cancellation.quote
    value = quote.amount + quote.credit
    if not value or cancellation.confirmed_at is not None or not cancellation.moves_money_or_data:
        return []
    words = _("%(amount)s could be had by the last step until %(moment)s; it was not taken") % {
        "amount": format_money(value, quote.currency),
        "moment": moment(cancellation.claim_until),
    }
    return [(_("Refund"), words)]
