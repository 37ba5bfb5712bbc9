"""Leaving in words: what each ending means, why a refund is what it is, what was decided.

Codes and figures come from `outcomes` and `billing.refund_rules`; here they become sentences in the
reader's language. Nothing is calculated.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from accounts.templatetags.terms_format import day, format_money, moment
from billing.plan_choice import price_words
from offboarding.doing_nothing import Nothing
from offboarding.models import Cancellation, Ending, Quote
from offboarding.outcomes import FREE_STARTS, Act, LaterRefund, Outcome, act_of
from offboarding.quotes import act_of_quote, situation_of
from offboarding.situation import Situation, Start

Pair = tuple[str, str]
#: Where nothing has been paid, so that nothing could be refunded either.
NOTHING_PAID = (*FREE_STARTS, Start.TRIAL_CARD)

TITLES = {
    Act.STOP_RENEWING: gettext_noop("Stop renewing"),
    Act.CLOSE_TODAY: gettext_noop("Close at the end of today"),
    Act.LEAVE_WITH_TRIAL: gettext_noop("Leave when the trial ends"),
    Act.LEAVE_WITH_GRACE: gettext_noop("Leave when access ends"),
    Act.STOP_NOW: gettext_noop("Stop now"),
    Act.REFUND_NOW: gettext_noop("Refund now, access to the end"),
    Act.FREE_DAYS: gettext_noop("Free days first"),
    Act.CLOSE_DELETE: gettext_noop("Close and delete everything"),
    Act.DELETE_DATA: gettext_noop("Delete everything"),
}
BUTTONS = {
    Act.STOP_RENEWING: gettext_noop("Stop renewing"),
    Act.CLOSE_TODAY: gettext_noop("Close today"),
    Act.LEAVE_WITH_TRIAL: gettext_noop("Leave when the trial ends"),
    Act.LEAVE_WITH_GRACE: gettext_noop("Leave when access ends"),
    Act.STOP_NOW: gettext_noop("Stop now"),
    Act.REFUND_NOW: gettext_noop("Take the refund"),
    Act.FREE_DAYS: gettext_noop("Take the free days"),
    Act.CLOSE_DELETE: gettext_noop("Close and delete"),
    Act.DELETE_DATA: gettext_noop("Delete everything"),
}

WHY_NONE = {
    "runs_to_the_end": gettext_noop("Nothing to refund: you keep what you paid for."),
    "outside_window": gettext_noop(
        "The days with a full refund are over, and our terms give nothing back after them."
    ),
    "no_refund_in_terms": gettext_noop("Our terms give nothing back for a period that has begun."),
    "once_per_period": gettext_noop("A voluntary refund was paid recently; our terms give one in this time."),
    "once_per_card": gettext_noop(
        "This card had a voluntary refund for another account recently; "
        "our terms give each card one in this time."
    ),
    "already_refunded": gettext_noop("What could be refunded has been refunded already."),
    "disputed": gettext_noop(
        "Your bank is already taking this payment back, so it cannot be refunded a second time."
    ),
    "nothing_paid": gettext_noop("Nothing has been paid that could be refunded."),
    "fully_used": gettext_noop("The paid time is used up."),
    "nothing_after_credits": gettext_noop("What you paid has been balanced by credits for a change of plan."),
}

WHY_NOT = {
    "nothing_runs": gettext_noop("Nothing is running that could be stopped: you are not being billed."),
    "not_in_terms": gettext_noop("Our terms do not include free days."),
    "already_free": gettext_noop("The free plan costs nothing, so there is nothing to try for free."),
    "unpaid": gettext_noop("There is an unpaid invoice; free days need a paid period to extend."),
    "paused": gettext_noop("A pause is agreed on."),
    "being_charged": gettext_noop(
        "The period that has just begun is being charged; once it is paid, free days can follow it."
    ),
    "had_free_days": gettext_noop("You had free days not long ago."),
    "owners_only": gettext_noop("Only an owner of the account can have its data deleted: %(names)s."),
}


def card(
    outcome: Outcome,
    facts: Situation,
    *,
    is_default: bool,
    mark: str,
    tag: str = "",
    later: LaterRefund | None = None,
    nothing: Nothing | None = None,
) -> dict[str, Any]:
    """One ending as a card of `components/choice.html`; the same labels in the same order on each.

    The one that is on record has a `tag` and no button: there is nothing to choose about it.
    """
    act = act_of(outcome.ending, facts.start, keeps_access=outcome.keeps_access)
    return {
        "code": outcome.ending,
        "title": _(TITLES[act]),
        "first": _first(outcome, facts, nothing),
        "text": _text(outcome, facts, nothing),
        "facts": facts_of(outcome, facts, later=later),
        "button": "" if tag else _(BUTTONS[act]),
        "fields": [("shown", mark)],
        "is_default": is_default,
        "tag": tag,
        "is_grave": outcome.ending == Ending.CLOSE_DELETE,
    }


def facts_of(outcome: Outcome, facts: Situation, *, later: LaterRefund | None = None) -> list[Pair]:
    """Last day, money, data, unpaid invoice, undo."""
    pairs = [
        (_("Last day of access"), _last_day(outcome, facts)),
        (_("Money"), _money(outcome, facts, later)),
        (_("Your data"), _data(outcome)),
    ]
    if outcome.open_invoice is not None:
        pairs.append((_("Unpaid invoice"), _unpaid(outcome, facts)))
    pairs.append((_("Can be undone"), _undo(outcome, facts)))
    return pairs


def if_nothing(nothing: Nothing) -> str:
    """What comes of doing nothing in a trial without a card."""
    until = moment(nothing.access_until)
    if nothing.data_until is None:
        return _(
            "This trial has no card, and nothing will be charged. If you do nothing, everything stays on "
            "until %(moment)s; then the free plan begins, with your data."
        ) % {"moment": until}
    return _(
        "This trial has no card, and nothing will be charged. If you do nothing, everything stays on until "
        "%(moment)s; then access is off and a last mail says goodbye. From that mail on your data is kept, "
        "until %(day)s."
    ) % {"moment": until, "day": day(nothing.data_until)}


def _first(outcome: Outcome, facts: Situation, nothing: Nothing | None) -> str:
    """What must be read before all: that stopping now gives up access for nothing in return."""
    if outcome.ending not in (Ending.STOP_NOW, Ending.CLOSE_DELETE) or outcome.refund.value:
        return ""
    if facts.start in (Start.ENDED, Start.FREE):
        return ""
    given_up = nothing.access_until if nothing else outcome.paid_until
    if facts.start in NOTHING_PAID:
        return _("You give up the access that you would have until %(day)s.") % {"day": day(given_up)}
    reason = _(WHY_NONE.get(outcome.refund.why_none, WHY_NONE["nothing_paid"]))
    if given_up <= outcome.access_ends_at:
        return _("Nothing is refunded. %(reason)s") % {"reason": reason}
    return _("Nothing is refunded, and you give up access until %(day)s. %(reason)s") % {
        "day": day(given_up),
        "reason": reason,
    }


def _text(outcome: Outcome, facts: Situation, nothing: Nothing | None) -> str:
    if outcome.ending == Ending.STOP_RENEWING:
        return _text_of_the_end(outcome, facts, nothing)
    if outcome.ending == Ending.STOP_NOW:
        if outcome.keeps_access:
            return _("You get the money back and keep access.")
        return "" if facts.is_blocked else _("It ends once you confirm.")
    if outcome.ending == Ending.FREE_DAYS:
        if facts.start in NOTHING_PAID:
            return _("Let us try to fix it first. Nothing is charged for these days.")
        return _(
            "Let us try to fix it first: free days now, until %(free)s. "
            "After them your paid days go on until %(until)s; then it ends."
        ) % {"free": day(outcome.free_until), "until": day(outcome.access_ends_at)}
    if facts.teammates:
        return _(
            "Your teammates are told at once and have time to fetch their data or, if they are owners, "
            "to stop it."
        )
    if facts.start == Start.ENDED or facts.is_blocked:
        return _("Your data goes for good.")
    return _("It ends once you confirm, and your data goes for good.")


def _text_of_the_end(outcome: Outcome, facts: Situation, nothing: Nothing | None) -> str:
    """Of stopping the renewal: what is charged until then, and what doing nothing would give."""
    if facts.start == Start.FREE:
        return _("Your account closes at the end of today.")
    if facts.start == Start.TRIAL_OVER and nothing and nothing.data_until is None:
        return _("Access ends on the day on which the free plan would begin if you did nothing.")
    if facts.start == Start.TRIAL_OVER:
        return _(
            "Access ends on the same day as if you did nothing, but we send no reminder. "
            "Your data is kept from that day on, not from a last mail."
        )
    if facts.start == Start.TRIAL and nothing and nothing.access_until > outcome.access_ends_at:
        return _("Access ends with the trial: without the days of grace that doing nothing gives.")
    if facts.start in (Start.TRIAL, Start.TRIAL_CARD):
        return _("Nothing is charged. You keep everything until the trial ends.")
    if facts.start == Start.PAST_DUE:
        return _("No further attempt is made to charge you.")
    if facts.charging:
        return _("The period that has just begun is still charged, and you keep everything until its end.")
    return _("Nothing more is charged. You keep everything until the end.")


def _last_day(outcome: Outcome, facts: Situation) -> str:
    if facts.start == Start.ENDED or facts.is_blocked:
        return _("Access has ended already")
    if (
        outcome.ending in (Ending.STOP_NOW, Ending.CLOSE_DELETE)
        and not outcome.keeps_access
        and not outcome.stop_until
    ):
        return _("Today, once you confirm")
    if facts.start == Start.PAUSED and not facts.is_pause_to_come and outcome.ending == Ending.STOP_RENEWING:
        return _("Paused already; it closes on %(day)s") % {"day": day(outcome.access_ends_at)}
    return moment(outcome.access_ends_at)


def _money(outcome: Outcome, facts: Situation, later: LaterRefund | None) -> str:
    refund = outcome.refund
    if facts.start in NOTHING_PAID and not refund.value:
        return _("Nothing is charged")
    if facts.start == Start.ENDED and not refund.value:
        return _("Nothing changes, and nothing more is billed")
    if outcome.ending == Ending.STOP_RENEWING:
        if facts.charging:
            return _("%(amount)s for the period that has just begun; nothing after it") % {
                "amount": format_money(facts.charging, facts.currency)
            }
        if later:
            return _("Nothing more is charged. %(refund)s") % {"refund": still_open(later)}
        return _("Nothing more is charged; nothing is refunded")
    if not refund.value and facts.charging and outcome.ending != Ending.FREE_DAYS:
        return _("The period that has just begun is not charged; nothing is refunded")
    if not refund.value:
        return _("Nothing is refunded")
    amount = format_money(refund.amount, refund.currency)
    if outcome.ending == Ending.FREE_DAYS:
        return kept_refund(refund.value, refund.currency, outcome.claim_until, ends_access=True)
    parts = []
    if refund.amount:
        parts.append(
            _("%(amount)s back to your payment method, by %(day)s")
            % {"amount": amount, "day": day(outcome.refund_by)}
        )
    if refund.credit:
        parts.append(
            _("%(amount)s back as credit, which is how it was paid")
            % {"amount": format_money(refund.credit, refund.currency)}
        )
    return "; ".join(parts)


def _data(outcome: Outcome) -> str:
    if outcome.ending == Ending.CLOSE_DELETE:
        return _("Deleted on %(soon)s if you give up the days to fetch it, else on %(later)s") % {
            "soon": day(outcome.purge_on),
            "later": day(outcome.data_until),
        }
    return _("Kept and yours to fetch until it is deleted on %(day)s") % {"day": day(outcome.purge_on)}


def _unpaid(outcome: Outcome, facts: Situation) -> str:
    invoice = outcome.open_invoice
    if invoice is None:
        return ""
    amount = format_money(invoice.amount, facts.currency)
    if not invoice.owed and outcome.ending == Ending.STOP_RENEWING and not facts.is_blocked:
        return _("%(amount)s is cancelled when access ends; nobody charges it, and you owe nothing") % {
            "amount": amount
        }
    if not invoice.owed:
        return _("%(amount)s is cancelled; you owe nothing") % {"amount": amount}
    owed = format_money(invoice.owed, facts.currency)
    return _("%(owed)s of %(amount)s stays owed; only you can pay it, we do not charge it") % {
        "owed": owed,
        "amount": amount,
    }


def _undo(outcome: Outcome, facts: Situation) -> str:
    if outcome.undo_until is not None and facts.is_blocked:
        return _("Coming back later is one click")
    if outcome.undo_until is not None:
        return _("Yes, until %(moment)s") % {"moment": moment(outcome.undo_until)}
    if facts.start == Start.ENDED or (facts.is_blocked and outcome.ending == Ending.CLOSE_DELETE):
        return _("The deletion, until it begins")
    if outcome.ending == Ending.CLOSE_DELETE and outcome.refund.value:
        return _("The deletion, until it begins. The refund and the end of access, until you confirm")
    if outcome.ending == Ending.CLOSE_DELETE:
        return _("The deletion, until it begins. The end of access, until you confirm")
    return _("Until you confirm; coming back later is one click")


def why_not(outcome: Outcome) -> str:
    """Why an ending is not offered from here."""
    return _(WHY_NOT.get(outcome.why_not, WHY_NOT["nothing_runs"]))


def why_not_yours(owners: Iterable[str]) -> str:
    """Why deleting is not offered to who only pays, and who can have it done."""
    return _(WHY_NOT["owners_only"]) % {"names": ", ".join(owners)}


def title(ending: str) -> str:
    """The ending's name where nothing of it is worked out."""
    return _(TITLES[Act(ending)])


def title_of(quote: Quote) -> str:
    """The name under which it was shown and chosen."""
    return _(TITLES[act_of_quote(quote)])


def of_itself(via: str) -> str:
    """Why it ends though nobody declared it here (`Cancellation.Via`); empty where somebody did."""
    return {
        "unpaid": _("An invoice was not paid, so the subscription ended by itself."),
        "untold": _(
            "None of our mails about the next charge arrived. Nothing is charged without being announced, so "
            "it ends by itself."
        ),
        "provider": _("It was cancelled at the payment provider."),
    }.get(via, "")


def keeping(cancellation: Cancellation) -> str:
    """What keeping it costs, where a price and the day of the next charge are certain."""
    plan = cancellation.subscription.plan if cancellation.subscription else None
    if plan is None or plan.is_free:
        return ""
    if of_itself(cancellation.via):
        return _("If you do, it goes on at %(price)s, charged from that moment on.") % {
            "price": price_words(plan)
        }
    facts = situation_of(cancellation.quote)
    if facts.start not in (Start.PAYING, Start.TRIAL_CARD) or facts.charging:
        return ""
    if plan.price_changes.standing().exists():  # a rise is planned anew for whoever stays
        return ""
    return _("If you do, it goes on at %(price)s; the next charge is on %(day)s.") % {
        "price": price_words(plan),
        "day": day(cancellation.effective_at),
    }


def still_open(later: LaterRefund) -> str:
    """A refund that stopping the renewal leaves to be chosen, and by which ending."""
    return _("%(amount)s can still come back to you: choose “%(way)s” until %(moment)s.") % {
        "amount": format_money(later.value, later.currency),
        "way": _(TITLES[later.act]),
        "moment": moment(later.until),
    }


def kept_refund(amount: int, currency: str, until: dt.datetime | None, *, ends_access: bool) -> str:
    """A refund that free days keep; while access is on, claiming it ends that."""
    words = {"amount": format_money(amount, currency), "moment": moment(until)}
    if ends_access:
        return (
            _(
                "%(amount)s is kept for you: claim it on any day until %(moment)s; "
                "claiming it ends what is left of access"
            )
            % words
        )
    return _("%(amount)s is kept for you: claim it on any day until %(moment)s") % words


# --- How a refund was worked out ---------------------------------------------------------------


def _days(seconds: int) -> str:
    days = max(0, round(seconds / 86400))
    return ngettext("%(days)d day", "%(days)d days", days) % {"days": days}


def _on(epoch: object) -> str:
    return day(dt.datetime.fromtimestamp(int(str(epoch)), dt.UTC)) if epoch else ""


Params = Mapping[str, Any]
SENTENCES: dict[str, Callable[[Params, str], str]] = {
    "law_comes_first": lambda p, c: _("The law’s right of withdrawal applies."),
    "terms_give_more": lambda p, c: _("The law applies too, but our terms give you more, so they decide."),
    "law_full": lambda p, c: (
        _("Right of withdrawal until %(day)s: everything comes back.") % {"day": _on(p["deadline"])}
    ),
    "law_pro_rata": lambda p, c: (
        _(
            "Right of withdrawal until %(day)s: you asked for an immediate start, "
            "so the unused part comes back."
        )
        % {"day": _on(p["deadline"])}
    ),
    "terms_full": lambda p, c: (
        _("Within %(days)d days of the payment (until %(day)s) everything comes back.")
        % {"days": p["days"], "day": _on(p.get("deadline"))}
    ),
    "terms_pro_rata": lambda p, c: _("The refund is the part of the paid time that is not used."),
    "terms_none": lambda p, c: _("Our terms give nothing back here."),
    "terms_once": lambda p, c: (
        _("One voluntary refund in %(months)d months; the next from %(day)s.")
        % {"months": p["months"], "day": day(dt.date.fromisoformat(p["again_on"]))}
    ),
    "terms_once_card": lambda p, c: (
        _(
            "One voluntary refund in %(months)d months for each card, and this card had one for another "
            "account; the next from %(day)s."
        )
        % {"months": p["months"], "day": day(dt.date.fromisoformat(p["again_on"]))}
    ),
    "line_full": lambda p, c: _("The whole price of the period"),
    "line_unused": lambda p, c: (
        _("Unused: %(unused)s of %(whole)s, of %(price)s")
        % {
            "unused": _days(p["seconds"]),
            "whole": _days(p["whole_seconds"]),
            "price": format_money(p["net"] + p["tax"], c),
        }
    ),
    "line_used": lambda p, c: (
        _("Used: %(used)s of %(whole)s") % {"used": _days(p["seconds"]), "whole": _days(p["whole_seconds"])}
    ),
    "line_used_up": lambda p, c: _("Used up"),
    "line_unpaid": lambda p, c: _("Not paid"),
    "line_earlier_period": lambda p, c: _("Of an earlier period"),
    "line_credit_for_change": lambda p, c: _("Credit for a change of plan"),
    "nothing_after_credits": lambda p, c: _("Balanced by credits"),
    "rounding": lambda p, c: _("Rounded to the smallest coin"),
    "as_credit": lambda p, c: _("Goes back as credit, because it was paid with credit"),
    "already_refunded": lambda p, c: _("Refunded before"),
    "disputed": lambda p, c: _("Already being taken back by your bank"),
    "already_paid": lambda p, c: _("Paid before"),
    "goodwill": lambda p, c: _("As a gesture of goodwill"),
}


def explain(quote: Quote) -> list[dict[str, Any]]:
    """Each step of the reckoning: a sentence, and its amount where it has one."""
    return [
        {
            "text": SENTENCES[line["code"]](line["params"], quote.currency),
            "amount": line["amount"],
            "is_reason": line["code"].startswith(("law_", "terms_")),
        }
        for line in quote.lines
    ]


def why_none(quote: Quote) -> str:
    """Why nothing comes back, or "" where something does."""
    return _(WHY_NONE.get(quote.why_none, WHY_NONE["nothing_paid"])) if quote.why_none else ""
