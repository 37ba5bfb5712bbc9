"""What must hold of trials, asked of the live database."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import Count, Exists, F, OuterRef, Q

from accounts.audit import Invariant, refs, register
from accounts.models import Account, Event, Member, Notice
from billing.models import Subscription, TrialExtension, TrialStep
from billing.trial_sets import TELLING

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


def open_past_their_day(at: dt.datetime) -> Iterable[str]:
    """Frozen by the date and not by the sweep an hour later: somebody did not run it (T1)."""
    late = TrialStep.objects.pending().filter(kind="freeze", due_at__lt=at - HOUR)
    rows = Account.objects.filter(
        Exists(late.filter(subscription__account=OuterRef("pk"))), state__in=Account.OPEN_STATES
    )
    return refs(rows.values_list("public_id", flat=True), "account")


def frozen_although_paid(at: dt.datetime) -> Iterable[str]:
    """Frozen by the end of a trial although a paid subscription runs (T2)."""
    paid = Subscription.objects.filter(account=OuterRef("pk"), status="active").exclude(provider_id=None)
    rows = Account.objects.filter(Exists(paid), state=Account.State.FROZEN)
    return refs(rows.values_list("public_id", flat=True), "account")


def free_and_frozen(at: dt.datetime) -> Iterable[str]:
    """A free plan that ends, or is frozen: it never is."""
    free = Subscription.objects.live().filter(account=OuterRef("pk"), provider_id=None, plan__amount=0)
    rows = Account.objects.filter(Exists(free), state=Account.State.FROZEN)
    return refs(rows.values_list("public_id", flat=True), "account")


def frozen_untold(at: dt.datetime) -> Iterable[str]:
    """Frozen by a trial's end without a mail three days before that was sent, or could not be (T2)."""
    frozen = Event.objects.filter(kind="account.frozen", facts__reason="trial_over")
    for ref, when in frozen.values_list("account_ref", "at").iterator():
        since = when - 3 * DAY + HOUR
        mails = Notice.objects.filter(account__public_id=ref, kind__in=TELLING, window_from__lte=since)
        told = mails.filter(Q(sent_at__lte=since) | Q(status__in=("dropped", "failed")))
        account = Account.objects.filter(public_id=ref).exclude(state="erased").first()
        readers = Member.objects.payers().filter(account=account)
        if account is not None and readers.exists() and not told.exists():
            yield f"account:{ref}"


def extensions_beyond_the_terms(at: dt.datetime) -> Iterable[str]:
    """More often, or by more days, than the account's terms give (T4)."""
    by_self = TrialExtension.objects.filter(via="self")
    longest = F("account__terms__trial_extension_engaged_days")
    too_long = by_self.filter(days__gt=longest)
    by_staff = TrialExtension.objects.filter(via="staff").exclude(actor="system")
    too_long |= by_staff.filter(days__gt=F("account__terms__charge_move_days"))
    yield from refs(too_long.values_list("pk", flat=True), "extension")
    often = by_self.values("account__public_id").annotate(number=Count("pk"))
    over = often.filter(number__gt=F("account__terms__trial_extensions_max"))
    yield from refs(over.order_by().values_list("account__public_id", flat=True), "account")


def extensions_into_the_past(at: dt.datetime) -> Iterable[str]:
    """Days that were not added to the later of the end and the moment they were given (T4)."""
    rows = TrialExtension.objects.filter(ends_after__lte=F("created_at"))
    return refs(rows.values_list("pk", flat=True), "extension")


def steps_before_their_day(at: dt.datetime) -> Iterable[str]:
    """A step of a trial that was taken before it was due: days taken away (T3)."""
    rows = TrialStep.objects.filter(done_at__lt=F("due_at"))
    return refs(rows.values_list("pk", flat=True), "step")


def register_invariants() -> None:
    """Called from `AppConfig.ready`."""
    register(
        Invariant(code="T1", kind="query", text="what ends is off within the hour", find=open_past_their_day),
        Invariant(code="T2", kind="query", text="nobody who pays is frozen", find=frozen_although_paid),
        Invariant(code="T2", kind="query", text="a free plan is never frozen", find=free_and_frozen),
        Invariant(code="T2", kind="query", text="nobody is frozen untold", find=frozen_untold),
        Invariant(
            code="T3", kind="query", text="no step of a trial comes early", find=steps_before_their_day
        ),
        Invariant(
            code="T3",
            kind="test",
            text="a trial ends the same with days of beat off, in every zone, at any date",
            proof="billing/tests/test_trial_lives.py",
        ),
        Invariant(
            code="T4",
            kind="query",
            text="a trial is longer within the terms",
            find=extensions_beyond_the_terms,
        ),
        Invariant(
            code="T4",
            kind="query",
            text="more days are added to the later of the end and now",
            find=extensions_into_the_past,
        ),
        Invariant(
            code="T4",
            kind="constraint",
            text="an extension has an actor and a reason",
            proof="trial_extension_has_actor_and_reason",
        ),
    )
