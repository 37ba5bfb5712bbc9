"""What billing records, in words: one sentence for each kind of event."""

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.history import Facts, Formatter, choice, day, moment, money, number, phrase, register
from accounts.models import Terms
from billing.declines import explain_decline
from billing.dunning_attempts import Why
from billing.dunning_late import GIVEN_BACK
from billing.models import Plan, PlannedPrice, TrialExtension

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

_CASE = {
    "needs_response": _("it waits for our answer"),
    "under_review": _("the bank looks into it"),
    "won": _("decided in our favour"),
    "lost": _("decided in your favour"),
    "warning_needs_response": _("your bank asks about it"),
    "warning_under_review": _("your bank asks about it"),
    "warning_closed": _("your bank has no more questions"),
    "prevented": _("settled before it began"),
}
_BASIS = {
    "terms": _("as our terms say"),
    "statutory": _("as the law says"),
    "goodwill": _("out of goodwill"),
    "correction": _("because it was charged by mistake"),
    "external": _("made at the payment provider"),
}


def _plan(fact: str) -> Formatter:
    """A stored plan's code as its name; a plan that is gone keeps its code."""

    def fill(facts: Facts) -> str:
        code = str(facts.get(fact) or "")
        plan = Plan.objects.filter(code=code).first()
        return plan.name if plan else code

    return fill


def _decline(fact: str) -> Formatter:
    return lambda facts: str(explain_decline(str(facts.get(fact) or "")).reason)


def register_history() -> None:
    """Give every kind of billing's its sentence; called from `AppConfig.ready`."""
    _register_subscriptions()
    _register_prices()
    _register_trials()
    _register_money()
    _register_refunds()
    _register_dunning()
    _register_instructions()


def _active(facts: Facts) -> "StrOrPromise":
    if facts.get("is_free"):
        return _("The free plan began: nothing is billed.")
    return _("The subscription is active.")


def _register_subscriptions() -> None:
    register("subscription.incomplete", _("A subscription was set up and waited for its first payment."))
    register("subscription.incomplete_expired", _("A subscription that was never paid was given up."))
    register("subscription.trialing", _("The trial began."))
    register("subscription.free_time", _("The next charge comes later; the days until then cost nothing."))
    register("subscription.active", _active)
    register("subscription.past_due", _("A payment is overdue."))
    register("subscription.unpaid", _("The subscription is unpaid."))
    register("subscription.paused", _("The subscription is paused."))
    register("subscription.canceled", _("The subscription ended."))
    register(
        "pause.agreed",
        _("A pause from %(since)s to %(until)s was agreed."),
        since=day("since"),
        until=day("until"),
    )
    register("pause.ended", _("The pause is over."))
    register(
        "subscription.plan_changed", _("From the next renewal on the plan is %(plan)s."), plan=_plan("plan")
    )


def _register_prices() -> None:
    words = {"amount": money("amount"), "before": money("before"), "since": day("since")}
    register("price.planned", _("From the renewal on %(since)s: %(amount)s instead of %(before)s."), **words)
    register("price.set", _("The renewal on %(since)s is charged at %(amount)s."), **words)
    register("price.changed", _("The price is %(amount)s now, until then it was %(before)s."), **words)
    register(
        "price.dropped",
        _("The price stays at %(before)s for the renewal on %(since)s: %(reason)s."),
        reason=choice("reason", PlannedPrice.Reason),
        **words,
    )


def _register_trials() -> None:
    until = day("until")
    register(
        "trial.extended",
        _("The trial was made longer, until %(until)s: %(reason)s."),
        until=until,
        reason=phrase("reason", dict(TrialExtension.Reason.choices)),
    )
    register(
        "trial.more_time_asked",
        _("More time was asked for; the clock stands still until %(until)s."),
        until=until,
    )
    register("trial.request_granted", _("The request for more time was granted."))
    register("trial.request_declined", _("The request for more time was declined."))
    register(
        "trial.request_lapsed",
        _("The request for more time had no answer in its days; the clock runs again."),
    )
    register(
        "charge.postponed",
        _("The next charge was moved from %(before)s to %(until)s; the days between are free."),
        before=day("before"),
        until=until,
    )
    register(
        "charge.given_up",
        _("No mail about the next charge arrived, so nothing more is charged; the plan ends on %(until)s."),
        until=until,
    )
    register(
        GIVEN_BACK,
        _days_given_back,
        before=day("before"),
        until=until,
        days=number("days"),
    )
    register("trial.another_allowed", _("Support allowed another trial."))


def _days_given_back(facts: Facts) -> "StrOrPromise":
    return ngettext(
        "The next charge was moved from %(before)s to %(until)s, %(days)s day later, because access was off.",
        "The next charge was moved from %(before)s to %(until)s, %(days)s days later, because access was "
        "off.",
        int(facts.get("days") or 0),
    )


def _register_money() -> None:
    amount = money("amount")
    register("invoice.open", _("An invoice of %(amount)s was issued."), amount=amount)
    register("invoice.paid", _("An invoice of %(amount)s was paid."), amount=amount)
    register("invoice.void", _("An invoice of %(amount)s was cancelled."), amount=amount)
    register("invoice.uncollectible", _("An invoice of %(amount)s was written off."), amount=amount)
    register("payment.received", _("We received %(amount)s."), amount=amount)
    register(
        "payment.failed",
        _("A payment of %(amount)s did not go through. %(reason)s"),
        amount=amount,
        reason=_decline("decline"),
    )
    register("payment.disputed", _("A payment of %(amount)s was disputed at the bank."), amount=amount)
    register(
        "dispute.changed",
        _("The dispute about %(amount)s moved: %(status)s."),
        amount=amount,
        status=phrase("status", _CASE),
    )
    register("card.changed", _("Another card is charged from now on."))
    register("billing.drift", _("Our records were brought in line with the payment provider's."))


def _register_refunds() -> None:
    amount = money("amount")
    register(
        "refund.decided",
        _("A refund of %(amount)s was decided, %(basis)s."),
        amount=amount,
        basis=phrase("basis", _BASIS),
    )
    register("refund.sending", _("The refund of %(amount)s is being sent."), amount=amount)
    register("refund.unknown", _("Whether the refund of %(amount)s left is being checked."), amount=amount)
    register("refund.pending", _("The refund of %(amount)s is on its way."), amount=amount)
    register("refund.succeeded", _("%(amount)s was refunded."), amount=amount)
    register("refund.failed", _("The refund of %(amount)s came back."), amount=amount)
    register("refund.abandoned", _("The refund of %(amount)s was given up."), amount=amount)


def _attempted(facts: Facts) -> "StrOrPromise":
    if facts.get("reason"):
        return _("Support had the card on file tried again: %(reason)s.")
    return _("The card on file is tried again.")


def _register_dunning() -> None:
    register(
        "dunning.opened",
        _("A payment failed. %(reason)s Access goes off on %(until)s, unless it is paid before."),
        until=moment("until"),
        reason=_decline("decline"),
    )
    register("dunning.attempted", _attempted, reason=choice("reason", Why))
    register("dunning.left_out", _("The card on file was not tried again: it would be refused."))
    register("dunning.chosen", _("%(day)s was chosen for the next attempt."), day=day("day"))
    register("dunning.told_late", _("A mail had not left in time, so the dates were moved."))
    register("dunning.resumed", _("The unpaid invoice is followed up again."))
    register("dunning.paid", _("The unpaid invoice is paid."))
    register("dunning.left", _("Nothing more is tried for the unpaid invoice."))
    register("dunning.void", _("Nothing is owed for the unpaid invoice any more."))
    register("dunning.written_off", _("The unpaid invoice was written off."))
    register(
        "dunning.ended",
        _("The last attempt has failed: %(action)s."),
        action=choice("action", Terms.DunningEnd),
    )


def _register_instructions() -> None:
    version = number("version")
    register("instruction.given", _("An order for the payment provider was written down."), version=version)
    register("instruction.done", _("The payment provider carried out an order."), version=version)
    register("instruction.dead", _("An order to the payment provider needs our support."), version=version)
    register("instruction.replayed", _("An order to the payment provider is sent again."))
    register("instruction.abandoned", _("An order to the payment provider was given up."))
