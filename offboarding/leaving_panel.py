"""Leaving on the account's page: the card, and what comes next."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.calendar import CalendarEntry
from accounts.models import Account, Member
from accounts.panels import Panel
from accounts.sharing import shared
from accounts.templatetags.terms_format import format_money
from offboarding import receipts, wording
from offboarding.dates import (
    billing_words,
    dates_of,
    is_free_time_first,
    refund_left_open,
    renews_otherwise,
)
from offboarding.models import Cancellation, Ending
from offboarding.standing import Standing, read_glance, refunds_of


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
    standing = read_glance(cancellation, at=at)
    is_refunded = not cancellation.is_open and cancellation.confirmed_at and cancellation.quote.amount
    if is_refunded and member.may_pay:  # the money is for payers alone
        standing = replace(standing, refunds=refunds_of(cancellation))
    return {
        "cancellation": cancellation,
        "quote": cancellation.quote,
        "standing": standing,
        "dates": dates_of(standing),
        "billing": billing_words(cancellation),
        "can_choose": refund_left_open(cancellation) is not None,
        "renews": renews_otherwise(cancellation.quote),
        "title": wording.title_of(cancellation.quote),
        "of_itself": wording.of_itself(cancellation.via),
        "receipt": receipts.receipt_path(cancellation),
    }


LEAVING_PANEL = Panel(
    code="offboarding.leaving",
    order=0,
    template="leaving/panel.html",
    context=leaving_facts,
    when_closed=True,
)


#: Mails about what goes on: to who is leaving they do not go.
OF_WHO_STAYS = ("renewal_ahead", "pause_ends")


def moot_mails(account: Account) -> tuple[str, ...]:
    """The mails about what goes on, while a leaving is open."""
    cancellation = latest_leaving(account)
    return OF_WHO_STAYS if cancellation is not None and cancellation.is_open else ()


def leaving_to_come(account: Account, member: Member, at: dt.datetime) -> Iterable[CalendarEntry]:
    """The end of access and of a refund that waits; `data_words` says when the data goes. One query."""
    cancellation = latest_leaving(account)
    if cancellation is None:
        return []
    url = reverse("leaving", args=[account.public_id, cancellation.public_id]) if member.may_pay else ""
    return leaving_entries(cancellation, at=at, url=url, is_payer=member.may_pay)


def leaving_entries(
    cancellation: Cancellation, *, at: dt.datetime, url: str = "", is_payer: bool = True
) -> list[CalendarEntry]:
    """The ends of free days, of access where the plan's does not say it, and of a refund that waits."""
    standing = read_glance(cancellation, at=at)
    entries = _free_days_end(standing, at, url)
    if cancellation.is_open and not _plan_says_it(cancellation):
        entries.append(
            CalendarEntry(
                at=cancellation.effective_at,
                text=_("Access ends; nothing more is billed"),
                why=_("Because the account was cancelled."),
                url=url,
            )
        )
    lapse = _lapse(standing, at, url) if is_payer else None
    return [*entries, lapse] if lapse else entries


def _free_days_end(standing: Standing, at: dt.datetime, url: str) -> list[CalendarEntry]:
    reservation = standing.reservation
    if reservation is None or reservation.free_until <= at or not is_free_time_first(standing.cancellation):
        return []
    text, why = _("The free days end; your paid days go on"), _("As you chose when you left.")
    return [CalendarEntry(at=reservation.free_until, text=text, why=why, url=url)]


def _plan_says_it(cancellation: Cancellation) -> bool:
    """Billing's own entry says that the plan ends at this moment: once is enough."""
    subscription = cancellation.subscription
    if subscription is None or not subscription.is_live or subscription.cancel_at is None:
        return False
    access = cancellation.account.access_ends_at
    return min(subscription.cancel_at, access or subscription.cancel_at) == cancellation.effective_at


def _lapse(standing: Standing, at: dt.datetime, url: str) -> CalendarEntry | None:
    """The last moment of a refund that waits for a step of the customer's own."""
    cancellation, reservation = standing.cancellation, standing.reservation
    quote, later = cancellation.quote, refund_left_open(cancellation)
    if standing.can_claim and reservation is not None:
        until, value, why = reservation.deadline_at, reservation.amount, _("Until then you can have it.")
    elif standing.last_step_open and cancellation.claim_until and quote.ending != Ending.FREE_DAYS:
        until, value = cancellation.claim_until, quote.amount + quote.credit
        why = _("Until then the last step can be taken.")
    elif later is not None and later.until >= at:
        until, value, why = later.until, later.value, _("Until then you can choose another way to leave.")
    else:
        return None
    if not value:
        return None
    amount = format_money(value, quote.currency)
    return CalendarEntry(
        at=until, text=_("A refund of %(amount)s lapses") % {"amount": amount}, why=why, url=url
    )
