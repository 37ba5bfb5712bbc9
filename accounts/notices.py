"""What we owe someone to read: owing it, and sending it once while it is still true.

A kind is registered by the app that knows the facts. `still_true` is asked again right before
sending (paid? withdrawn? moved?); `context` fills the template `mail/<kind>.html`.
"""

import datetime as dt
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db import transaction
from django.db.models import F, Q, QuerySet, TextChoices
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts import mail, sets
from accounts.doorbell import ring
from accounts.ids import hash_token
from accounts.models import Account, Member, Notice, Suppression, User

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=5)
#: How long a notice may wait that was given no window of its own.
WINDOW = dt.timedelta(days=3)
BACK_OFF = (1, 5, 15, 60, 240, 720)  # minutes


class Category(TextChoices):
    """How a kind of mail is treated when several want to leave, and when it may."""

    #: A law demands it: it leaves inside its window, at any hour, and is never dropped for another.
    LEGAL = "legal", _("required by law")
    #: What someone just did, or what just happened to their money or data: it leaves at once.
    TRANSACTIONAL = "transactional", _("about something that happened")
    #: At most one a day, on working days, outside quiet hours.
    REMINDER = "reminder", _("reminder")
    #: As a reminder, and only with the reader's consent.
    COMMERCIAL = "commercial", _("news")

    @property
    def is_gentle(self) -> bool:
        """Whether it waits for a good moment: quiet hours, working days, one a day."""
        return self in (Category.REMINDER, Category.COMMERCIAL)


@dataclass(frozen=True, kw_only=True)
class NoticeKind:
    """One kind of mail, in words for the account page, and the questions about it.

    `title` says what will be sent and `why` it is ("Your trial ends"); both are lazy translations.
    A member who has left the account gets nothing more, unless `to_former_members`.

    Kinds of one `topic` about one subject speak of the same thing: the newest word counts, and what
    was to be said before it is not said any more ("your trial ends" after "your trial was extended").
    """

    code: str
    title: "StrOrPromise"
    why: "StrOrPromise"
    context: Callable[[Notice, dt.datetime], dict[str, Any]]
    still_true: Callable[[Notice, dt.datetime], bool] = lambda notice, at: True
    category: Category = Category.TRANSACTIONAL
    topic: str = ""
    to_former_members: bool = False


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
    end = window_to or start + WINDOW
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


class Owed(NamedTuple):
    """One account's notice of a kind, for one period; without a window it is due at once for three days."""

    account_id: int
    period: str
    window_from: dt.datetime | None = None
    window_to: dt.datetime | None = None
    subject: str = ""
    facts: dict[str, Any] | None = None


@transaction.atomic
def owe_many(
    kind: str,
    rows: Iterable[Owed],
    *,
    at: dt.datetime,
    to: QuerySet[Member] | None = None,
    rule_ids: Iterable[str] = (),
) -> int:
    """What `owe` does, for many accounts at once, in one statement; returns how many notices are new.

    Each goes to the members in `to`, who are whoever pays unless told otherwise.
    """
    if kind not in _KINDS:
        raise ValueError(f"No such kind of notice: {kind}")
    owed = list(rows)
    if not owed:
        return 0
    starts = [row.window_from or at for row in owed]
    columns: dict[str, list[Any]] = {
        "period": [row.period for row in owed],
        "subject": [row.subject for row in owed],
        "facts": [row.facts or {} for row in owed],
        "window_from": starts,
        "window_to": [row.window_to or start + WINDOW for row, start in zip(owed, starts, strict=True)],
    }
    table, params = sets.given([row.account_id for row in owed], Notice, columns)
    seats = Member.objects.payers() if to is None else to
    people, people_params = seats.values("account_id", "user_id", "user__public_id").query.sql_with_params()
    taken = {name: f"given.{name}" for name in columns} | {
        "account_id": "given.id",
        "user_id": "reader.user_id",
        "recipient": "reader.user__public_id",
        "next_attempt_at": "given.window_from",
    }
    source = f"FROM ({table}) AS given JOIN ({people}) AS reader ON reader.account_id = given.id WHERE true"
    same = Notice(kind=kind, rule_ids=list(rule_ids), created_at=at)
    new = sets.run(
        sets.insert_select(
            same, taken, (source, [*params, *people_params]), conflict="ON CONFLICT DO NOTHING"
        )
    )
    ring("accounts.send_notices")
    return new


def drop_notices(account: Account, *, kinds: Iterable[str], reason: str, period: str | None = None) -> int:
    """What is owed no longer holds: drop it before it is sent. Returns how many."""
    rows = Notice.objects.filter(account=account, kind__in=list(kinds), status=Notice.Status.OWED)
    if period is not None:
        rows = rows.filter(period=period)
    return rows.update(status=Notice.Status.DROPPED, reason=reason)


def send_due_notices(*, at: dt.datetime, limit: int = 200) -> int:
    """Send what is due. Each notice is leased, asked again, sent outside a transaction, recorded.

    A lease counts from the moment it is taken, not from the start of a slow batch, whose last
    notice would otherwise be out of time before it begins. Returns how many were sent.
    """
    started = time.monotonic()
    sent = 0
    for pk in list(Notice.objects.due(at).order_by("next_attempt_at").values_list("pk", flat=True)[:limit]):
        passed = dt.timedelta(seconds=int(time.monotonic() - started))
        notice = _claim(pk, at=at, lease_until=at + passed + LEASE)
        if notice is not None:
            sent += _send(notice, at=at)
    return sent


def _claim(pk: int, *, at: dt.datetime, lease_until: dt.datetime) -> Notice | None:
    """Take the lease, or None where someone else holds it or nothing is owed any more."""
    seen = Notice.objects.due(at).filter(pk=pk).values_list("status", "unanswered").first()
    if seen is None:
        return None
    status, unanswered = seen
    # A lease that ran out means that whoever held it was killed, perhaps after the mail had left.
    was_lost = status == Notice.Status.SENDING
    held = Notice.objects.due(at).filter(pk=pk, status=status, unanswered=unanswered)
    if was_lost and unanswered:
        held.update(status=Notice.Status.FAILED, reason="unanswered", lease_until=None)
        return None
    token = secrets.token_hex(16)
    claimed = held.update(
        status=Notice.Status.SENDING,
        lease_until=lease_until,
        lease_token=token,
        attempts=F("attempts") + 1,
        unanswered=unanswered + was_lost,
    )
    if not claimed:
        return None
    return Notice.objects.select_related("account", "user").filter(pk=pk, lease_token=token).first()


def _send(notice: Notice, *, at: dt.datetime) -> bool:
    end = _why_not(notice, at)
    if end is not None:
        _record(notice, status=end[0], reason=end[1])
        return False
    try:
        message = render_notice(notice, at=at)
    except Exception as error:
        # Whatever is wrong with one kind's facts or template must not keep the other mails back.
        logger.exception("notice cannot be written", extra={"notice": notice.pk, "kind": notice.kind})
        _put_off(notice, type(error).__name__, at=at)
        return False
    try:
        message_id = mail.send_message(message, tag=notice.kind)
    except mail.MailFailed as failure:
        _put_off(notice, failure.code, at=at, is_unanswered=failure.is_unanswered)
        return False
    _record(notice, status=Notice.Status.SENT, reason="", sent_at=at, message_id=message_id)
    return True


def _record(notice: Notice, **columns: Any) -> None:
    """Write the outcome, if the lease is still ours."""
    Notice.objects.filter(pk=notice.pk, lease_token=notice.lease_token, status=Notice.Status.SENDING).update(
        lease_until=None, **columns
    )


def _why_not(notice: Notice, at: dt.datetime) -> tuple[str, str] | None:
    """How this ends without being sent, as (status, reason), or None when it must be sent (M2, M3).

    What is no longer needed is dropped; what was needed and missed its window has failed, which
    staff see: it is never skipped in silence.
    """
    kind = _KINDS.get(notice.kind)
    if kind is None:
        return Notice.Status.FAILED, "unknown_kind"
    if notice.account.state == Account.State.ERASED:
        return Notice.Status.DROPPED, "erased"
    if notice.user and not _is_still_reader(notice, kind):
        return Notice.Status.DROPPED, "left"
    if is_suppressed(recipient_address(notice)):
        return Notice.Status.DROPPED, "suppressed"
    if not kind.still_true(notice, at):
        return Notice.Status.DROPPED, "no_longer_true"
    if notice.window_to < at:
        logger.error("notice missed its window", extra={"notice": notice.pk, "kind": notice.kind})
        return Notice.Status.FAILED, "window_closed"
    return None


def _is_still_reader(notice: Notice, kind: NoticeKind) -> bool:
    user = notice.user
    if user is None or not user.is_active:
        return False
    return kind.to_former_members or notice.account.members.current().filter(user=user).exists()


def _put_off(notice: Notice, code: str, *, at: dt.datetime, is_unanswered: bool = False) -> None:
    """Try again later, longer each time; after a lost answer only once more (M1)."""
    unanswered = notice.unanswered + is_unanswered
    if notice.attempts > len(BACK_OFF) or unanswered > 1:
        logger.error("notice given up", extra={"notice": notice.pk, "kind": notice.kind, "why": code})
        _record(notice, status=Notice.Status.FAILED, reason=code, unanswered=unanswered)
        return
    wait = dt.timedelta(minutes=BACK_OFF[notice.attempts - 1])
    _record(
        notice,
        status=Notice.Status.OWED,
        reason=code,
        unanswered=unanswered,
        next_attempt_at=at + wait,
    )


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


@transaction.atomic
def record_outcome(
    message_id: str, address: str, outcome: str, *, at: dt.datetime, suppress: bool = False
) -> None:
    """What the mail service reports about a message: delivered, bounced, complained (M3).

    A later report never hides a worse one, so "delivered" after "complained" changes nothing.
    """
    if suppress and address:
        suppress_address(address, "complaint" if outcome == Notice.Outcome.COMPLAINED else "bounce", at=at)
    if message_id:
        rows = Notice.objects.filter(message_id=message_id)
        if outcome == Notice.Outcome.DELIVERED:
            rows = rows.filter(outcome="")
        rows.update(outcome=outcome, outcome_at=at)
