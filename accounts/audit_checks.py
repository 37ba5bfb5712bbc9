"""What must hold of history and mail."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import Count, DateTimeField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet
from django.db.models.functions import TruncDate

from accounts.arbiter import Category, is_open
from accounts.audit import Invariant, refs, register
from accounts.ids import hash_token
from accounts.kinds import kinds, kinds_of
from accounts.models import Account, ActivityDay, Event, Notice, Suppression
from accounts.rounds import mail_hours

LATE = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
#: What was sent earlier than this was asked about before.
LOOK_BACK = dt.timedelta(days=8)


def history_gaps(at: dt.datetime) -> Iterable[str]:
    """Accounts whose events are fewer or more than their counter says."""
    counted = dict(Event.objects.values_list("account_ref").annotate(n=Count("id")))
    for ref, expected in Account.objects.values_list("public_id", "event_count").iterator():
        if counted.get(ref, 0) != expected:
            yield f"account:{ref}"


def personal_history(at: dt.datetime) -> Iterable[str]:
    """Events that hold something like an address; codes, ids, amounts and times never contain an @."""
    return refs(Event.objects.filter(facts__icontains="@").values_list("pk", flat=True), "event")


def let_in_although_off(at: dt.datetime) -> Iterable[str]:
    """Used on a day on which access had been off for a whole day, by its date and by its state (T1)."""
    # The account's own day is at most one ahead of the day in UTC.
    over = TruncDate(ExpressionWrapper(OuterRef("access_ends_at") + 2 * DAY, DateTimeField()), tzinfo=dt.UTC)
    used = ActivityDay.objects.filter(account=OuterRef("pk"), day__gte=over)
    rows = Account.objects.filter(
        Exists(used.filter(day__gte=(at - LOOK_BACK).date())),
        state__in=(Account.State.FROZEN, Account.State.CLOSED),
        access_ends_at__isnull=False,
    )
    return refs(rows.values_list("public_id", flat=True), "account")


def sent_twice(at: dt.datetime) -> Iterable[str]:
    """Notices handed to the mail service again although its answer was lost twice."""
    rows = Notice.objects.filter(Q(unanswered__gt=2) | Q(unanswered__gt=1, status__in=("sent", "owed")))
    return refs(rows.values_list("pk", flat=True), "notice")


def _sent_lately(at: dt.datetime, kinds: Iterable[str] | None = None) -> QuerySet[Notice]:
    rows = Notice.objects.filter(status="sent", sent_at__gte=at - LOOK_BACK)
    return rows if kinds is None else rows.filter(kind__in=list(kinds))


def sent_outside_window(at: dt.datetime) -> Iterable[str]:
    """Sent before its window opened or after it closed."""
    rows = _sent_lately(at).filter(Q(sent_at__lt=F("window_from")) | Q(sent_at__gt=F("window_to")))
    return refs(rows.values_list("pk", flat=True), "notice")


def reminders_at_a_bad_moment(at: dt.datetime) -> Iterable[str]:
    """Reminders and news that came in quiet hours, or took another day than the one they came on.

    The database allows one of them a day and recipient, by the day that they took.
    """
    hours = mail_hours()
    gentle = kinds_of(*(category for category in Category if category.is_gentle))
    for notice in _sent_lately(at, gentle).select_related("account").iterator():
        assert notice.sent_at is not None
        local = notice.sent_at.astimezone(notice.account.zone)
        if not is_open(local, hours) or notice.gentle_day != local.date():
            yield f"notice:{notice.pk}"


def stale_words(at: dt.datetime) -> Iterable[str]:
    """Sent after a newer word on the same subject to the same reader; what the law demands may be."""
    topics: dict[str, list[str]] = {}
    for code, kind in kinds().items():
        if kind.topic:
            topics.setdefault(kind.topic, []).append(code)
    for codes in topics.values():
        newer = Notice.objects.filter(
            account=OuterRef("account"),
            recipient=OuterRef("recipient"),
            subject=OuterRef("subject"),
            kind__in=codes,
            status="sent",
            window_from__gt=OuterRef("window_from"),
            sent_at__lt=OuterRef("sent_at"),
        )
        rows = _sent_lately(at, set(codes) - set(kinds_of(Category.LEGAL))).filter(Exists(newer))
        yield from refs(rows.values_list("pk", flat=True), "notice")


def unsent_past_window(at: dt.datetime) -> Iterable[str]:
    """Owed, and the window has closed without anyone saying so."""
    rows = Notice.objects.filter(status__in=("owed", "sending"), window_to__lt=at - LATE)
    return refs(rows.values_list("pk", flat=True), "notice")


def sent_to_suppressed(at: dt.datetime) -> Iterable[str]:
    """Sent although the address had bounced or complained before."""
    suppressed = dict(Suppression.objects.values_list("address_hash", "at"))
    if not suppressed:
        return
    rows = Notice.objects.filter(status="sent", sent_at__gte=min(suppressed.values())).select_related("user")
    for notice in rows.iterator():
        address = notice.user.email if notice.user else notice.address
        since = suppressed.get(hash_token(address.strip().lower()))
        if since is not None and notice.sent_at is not None and notice.sent_at > since:
            yield f"notice:{notice.pk}"


def owed_to_erased(at: dt.datetime) -> Iterable[str]:
    """Owed to an account that was erased."""
    rows = Notice.objects.filter(account__state="erased", status__in=("owed", "sending"))
    return refs(rows.values_list("pk", flat=True), "notice")


def register_invariants() -> None:
    """Called from `AppConfig.ready`."""
    register(
        Invariant(code="C10", kind="query", text="history has no gaps", find=history_gaps),
        Invariant(code="C10", kind="constraint", text="history is append-only", proof="event_append_only"),
        Invariant(code="D3", kind="query", text="history holds no personal data", find=personal_history),
        Invariant(
            code="T1", kind="query", text="nobody is let in whose access is off", find=let_in_although_off
        ),
        Invariant(
            code="T1",
            kind="test",
            text="who is frozen or gone reaches only the allow-list, with any credential",
            proof="config/tests/test_access_matrix.py",
        ),
        Invariant(code="M1", kind="constraint", text="each notice is owed once", proof="notice_owed_once"),
        Invariant(code="M1", kind="query", text="each notice is sent at most once more", find=sent_twice),
        Invariant(
            code="M2",
            kind="constraint",
            text="one reminder a day and recipient",
            proof="notice_one_reminder_a_day",
        ),
        Invariant(
            code="M2",
            kind="query",
            text="a notice leaves inside its window or is flagged",
            find=unsent_past_window,
        ),
        Invariant(
            code="M2", kind="query", text="no notice leaves outside its window", find=sent_outside_window
        ),
        Invariant(
            code="M2",
            kind="query",
            text="reminders come by day, on the day they took",
            find=reminders_at_a_bad_moment,
        ),
        Invariant(code="M2", kind="query", text="nothing stale is said after a newer word", find=stale_words),
        Invariant(
            code="M2",
            kind="test",
            text="any letters in any order, with outages and holds: one voice",
            proof="accounts/tests/test_arbiter.py",
        ),
        Invariant(code="M3", kind="query", text="no mail to suppressed addresses", find=sent_to_suppressed),
        Invariant(code="M3", kind="query", text="no mail to erased accounts", find=owed_to_erased),
        Invariant(
            code="M3",
            kind="test",
            text="news only with consent",
            proof="accounts/tests/test_one_voice.py",
        ),
    )
