"""Why a mail waits, was not needed or could not leave, in words for the desk."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

#: Codes as `arbiter`, `sending` and whoever drops a notice write them. Others are the provider's own.
REASONS = {
    "better_moment": gettext_noop("waits for a better hour"),
    "claimed": gettext_noop("the refund was claimed"),
    "confirmed": gettext_noop("the last step was taken"),
    "erased": gettext_noop("the account was erased"),
    "held": gettext_noop("we are talking with them"),
    "left": gettext_noop("they have left"),
    "moved": gettext_noop("the date was moved"),
    "newer_first": gettext_noop("a newer mail goes first"),
    "no_good_moment": gettext_noop("there was no fit hour in its time"),
    "no_consent": gettext_noop("they do not want such mails"),
    "no_longer_true": gettext_noop("what it would have said was no longer true"),
    "over": gettext_noop("it is over"),
    "superseded": gettext_noop("a newer mail says it"),
    "suppressed": gettext_noop("the address gets no mail"),
    "too_early": gettext_noop("its time has not come"),
    "unanswered": gettext_noop("the mail service did not answer"),
    "unknown_kind": gettext_noop("nobody knows how to write it"),
    "window_closed": gettext_noop("its time was over"),
    "withdrawn": gettext_noop("it was taken back"),
}


def reason_words(code: str) -> str:
    """The sentence for a code; the code itself where it is not ours."""
    return _(REASONS[code]) if code in REASONS else code
