"""What we owe someone to read: owing it, and sending it once while it is still true.

A kind is registered by the app that knows the facts. `still_true` is asked again right before
sending (paid? withdrawn? moved?); `context` fills the template `mail/<kind>.html`.
"""

import datetime as dt
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import translation

from accounts import mail
from accounts.doorbell import ring
from accounts.ids import hash_token
from accounts.models import Account, Notice, Suppression, User

LEASE = dt.timedelta(minutes=5)
BACK_OFF = (1, 5, 15, 60, 240, 720)  # minutes


@dataclass(frozen=True)
class NoticeKind:
    """One kind of mail and the two questions about it."""

    code: str
    context: Callable[[Notice, dt.datetime], dict[str, Any]]
    still_true: Callable[[Notice, dt.datetime], bool] = lambda notice, at: True
    is_marketing: bool = False


_KINDS: dict[str, NoticeKind] = {}


def register(kind: NoticeKind) -> None:
    """Make a kind known; called from `AppConfig.ready`."""
    _KINDS[kind.code] = kind


def kinds() -> dict[str, NoticeKind]:
    """Every registered kind, by its code."""
    return dict(_KINDS)


def owe(
    account: Account,
    kind: str,
    *,
    to: Iterable[User] = (),
    address: str = "",
    period: str,
    at: dt.datetime,
    window_from: dt.datetime | None = None,
    window_to: dt.datetime | None = None,
    subject: str = "",
    facts: dict[str, Any] | None = None,
    rule_ids: Iterable[str] = (),
) -> None:
    """Owe each recipient this notice once for this period, inside the caller's transaction (M1).

    Without a window it is due at once and for three days. Owing it again changes nothing.
    """
    if kind not in _KINDS:
        raise ValueError(f"No such kind of notice: {kind}")
    start = window_from or at
    end = window_to or start + dt.timedelta(days=3)
    targets: list[tuple[User | None, str]] = [(user, "") for user in to]
    if address:
        targets.append((None, address))
    rows = [
        Notice(
            account=account,
            user=user,
            address=mailbox,
            kind=kind,
            recipient=user.public_id if user else hash_token(mailbox.strip().lower()),
            period=period,
            subject=subject,
            facts=facts or {},
            window_from=start,
            window_to=end,
            rule_ids=list(rule_ids),
            next_attempt_at=start,
            created_at=at,
        )
        for user, mailbox in targets
    ]
    Notice.objects.bulk_create(rows, ignore_conflicts=True)
    ring("accounts.send_notices")


def drop_notices(account: Account, *, kinds: Iterable[str], reason: str, period: str | None = None) -> int:
    """What is owed no longer holds: drop it before it is sent. Returns how many."""
    rows = Notice.objects.filter(account=account, kind__in=list(kinds), status=Notice.Status.OWED)
    if period is not None:
        rows = rows.filter(period=period)
    return rows.update(status=Notice.Status.DROPPED, reason=reason)


def send_due_notices(*, at: dt.datetime, limit: int = 200) -> int:
    """Send what is due. Each notice is leased, asked again, sent outside a transaction, recorded."""
    sent = 0
    for pk in list(Notice.objects.due(at).order_by("next_attempt_at").values_list("pk", flat=True)[:limit]):
        token = secrets.token_hex(16)
        claimed = (
            Notice.objects.due(at)
            .filter(pk=pk)
            .update(
                status=Notice.Status.SENDING,
                lease_until=at + LEASE,
                lease_token=token,
                attempts=F("attempts") + 1,
            )
        )
        if claimed:
            sent += _send(Notice.objects.select_related("account", "user").get(pk=pk), token, at=at)
    return sent


def _send(notice: Notice, token: str, *, at: dt.datetime) -> bool:
    held = Notice.objects.filter(pk=notice.pk, lease_token=token, status=Notice.Status.SENDING)
    reason = _why_not(notice, at)
    if reason:
        held.update(status=Notice.Status.DROPPED, reason=reason, lease_until=None)
        return False
    try:
        message_id = mail.send_message(render_notice(notice, at=at), tag=notice.kind)
    except mail.MailFailed as failure:
        _put_off(held, notice, failure.code, at=at)
        return False
    held.update(status=Notice.Status.SENT, sent_at=at, message_id=message_id, lease_until=None)
    return True


def _why_not(notice: Notice, at: dt.datetime) -> str:
    """Why this must not be sent after all: a code, or "" when it must (M2, M3)."""
    kind = _KINDS.get(notice.kind)
    if kind is None:
        return "unknown_kind"
    if notice.window_to < at:
        return "window_closed"
    if notice.account.state == Account.State.ERASED:
        return "erased"
    if is_suppressed(recipient_address(notice)):
        return "suppressed"
    return "" if kind.still_true(notice, at) else "no_longer_true"


def _put_off(held: Any, notice: Notice, code: str, *, at: dt.datetime) -> None:
    if notice.attempts > len(BACK_OFF):
        held.update(status=Notice.Status.FAILED, reason=code, lease_until=None)
        return
    wait = dt.timedelta(minutes=BACK_OFF[notice.attempts - 1])
    held.update(status=Notice.Status.OWED, reason=code, lease_until=None, next_attempt_at=at + wait)


def recipient_address(notice: Notice) -> str:
    """Where it goes: the member's present address, or the outsider's that it was owed to."""
    return notice.user.email if notice.user else notice.address


def render_notice(notice: Notice, *, at: dt.datetime) -> mail.Message:
    """Subject, text and HTML in the recipient's language, with the facts of this moment."""
    language = notice.user.language if notice.user else notice.account.language
    zone = notice.account.zone
    with translation.override(language):
        context = {"notice": notice, "account": notice.account, "user": notice.user, "zone": zone, "at": at}
        return mail.render_message(
            notice.kind,
            context | _KINDS[notice.kind].context(notice, at),
            to=recipient_address(notice),
            language=language,
            zone=zone,
        )


def is_suppressed(address: str) -> bool:
    """Whether this address bounced or complained."""
    return Suppression.objects.filter(address_hash=hash_token(address.strip().lower())).exists()


@transaction.atomic
def suppress_address(address: str, reason: str, *, at: dt.datetime) -> None:
    """Never write to this address again (a bounce or a complaint reported by the mail service)."""
    Suppression.objects.get_or_create(
        address_hash=hash_token(address.strip().lower()), defaults={"reason": reason, "at": at}
    )
    Notice.objects.filter(
        Q(user__email__iexact=address) | Q(address__iexact=address), status=Notice.Status.OWED
    ).update(status=Notice.Status.DROPPED, reason="suppressed")
