"""The ways out that leaving offers whose access is off: come back, fetch the data, leave."""

import datetime as dt
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Account, Member
from accounts.sharing import shared
from accounts.templatetags.terms_format import day, moment
from accounts.ways_out import Exit, WayOut
from offboarding import retention
from offboarding.models import Closure


def come_back(account: Account, member: Member, at: dt.datetime) -> Exit | None:
    """For those who left, while their data is there."""
    if account.state != Account.State.CLOSED or not member.may_pay:
        return None
    closure = _closure(account)
    text = _("Come back whenever you like. You see the price before anything is charged.")
    if closure is not None and closure.status == Closure.Status.SCHEDULED:
        text = _(
            "Come back by %(day)s and your data is as you left it. "
            "You see the price before anything is charged."
        ) % {"day": day(closure.purge_on)}
    return Exit(label=_("Come back"), url=reverse("come_back", args=[account.public_id]), text=text)


def data(account: Account, member: Member, at: dt.datetime) -> Exit:
    """Always, for everybody: what is theirs, and until when. One query."""
    closure = _closure(account)
    text = _("See what we keep and until when, and download it.")
    if closure is not None and closure.status == Closure.Status.SCHEDULED:
        text = _("Your data is deleted on %(day)s, and can be fetched until then.") % {
            "day": moment(closure.purge_on)
        }
    return Exit(label=_("Your data"), url=reverse("exports", args=[account.public_id]), text=text)


def _closure(account: Account) -> Closure | None:
    return shared(account, "offboarding.closure", lambda: retention.open_closure(account))


def leave(account: Account, member: Member, at: dt.datetime) -> Exit | None:
    """For those who decide about an account that was not left yet."""
    if account.state == Account.State.CLOSED or not member.may_pay:
        return None
    return Exit(
        label=_("Leave"),
        url=reverse("leave", args=[account.public_id]),
        text=_("Stop for good: nothing more is charged, and you see what becomes of your data."),
    )


WAYS: Final = (
    WayOut(code="offboarding.come_back", leads="in", order=10, find=come_back),
    WayOut(code="offboarding.data", leads="out", order=10, find=data),
    WayOut(code="offboarding.leave", leads="out", order=20, find=leave),
)
