"""What leaving records, in words."""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from accounts.history import Facts, day, moment, money, phrase, register
from offboarding.models import ExitReason

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

ACTS = {
    "stop_renewing": _("stop renewing"),
    "close_today": _("close at the end of the day"),
    "leave_with_trial": _("leave when the trial ends"),
    "leave_with_grace": _("leave when access ends"),
    "stop_now": _("stop now"),
    "refund_now": _("refund now, access to the end"),
    "free_days": _("free days first"),
    "close_delete": _("close and delete"),
    "delete_data": _("delete everything"),
}
OFFERS = {
    "free_days": _("free days"),
    "pause": _("a pause"),
    "plan": _("another plan"),
    "call": _("a call"),
}


def _reason(facts: Facts) -> str:
    reason = ExitReason.objects.filter(code=str(facts.get("reason") or "")).first()
    return reason.label if reason else str(_("no reason given"))


def _act(facts: Facts) -> str:
    """What was chosen, by what it did; older lines know the ending alone."""
    return str(ACTS.get(str(facts.get("act") or facts.get("ending")), _("something else")))


def _received(facts: Facts) -> "StrOrPromise":
    return {
        "unpaid": _("An invoice was not paid: it ends by itself. Last moment of access: %(until)s."),
        # Why is the line before: a charge was given up.
        "untold": _("It ends by itself. Last moment of access: %(until)s."),
        "provider": _("Cancelled at the payment provider. Last moment of access: %(until)s."),
    }.get(str(facts.get("via")), _("Cancellation received (%(ending)s). Last moment of access: %(until)s."))


def register_words() -> None:
    """Called from `AppConfig.ready`."""
    register(
        "cancellation.received",
        _received,
        ending=_act,
        until=moment("until"),
    )
    register("cancellation.changed", _("Another way to leave was chosen: %(ending)s."), ending=_act)
    register("cancellation.scheduled", _("It is scheduled: nothing renews."))
    register("cancellation.requoted", _("Something had changed, so a new quote was shown."))
    register(
        "cancellation.confirmed",
        _("Confirmed (%(ending)s). Last moment of access: %(until)s."),
        ending=_act,
        until=moment("until"),
    )
    register(
        "cancellation.extended",
        _("An open invoice was paid, so access goes on. Last moment of access: %(until)s."),
        until=moment("until"),
    )
    register("cancellation.withdrawn", _("The cancellation was taken back: everything goes on."))
    register("cancellation.completed", _("The cancellation was carried out."))
    register(
        "refund.reserved",
        _("A refund of %(amount)s is kept until %(until)s."),
        amount=money("amount"),
        until=day("until"),
    )
    register("refund.claimed", _("The kept refund of %(amount)s was claimed."), amount=money("amount"))
    register("survey.answered", _("The questions were answered: %(reason)s."), reason=_reason)
    register("offer.taken", _("An offer was taken: %(offer)s."), offer=phrase("offer", OFFERS))
    register(
        "payment.slipped_through",
        _("%(amount)s was charged after the end by mistake; it goes back by itself."),
        amount=money("amount"),
    )
