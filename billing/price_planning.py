"""Giving subscriptions their planned price: in sets, a few statements however many."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts import sets
from accounts.events import SYSTEM, record_many
from accounts.models import Account, Notice
from accounts.notices import Owed, owe_many
from billing.models import PlannedPrice, PriceChange, Subscription
from billing.price_rules import (
    FALL,
    LOOKED_AT,
    RISE,
    PriceMail,
    Reader,
    first_renewal,
    looked_at,
    mails_for,
    renewals_ahead,
    unsaid,
    windows_of,
)
from billing.renewals import RENEWS


@dataclass(frozen=True)
class NewPrice:
    """One subscription, the change that is about it, and the renewal from which on it holds."""

    subscription: Subscription
    change: PriceChange
    takes_at: dt.datetime
    reader: Reader
    sent: Sequence[dt.datetime]

    @property
    def account_id(self) -> int:
        return self.subscription.account_id

    @property
    def row(self) -> PlannedPrice:
        """As it is written; `next_at` and `created_at` are missing."""
        change = self.change
        return PlannedPrice(
            change=change,
            account_id=self.account_id,
            subscription=self.subscription,
            amount_before=change.from_plan.amount,
            amount_after=change.to_plan.amount,
            currency=change.to_plan.currency,
            takes_at=self.takes_at,
        )


def about(subscription: Subscription, change_id: int) -> str:
    """The subject of every mail about this change of this subscription."""
    return f"price:{subscription.public_id}:{change_id}"


def reader_of(account: Account) -> Reader:
    """Whose law and whose days count for an account."""
    return Reader(account.country, account.kind, account.zone)


def may_change() -> QuerySet[Subscription]:
    """Subscriptions whose price can change at a renewal: paid ones, at the provider, that go on.

    A trial is charged what it was promised; the new price comes with a renewal after that.
    """
    on_trial = Q(status=Subscription.Status.TRIALING, first_paid_at=None)
    rows = Subscription.objects.live().filter(cancel_at=None, period_end__isnull=False)
    return rows.exclude(provider_id=None).exclude(on_trial)


@transaction.atomic
def plan_prices(ids: Collection[int], *, at: dt.datetime) -> int:
    """Plan the price of these subscriptions from the first renewal that can be announced in time on.

    Those that have one planned, and those whose plan's price stays, are left alone; so are those that
    somebody else holds, which the next round or the next news of them finds. Owes the mails, writes the
    history. Returns how many were planned.
    """
    rows = may_change().filter(pk__in=ids, plan__in=PriceChange.objects.standing().values("from_plan"))
    held = sets.lock_accounts(rows.values_list("account_id", flat=True))
    taken = PlannedPrice.objects.open().filter(subscription=OuterRef("pk"))
    free = rows.filter(~Exists(taken), account__in=held).select_related("account", "plan").order_by("pk")
    found = list(free)
    if not found:
        return 0
    changes = _changes_of(found)
    subjects = {row.pk: about(row, changes[row.plan_id].pk) for row in found}
    sent = sent_mails([row.account_id for row in found], subjects.values())
    earlier = _earlier(found)
    promised = _promised(found, earlier)
    new = [
        _new_price(
            row,
            changes[row.plan_id],
            sent[subjects[row.pk]],
            earlier.get(row.pk, []),
            promised.get(row.pk, ()),
            at=at,
        )
        for row in found
    ]
    return _write([one for one in new if one is not None], at=at)


def _changes_of(rows: Iterable[Subscription]) -> dict[int, PriceChange]:
    standing = PriceChange.objects.standing().filter(from_plan__in={row.plan_id for row in rows})
    return {change.from_plan_id: change for change in standing.select_related("from_plan", "to_plan")}


def sent_mails(accounts: Iterable[int], subjects: Iterable[str]) -> dict[str, list[dt.datetime]]:
    """When mails about a rise left, by their subject (`about`). One query."""
    mails = Notice.objects.filter(account__in=list(accounts), kind=RISE, status=Notice.Status.SENT)
    found: dict[str, list[dt.datetime]] = {subject: [] for subject in subjects}
    for subject, moment in mails.values_list("subject", "sent_at"):
        if subject in found and moment is not None:
            found[subject].append(moment)
    return found


def _earlier(rows: Iterable[Subscription]) -> dict[int, list[PlannedPrice]]:
    """What was planned of these subscriptions before. One query."""
    found: dict[int, list[PlannedPrice]] = {}
    for planned in PlannedPrice.objects.filter(subscription__in=[row.pk for row in rows]):
        found.setdefault(planned.subscription_id, []).append(planned)
    return found


def _promised(
    rows: Iterable[Subscription], earlier: Mapping[int, Sequence[PlannedPrice]]
) -> dict[int, list[str]]:
    """The days of renewals of a year that a mail named at the old price: it holds for them.

    A mail that left while a new price was planned for that day named the new one. One query.
    """
    yearly = {row.account_id: row for row in rows if row.plan.interval == row.plan.Interval.YEAR}
    if not yearly:
        return {}
    mails = Notice.objects.filter(account__in=yearly, kind=RENEWS, status__in=("sent", "sending"))
    found: dict[int, list[str]] = {}
    for account_id, period, moment in mails.values_list("account_id", "period", "sent_at"):
        ref, day = period.split(":")[:2]
        row = yearly[account_id]
        named_new = any(_was_planned(one, day, moment) for one in earlier.get(row.pk, ()))
        if ref == row.public_id and not named_new:
            found.setdefault(row.pk, []).append(day)
    return found


def _was_planned(one: PlannedPrice, day: str, moment: dt.datetime | None) -> bool:
    """Whether this was what was planned for that day at that moment."""
    return (
        f"{one.takes_at:%Y%m%d}" == day
        and moment is not None
        and one.created_at <= moment <= (one.closed_at or moment)
    )


def _new_price(
    row: Subscription,
    change: PriceChange,
    sent: Sequence[dt.datetime],
    earlier: Sequence[PlannedPrice],
    days: Collection[str],
    *,
    at: dt.datetime,
) -> NewPrice | None:
    """The first renewal that may be, and never one before the day that a mail has named already."""
    assert row.period_end is not None
    reader = reader_of(row.account)
    ahead = list(islice(renewals_ahead(row.period_start, row.period_end, row.plan.interval), LOOKED_AT))
    named = [one.takes_at for one in earlier if sent and one.change_id == change.pk]
    takes_at = first_renewal(
        ahead,
        reader,
        since=max([change.effective_from, *named]),
        at=at,
        is_rise=change.is_rise,
        sent=sent,
        promised=[moment for moment in ahead if f"{moment:%Y%m%d}" in days],
    )
    return NewPrice(row, change, takes_at, reader, sent) if takes_at else None


# --- Writing ------------------------------------------------------------------------------------


def _write(new: Sequence[NewPrice], *, at: dt.datetime) -> int:
    """The rows, the mails that are owed, and the history."""
    rows = []
    for one in new:
        row = one.row
        left = unsaid(windows_of(one.takes_at, one.reader), one.sent) if row.is_rise else ()
        row.next_at, row.created_at = looked_at(one.takes_at, left, at=at), at
        rows.append(row)
    PlannedPrice.objects.bulk_create(rows)
    _owe(list(zip(new, rows, strict=True)), at=at)
    record_many(
        [row.account_id for row in rows],
        "price.planned",
        by=SYSTEM,
        at=at,
        subjects={row.account_id: row.ref for row in rows},
        facts_of={row.account_id: row.facts for row in rows},
    )
    return len(rows)


def _owe(new: Sequence[tuple[NewPrice, PlannedPrice]], *, at: dt.datetime) -> None:
    """Owe each its mails: one statement for each kind and set of rules."""
    owed: dict[tuple[str, tuple[str, ...]], list[Owed]] = {}
    for one, row in new:
        mails = mails_for(one.takes_at, one.reader, at=at, is_rise=row.is_rise, was_told=bool(one.sent))
        for mail in mails:
            kind = RISE if row.is_rise else FALL
            owed.setdefault((kind, mail.rule_ids), []).append(_mail(one, row, mail))
    for (kind, rules), letters in owed.items():
        owe_many(kind, letters, at=at, rule_ids=rules)


def _mail(one: NewPrice, row: PlannedPrice, mail: PriceMail) -> Owed:
    return Owed(
        one.account_id,
        f"{row.public_id}:{mail.which}",
        window_from=mail.window_from,
        window_to=mail.window_to,
        subject=about(one.subscription, one.change.pk),
    )
