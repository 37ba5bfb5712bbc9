"""Each rule of the terms as one plain sentence, made from its column in the active language.

These sentences are the public terms: `accounts.terms` puts them together, hashes and compares them.
A test fails when a rule column has no sentence here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from babel.lists import format_list
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import Terms
from accounts.templatetags.terms_format import reader_locale

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise


def trial_grace_days(terms: Terms) -> str:
    n = terms.trial_grace_days
    if n == 0:
        return _("A trial that ends without a plan has no days of grace. Nothing is charged.")
    return ngettext(
        "When a trial ends without a plan everything stays on for at least %(n)d day of grace, in which we "
        "remind you. Nothing is charged.",
        "When a trial ends without a plan everything stays on for at least %(n)d days of grace, in which we "
        "remind you. Nothing is charged.",
        n,
    ) % {"n": n}


def trial_end_plan(terms: Terms) -> str:
    if terms.trial_end_plan == Terms.TrialEnd.FREE_PLAN:
        return _("After that the account moves to the free plan.")
    return _("After that access is frozen, and nothing of yours is lost. It is back the moment you pay.")


def trial_extension_days(terms: Terms) -> str:
    n = terms.trial_extension_days
    if n == 0:
        return _("Need more time to try it? Write to us: we look at each case.")
    return ngettext(
        "You can make your trial %(n)d day longer yourself.",
        "You can make your trial %(n)d days longer yourself.",
        n,
    ) % {"n": n}


def trial_extension_engaged_days(terms: Terms) -> str:
    n = terms.trial_extension_engaged_days
    return ngettext(
        "If you have really been using it, you can make it %(n)d day longer.",
        "If you have really been using it, you can make it %(n)d days longer.",
        n,
    ) % {"n": n}


def engaged_days(terms: Terms) -> str:
    n = terms.engaged_days
    return ngettext(
        "Really using it means: you were in it on %(n)d day of the trial.",
        "Really using it means: you were in it on %(n)d different days of the trial.",
        n,
    ) % {"n": n}


def trial_extensions_max(terms: Terms) -> str:
    n = terms.trial_extensions_max
    if n == 0:
        return _("A trial is not made longer without talking to us.")
    if n == 1:
        return _("You can make a trial longer once; after that, write to us.")
    return _("You can make a trial longer %(n)d times; after that, write to us.") % {"n": n}


def trial_card_days(terms: Terms) -> str:
    n = terms.trial_card_days
    if n == 0:
        return _("Adding a card does not make the trial longer or shorter.")
    return ngettext(
        "If you add a card during the trial it is %(n)d day longer.",
        "If you add a card during the trial it is %(n)d days longer.",
        n,
    ) % {"n": n}


def dunning_attempt_days(terms: Terms) -> str:
    tries = list(terms.dunning_attempt_days)
    shown = format_list([str(day) for day in tries], locale=reader_locale())
    return ngettext(
        "When a payment fails we try it again on day %(days)s after that, and we write to you.",
        "When a payment fails we try it again on days %(days)s after that, and we write to you.",
        len(tries),
    ) % {"days": shown}


def dunning_choose_days(terms: Terms) -> str:
    n = terms.dunning_choose_days
    if n == 0:
        return _("The days of the attempts are fixed.")
    return ngettext(
        "You can choose another day for the attempt, up to %(n)d day after the first failure.",
        "You can choose another day for the attempt, up to %(n)d days after the first failure.",
        n,
    ) % {"n": n}


def dunning_block_after(terms: Terms) -> str:
    n = terms.dunning_block_after
    return ngettext(
        "Access is not blocked before %(n)d attempt has failed, the first one included.",
        "Access is not blocked before %(n)d attempts have failed, the first one included.",
        n,
    ) % {"n": n}


def dunning_grace_days(terms: Terms) -> str:
    n = terms.dunning_grace_days
    if n == 0:
        return _("Access is back the moment you pay.")
    return ngettext(
        "In any case you keep access for %(n)d day after the first failure. "
        "If it was blocked, it is back the moment you pay.",
        "In any case you keep access for %(n)d days after the first failure. "
        "If it was blocked, it is back the moment you pay.",
        n,
    ) % {"n": n}


def dunning_block_day(terms: Terms) -> str:
    """Not a column: the day that follows from the rules above, so that nobody has to work it out."""
    n = terms.dunning_block_day
    return ngettext(
        "So the earliest day on which access can be blocked is %(n)d day after the first failure.",
        "So the earliest day on which access can be blocked is %(n)d days after the first failure.",
        n,
    ) % {"n": n}


def days_without_access(terms: Terms) -> str:
    """Not a column: it holds for every version."""
    return _(
        "If you pay only after a day or more without access, the next charge comes later by as many days: "
        "for those you pay nothing."
    )


def charge_move_days(terms: Terms) -> str:
    n = terms.charge_move_days
    if n == 0:
        return _("The day of a charge is not moved.")
    return ngettext(
        "If you need it, write to us: we can move a charge, or the end of a trial, by up to %(n)d day.",
        "If you need it, write to us: we can move a charge, or the end of a trial, by up to %(n)d days.",
        n,
    ) % {"n": n}


def hold_max_days(terms: Terms) -> str:
    n = terms.hold_max_days
    return ngettext(
        "While we talk with you about it we can hold everything for up to %(n)d day at a time: "
        "no reminder, no block.",
        "While we talk with you about it we can hold everything for up to %(n)d days at a time: "
        "no reminder, no block.",
        n,
    ) % {"n": n}


def dunning_end(terms: Terms) -> str:
    return {
        Terms.DunningEnd.FREEZE: _(
            "When the last attempt has failed the account stays frozen, with your data, until you pay."
        ),
        Terms.DunningEnd.CANCEL: _("When the last attempt has failed the subscription ends."),
        Terms.DunningEnd.FREE_PLAN: _("When the last attempt has failed the account moves to the free plan."),
        Terms.DunningEnd.KEEP: _("When the last attempt has failed a person writes to you."),
    }[Terms.DunningEnd(terms.dunning_end)]


def open_invoice(terms: Terms) -> str:
    return {
        Terms.OpenInvoice.VOID: _("If you leave with an unpaid invoice it is cancelled: you owe nothing."),
        Terms.OpenInvoice.USED_PART: _(
            "If you leave with an unpaid invoice it is reduced to the days that you used."
        ),
        Terms.OpenInvoice.FULL: _("If you leave with an unpaid invoice it is still owed in full."),
    }[Terms.OpenInvoice(terms.open_invoice)]


def refund_full_days(terms: Terms) -> str:
    n = terms.refund_full_days
    if n == 0:
        return _("There are no days after a payment in which all of it is refunded.")
    return ngettext(
        "Within %(n)d day of a payment you can stop and get all of it back.",
        "Within %(n)d days of a payment you can stop and get all of it back.",
        n,
    ) % {"n": n}


def refund_after(terms: Terms) -> str:
    if terms.refund_after == Terms.After.PRO_RATA:
        return _("Later you can stop at any time and get back the part of the period that you have not used.")
    return _("Later nothing is refunded: you keep what you paid for until the end of the period.")


def refund_keeps_access(terms: Terms) -> str:
    if terms.refund_keeps_access:
        return _("After a full refund you still have access until the end of the period.")
    return _("After a full refund access ends at once.")


def refund_once_per_months(terms: Terms) -> str:
    n = terms.refund_once_per_months
    if n == 0:
        return _("There is no limit on how often you can have such a refund.")
    return ngettext(
        "There is one such refund in %(n)d month for an account, and for a card, whichever account it pays "
        "for. Refunds that the law gives you do not count towards this limit.",
        "There is one such refund in %(n)d months for an account, and for a card, whichever account it pays "
        "for. Refunds that the law gives you do not count towards this limit.",
        n,
    ) % {"n": n}


def refund_arrival_days(terms: Terms) -> str:
    n = terms.refund_arrival_days
    return ngettext(
        "The money goes back the way you paid, and arrives within %(n)d day.",
        "The money goes back the way you paid, and arrives within %(n)d days.",
        n,
    ) % {"n": n}


def free_days(terms: Terms) -> str:
    n = terms.free_days
    if n == 0:
        return _("We do not offer free days in place of a refund.")
    return ngettext(
        "Before you decide on a refund you can take %(n)d free day. The refund you could have had that day "
        "stays reserved for you.",
        "Before you decide on a refund you can take %(n)d free days. The refund you could have had that day "
        "stays reserved for you.",
        n,
    ) % {"n": n}


def free_days_claim_days(terms: Terms) -> str:
    n = terms.free_days_claim_days
    return ngettext(
        "When free days end you have %(n)d day to claim the reserved refund, to the cent.",
        "When free days end you have %(n)d days to claim the reserved refund, to the cent.",
        n,
    ) % {"n": n}


def pause_max_months(terms: Terms) -> str:
    n = terms.pause_max_months
    if n == 0:
        return _("A subscription cannot be paused.")
    return ngettext(
        "You can pause your subscription for up to %(n)d month and end the pause at any time.",
        "You can pause your subscription for up to %(n)d months and end the pause at any time.",
        n,
    ) % {"n": n}


def pause_per_months(terms: Terms) -> str:
    n = terms.pause_per_months
    if n == 0:
        return _("There is no limit on how often you can pause.")
    return ngettext("You can pause once in %(n)d month.", "You can pause once in %(n)d months.", n) % {"n": n}


def pause_notice_days(terms: Terms) -> str:
    n = terms.pause_notice_days
    return ngettext(
        "We write to you %(n)d day before a pause ends and billing starts again.",
        "We write to you %(n)d days before a pause ends and billing starts again.",
        n,
    ) % {"n": n}


def offers_call(terms: Terms) -> str:
    if terms.offers_call:
        return _(
            "If you leave we offer you a short call, after your cancellation is recorded. It is up to you."
        )
    return _("If you leave nobody calls you.")


def team_hold_hours(terms: Terms) -> str:
    n = terms.team_hold_hours
    return ngettext(
        "If an owner asks for an account with teammates to be deleted, everyone is told at once and "
        "another owner has %(n)d hour to stop it.",
        "If an owner asks for an account with teammates to be deleted, everyone is told at once and "
        "another owner has %(n)d hours to stop it.",
        n,
    ) % {"n": n}


def deletion_days(terms: Terms) -> str:
    n = terms.deletion_days
    return ngettext(
        "If you ask for deletion and give up the days to fetch your data, it is deleted after %(n)d day. "
        "Until the deletion begins you can change your mind.",
        "If you ask for deletion and give up the days to fetch your data, it is deleted after %(n)d days. "
        "Until the deletion begins you can change your mind.",
        n,
    ) % {"n": n}


def retrieval_days(terms: Terms) -> str:
    n = terms.retrieval_days
    return ngettext(
        "If you close the account and ask for deletion, it is deleted after %(n)d day; "
        "until then you can still fetch it.",
        "If you close the account and ask for deletion, it is deleted after %(n)d days; "
        "until then you can still fetch it.",
        n,
    ) % {"n": n}


def retention_days(terms: Terms) -> str:
    n = terms.retention_days
    return ngettext(
        "When your access has ended your data is kept for %(n)d day and then deleted. "
        "Until then you can fetch it, at no cost, or come back to it.",
        "When your access has ended your data is kept for %(n)d days and then deleted. "
        "Until then you can fetch it, at no cost, or come back to it.",
        n,
    ) % {"n": n}


def purge_notice_days(terms: Terms) -> str:
    """Not a column: the same for every version (`Terms.PURGE_NOTICE_DAYS`)."""
    days = [ngettext("%(n)d day", "%(n)d days", n) % {"n": n} for n in terms.PURGE_NOTICE_DAYS]
    shown = format_list(days, locale=reader_locale())
    return _("Before we delete it we write to you: %(days)s before.") % {"days": shown}


def export_days(terms: Terms) -> str:
    n = terms.export_days
    return ngettext(
        "A download that you asked for stays available for %(n)d day; you can ask for another at any time.",
        "A download that you asked for stays available for %(n)d days; you can ask for another at any time.",
        n,
    ) % {"n": n}


def statutory_rights(terms: Terms) -> str:
    """Not a column: the law stands above any terms."""
    return _(
        "Where the law gives you more than these terms do, the law applies, "
        "and we apply it without being asked."
    )


def immediate_start(terms: Terms) -> str:
    """Not a column: what someone agrees to who asks for the service before the withdrawal period is over."""
    return _(
        "You can ask us to start at once. If you then withdraw within the period that the law gives you, "
        "you pay only for the days until you withdrew."
    )


#: Sections and their rules, in the order in which people read them. A rule's code is its function's name.
SECTIONS: Final[list[tuple[str, "StrOrPromise", list[Callable[[Terms], str]]]]] = [
    (
        "trial",
        gettext_lazy("Trying it out"),
        [
            trial_grace_days,
            trial_end_plan,
            trial_extension_days,
            trial_extension_engaged_days,
            engaged_days,
            trial_extensions_max,
            trial_card_days,
        ],
    ),
    (
        "payment",
        gettext_lazy("When a payment fails"),
        [
            dunning_attempt_days,
            dunning_choose_days,
            dunning_block_after,
            dunning_grace_days,
            dunning_block_day,
            days_without_access,
            dunning_end,
            open_invoice,
        ],
    ),
    ("help", gettext_lazy("If you need more time"), [charge_move_days, hold_max_days]),
    (
        "refund",
        gettext_lazy("Refunds"),
        [
            refund_full_days,
            refund_after,
            refund_keeps_access,
            refund_once_per_months,
            refund_arrival_days,
            free_days,
            free_days_claim_days,
        ],
    ),
    (
        "pause",
        gettext_lazy("Pauses and calls"),
        [pause_max_months, pause_per_months, pause_notice_days, offers_call],
    ),
    (
        "data",
        gettext_lazy("Your data"),
        [export_days, retention_days, purge_notice_days, retrieval_days, deletion_days, team_hold_hours],
    ),
    ("law", gettext_lazy("The law"), [statutory_rights, immediate_start]),
]
