"""What must hold of history and mail."""

import datetime as dt
from collections.abc import Iterable

from django.db.models import Count

from accounts.audit import Invariant, refs, register
from accounts.ids import hash_token
from accounts.models import Account, Event, Notice, Suppression

LATE = dt.timedelta(hours=1)


def history_gaps(at: dt.datetime) -> Iterable[str]:
    """Accounts whose events are fewer or more than their counter says."""
    counted = dict(Event.objects.values_list("account_ref").annotate(n=Count("id")))
    for ref, expected in Account.objects.values_list("public_id", "event_count").iterator():
        if counted.get(ref, 0) != expected:
            yield f"account:{ref}"


def personal_history(at: dt.datetime) -> Iterable[str]:
    """Events that hold something like an address; codes, ids, amounts and times never contain an @."""
    return refs(Event.objects.filter(facts__icontains="@").values_list("pk", flat=True), "event")


def sent_twice(at: dt.datetime) -> Iterable[str]:
    """Notices handed to the mail service more often than once and once more."""
    return refs(
        Notice.objects.filter(status="sent", attempts__gt=2, reason="answer_lost").values_list(
            "pk", flat=True
        ),
        "notice",
    )


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
        Invariant(code="M1", kind="constraint", text="each notice is owed once", proof="notice_owed_once"),
        Invariant(code="M1", kind="query", text="each notice is sent at most once more", find=sent_twice),
        Invariant(
            code="M2",
            kind="query",
            text="a notice leaves inside its window or is flagged",
            find=unsent_past_window,
        ),
        Invariant(code="M3", kind="query", text="no mail to suppressed addresses", find=sent_to_suppressed),
        Invariant(code="M3", kind="query", text="no mail to erased accounts", find=owed_to_erased),
    )
