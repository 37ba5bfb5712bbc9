"""The account's state in words: the same sentence on its page, in mails and for support."""

import datetime as dt
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.access import decide_access
from accounts.models import Account
from accounts.templatetags import terms_format


@dataclass(frozen=True)
class Standing:
    """State in a word, with its tone (success, warn, danger, info), and what it means."""

    label: str
    tone: str
    text: str


def standing(account: Account, *, at: dt.datetime) -> Standing:
    """What this account's state means at this moment; the last moment of access decides, not the sweep."""
    access = decide_access(state=account.state, access_ends_at=account.access_ends_at, at=at)
    if access.is_open:
        return _open(account)
    since = terms_format.moment(account.access_ends_at)
    if access.reason == "ended":
        label = pgettext("state of an account", "access off")  # also while a pause lasts: nothing has ended
        return Standing(label, "warn", _("Access ended on %(since)s.") % {"since": since})
    if account.state == Account.State.FROZEN:
        return Standing(_("frozen"), "danger", _("Access is off and nothing of yours is lost."))
    closed = terms_format.day(account.closed_at)
    return Standing(_("closed"), "info", _("This account was closed on %(day)s.") % {"day": closed})


def _open(account: Account) -> Standing:
    until = account.access_ends_at
    if account.state == Account.State.TRIALING:
        label, tone, text = _("trial"), "info", _("You are trying it out.")
    elif account.state == Account.State.GRACE:
        label, tone, text = _grace(account)
    elif until is not None:
        text = _("Everything is on until %(moment)s.") % {"moment": terms_format.moment(until)}
        label = pgettext("state of an account", "access ends")  # also before a pause, after which it goes on
        return Standing(label, "info", text)
    else:
        label, tone, text = _("active"), "success", _("Everything is on.")
    if until is not None:
        text += " " + _("Access is on until %(moment)s.") % {"moment": terms_format.moment(until)}
    return Standing(label, tone, text)


def _grace(account: Account) -> tuple[str, str, str]:
    """A payment or a choice is missing before access ends; without an end nothing has to be done."""
    if account.access_ends_at is None:
        return _("still on"), "warn", _("Everything is still on.")
    text = _("Everything is still on, and one thing is to be settled.")
    return _("still on"), "warn", text
