"""What must hold of prices that rise, asked of the live database."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import CharField, Exists, F, OuterRef, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Concat

from accounts.audit import Invariant, register
from accounts.models import Event
from billing.models import PlannedPrice, Subscription
from billing.price_planning import about, reader_of, sent_mails
from billing.price_rules import unsaid, windows_of

#: How far back it is asked again whether they were told: the mails of closed accounts go in time.
RECENT = dt.timedelta(days=60)
HOUR = dt.timedelta(hours=1)
AT_ONCE = 500
State = PlannedPrice.State


def risen_untold(at: dt.datetime) -> Iterable[str]:
    """At a higher price, now or from the next renewal on, that was not told in every window (M2)."""
    rows = PlannedPrice.objects.filter(
        state__in=(State.SET, State.DONE), amount_after__gt=F("amount_before"), set_at__gte=at - RECENT
    )
    chunk: list[PlannedPrice] = []
    for row in rows.select_related("account", "subscription").exclude(account__state="erased").iterator():
        chunk.append(row)
        if len(chunk) == AT_ONCE:
            yield from _untold(chunk)
            chunk = []
    yield from _untold(chunk)


def _untold(rows: list[PlannedPrice]) -> Iterable[str]:
    subjects = {row.pk: about(row.subscription, row.change_id) for row in rows}
    sent = sent_mails([row.account_id for row in rows], subjects.values())
    for row in rows:
        if unsaid(windows_of(row.takes_at, reader_of(row.account)), sent[subjects[row.pk]]):
            yield f"price:{row.public_id}"


def risen_unplanned(at: dt.datetime) -> Iterable[str]:
    """At a higher price since before it was on offer, by nobody's choice and without a planned price (M2)."""
    told = PlannedPrice.objects.filter(subscription=OuterRef("pk"), change=OuterRef("plan__price_change"))
    subject = Concat(Value("subscription:"), OuterRef("public_id"), output_field=CharField())
    chosen = Event.objects.annotate(plan=KT("facts__plan")).filter(
        account_ref=OuterRef("account__public_id"),
        kind="subscription.plan_changed",
        subject=subject,
        plan=OuterRef("plan__code"),
    )
    rows = Subscription.objects.live().filter(
        ~Exists(told.filter(state__in=(State.SET, State.DONE))),
        ~Exists(chosen),
        plan__price_change__effective_from__gt=F("started_at"),
        plan__amount__gt=F("plan__price_change__from_plan__amount"),
        synced_at__lt=at - HOUR,
    )
    for ref in rows.values_list("public_id", flat=True).iterator():
        yield f"subscription:{ref}"


def unlooked_at(at: dt.datetime) -> Iterable[str]:
    """Planned prices that nobody has looked at for hours: somebody did not run it."""
    rows = PlannedPrice.objects.due(at - 3 * HOUR)
    for ref in rows.values_list("public_id", flat=True).iterator():
        yield f"price:{ref}"


def register_price_invariants() -> None:
    """Called from `AppConfig.ready`."""
    register(
        Invariant(code="M2", kind="query", text="nobody pays a rise untold", find=risen_untold),
        Invariant(code="M2", kind="query", text="nobody pays a rise unplanned", find=risen_unplanned),
        Invariant(code="M2", kind="query", text="planned prices are looked at", find=unlooked_at),
        Invariant(
            code="M2",
            kind="constraint",
            text="a rise is told to the provider after its notice has left",
            proof="planned_price_rise_was_told",
        ),
        Invariant(
            code="T4",
            kind="constraint",
            text="a price change has an actor and a reason",
            proof="price_change_has_actor_and_reason",
        ),
    )
