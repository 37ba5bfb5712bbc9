"""What billing adds to "what comes next": the renewal with its amount, the trial's end, a pause's end."""

import datetime as dt
from collections.abc import Iterable

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.calendar import CalendarEntry
from accounts.models import Account, Member
from accounts.sharing import shared
from accounts.templatetags.terms_format import format_money
from billing.models import Pause, Subscription


def live_subscription(account: Account) -> Subscription | None:
    """The one that runs, with its plan, its pauses and the account's customer; once for a page.

    Two queries.
    """
    rows = Subscription.objects.live().filter(account=account)
    rows = rows.select_related("plan", "account__customer").prefetch_related("pauses")
    return shared(account, "billing.live_subscription", rows.first)


def billing_to_come(account: Account, member: Member, at: dt.datetime) -> Iterable[CalendarEntry]:
    """The next charge, end of trial and end of pause of the live subscription, as far as ahead."""
    row = live_subscription(account)
    if row is None:
        return []
    url = reverse("billing_overview", args=[account.public_id]) if member.may_pay else ""
    return subscription_entries(row, at=at, url=url)


def subscription_entries(row: Subscription, *, at: dt.datetime, url: str = "") -> list[CalendarEntry]:
    """What is to come of one live subscription; with `pauses` prefetched no query."""
    entries = [*_pauses(row, url), *_charges(row, url), *_ends(row, url)]
    return [entry for entry in entries if entry.at > at]


def _charges(row: Subscription, url: str) -> Iterable[CalendarEntry]:
    when = row.renews_at
    if when is None or _pause_at(row, when) is not None:
        return
    amount = format_money(row.plan.amount, row.plan.currency)
    first = row.status == Subscription.Status.TRIALING and row.first_paid_at is None
    sentence = _("First charge for %(plan)s: %(amount)s") if first else _("%(plan)s renews: %(amount)s")
    yield CalendarEntry(
        at=when,
        text=sentence % {"plan": row.plan.name, "amount": amount},
        why=_("The price of your plan, before tax, discounts and credit."),
        url=url,
    )


def _ends(row: Subscription, url: str) -> Iterable[CalendarEntry]:
    if row.cancel_at is not None:
        yield CalendarEntry(
            at=row.cancel_at,
            text=_("%(plan)s ends") % {"plan": row.plan.name},
            why=_("It was cancelled; nothing more is charged."),
            url=url,
        )
    elif row.is_local and row.trial_end is not None:
        yield CalendarEntry(
            at=row.trial_end,
            text=_("Your trial of %(plan)s ends") % {"plan": row.plan.name},
            why=_("Nothing is charged, because we have no card of yours."),
            url=url,
        )


def _pauses(row: Subscription, url: str) -> Iterable[CalendarEntry]:
    for pause in planned_pauses(row):
        yield CalendarEntry(
            at=pause.starts_at,
            text=_("Your pause begins: no charge and no access"),
            why=_("You agreed on it."),
            url=url,
        )
        yield CalendarEntry(
            at=pause.resumes_at,
            text=_("Your pause ends and %(plan)s goes on") % {"plan": row.plan.name},
            why=_("You chose this date when you paused."),
            url=url,
        )


def _pause_at(row: Subscription, when: dt.datetime) -> Pause | None:
    """The agreed pause in which a charge would fall: then there is none."""
    return next((pause for pause in planned_pauses(row) if pause.starts_at <= when < pause.resumes_at), None)


def planned_pauses(row: Subscription) -> list[Pause]:
    """The pause that was agreed on and is not over; with `pauses` prefetched no query."""
    return [pause for pause in row.pauses.all() if pause.status == Pause.Status.PLANNED]
