"""Leaving on the account's page: the card, and what comes next."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.calendar import CalendarEntry
from accounts.models import Account, Member
from accounts.panels import Panel
from accounts.sharing import shared
from offboarding import receipts, wording
from offboarding.models import Cancellation
from offboarding.standing import read_glance


def latest_leaving(account: Account) -> Cancellation | None:
    """The newest that was not taken back; once for a page, in one query."""
    rows = Cancellation.objects.select_related("account", "quote__terms", "subscription__plan", "reservation")
    rows = rows.filter(account=account).exclude(status=Cancellation.Status.WITHDRAWN)
    return shared(account, "offboarding.latest", rows.order_by("-declared_at").first)


def leaving_facts(account: Account, member: Member, at: dt.datetime) -> dict[str, Any] | None:
    """The cancellation that is under way, or the last one while the account is closed."""
    cancellation = latest_leaving(account)
    if cancellation is None or (not cancellation.is_open and account.state in Account.OPEN_STATES):
        return None
    return {
        "cancellation": cancellation,
        "quote": cancellation.quote,
        "standing": read_glance(cancellation, at=at),
        "title": wording.title(cancellation.ending),
        "receipt": receipts.receipt_path(cancellation),
    }


LEAVING_PANEL = Panel(
    code="offboarding.leaving",
    order=0,
    template="leaving/panel.html",
    context=leaving_facts,
    when_closed=True,
)


def leaving_to_come(account: Account, member: Member, at: dt.datetime) -> Iterable[CalendarEntry]:
    """The end of access; `data_words` says when the data goes. One query."""
    cancellation = latest_leaving(account)
    if cancellation is None or not cancellation.is_open:
        return []
    url = reverse("leaving", args=[account.public_id, cancellation.public_id]) if member.may_pay else ""
    return [end_of_access(cancellation, url)]


def end_of_access(cancellation: Cancellation, url: str = "") -> CalendarEntry:
    """The last moment of access as an entry of what comes next."""
    return CalendarEntry(
        at=cancellation.effective_at,
        text=_("Access ends; nothing is billed after it"),
        why=_("Because the account was cancelled."),
        url=url,
    )
