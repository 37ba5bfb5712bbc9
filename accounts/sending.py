"""Sending what is owed: each notice is leased, judged, sent outside a transaction, and recorded."""

import datetime as dt
import logging
import secrets
import time
from contextlib import nullcontext
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone, translation

from accounts import mail
from accounts.arbiter import Category, Verdict, decide
from accounts.kinds import NoticeKind, alert, category_of, kinds
from accounts.models import Account, Notice
from accounts.rounds import Round, in_order, letter_of, local_day
from accounts.suppression import is_suppressed

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=5)
BACK_OFF = (1, 5, 15, 60, 240, 720)  # minutes
#: How soon it is tried again to carry out what a missed notice demands.
MISSED_AGAIN = dt.timedelta(minutes=15)

Status = Notice.Status


def send_for(seconds: float, *, at: dt.datetime, limit: int = 200) -> int:
    """Send batch after batch until nothing is due or the time is over; returns how many were sent.

    A backlog of what has to wait is put aside quickly, so that it holds back nothing that must leave.
    """
    started = time.monotonic()
    sent, passed, is_full = 0, 0.0, True
    while is_full and passed < seconds:
        due, gone = _send_batch(at=at + dt.timedelta(seconds=passed), limit=limit)
        sent, is_full = sent + gone, due == limit
        passed = time.monotonic() - started
    return sent


def send_due_notices(*, at: dt.datetime, limit: int = 200) -> int:
    """Send one batch of what is due and may leave at this moment; returns how many were sent."""
    return _send_batch(at=at, limit=limit)[1]


def _send_batch(*, at: dt.datetime, limit: int) -> tuple[int, int]:
    """How many were due, and how many of them were sent.

    What has to wait is put off, and what a newer word made stale is dropped, in sets and unopened. A
    lease counts from the moment it is taken, not from the start of a slow batch, whose last notice
    would otherwise be out of time before it begins.
    """
    started = time.monotonic()
    due = list(Notice.objects.due(at).select_related("account").order_by("next_attempt_at")[:limit])
    this_round = Round(due, at=at)
    aside: dict[Verdict, list[int]] = {}
    sent = 0
    for row in in_order(due):
        verdict = decide(letter_of(row), this_round.circumstances(row), at=at)
        if verdict.what in ("later", "drop"):
            aside.setdefault(verdict, []).append(row.pk)
            this_round.note(row, Status.DROPPED if verdict.what == "drop" else Status.OWED, verdict.at)
            continue
        passed = dt.timedelta(seconds=int(time.monotonic() - started))
        notice = _claim(row.pk, at=at, lease_until=at + passed + LEASE, gentle_day=_day_for(row, at))
        if notice is not None:
            sent += _send(notice, this_round, at=at)
    _set_aside(aside, at=at)
    return len(due), sent


def _day_for(notice: Notice, at: dt.datetime) -> dt.date | None:
    """The day that a reminder takes for itself, so that no second one gets it; other mail takes none."""
    return local_day(notice, at) if letter_of(notice).category.is_gentle else None


def _set_aside(aside: dict[Verdict, list[int]], *, at: dt.datetime) -> None:
    """Put off or drop what nobody holds: one statement for each verdict.

    One whose sender was killed keeps its state, and with it the memory that it may have left.
    """
    for verdict, pks in aside.items():
        rows = Notice.objects.due(at).filter(pk__in=pks)
        if verdict.what == "drop":
            rows.update(status=Status.DROPPED, reason=verdict.reason, lease_until=None)
            continue
        rows.filter(status=Status.SENDING).update(next_attempt_at=verdict.at, lease_until=verdict.at)
        rows.filter(status=Status.OWED).update(next_attempt_at=verdict.at, reason=verdict.reason)


def _claim(
    pk: int, *, at: dt.datetime, lease_until: dt.datetime, gentle_day: dt.date | None = None
) -> Notice | None:
    """Take the lease, or None where someone else holds it or nothing is owed any more.

    A reminder takes its day with it; another one of that day, claimed meanwhile, keeps it.
    """
    seen = Notice.objects.due(at).filter(pk=pk).values_list("status", "unanswered").first()
    if seen is None:
        return None
    status, unanswered = seen
    # A lease that ran out means that whoever held it was killed, perhaps after the mail had left.
    was_lost = status == Status.SENDING
    held = Notice.objects.due(at).filter(pk=pk, status=status, unanswered=unanswered)
    token = secrets.token_hex(16)
    try:
        with transaction.atomic() if gentle_day else nullcontext():
            claimed = held.update(
                status=Status.SENDING,
                lease_until=lease_until,
                lease_token=token,
                attempts=F("attempts") + 1,
                unanswered=unanswered + was_lost,
                gentle_day=gentle_day,
            )
    except IntegrityError:
        return None
    if not claimed:
        return None
    notice = Notice.objects.select_related("account", "user").filter(pk=pk, lease_token=token).first()
    if notice is not None and was_lost and unanswered:
        _fail(notice, "unanswered", at=at)
        return None
    return notice


def _send(notice: Notice, this_round: Round, *, at: dt.datetime) -> bool:
    kind = kinds().get(notice.kind)
    if kind is None:
        _fail(notice, "unknown_kind", at=at)
        return False
    verdict = decide(letter_of(notice), this_round.circumstances(notice, _fact(notice, kind, at)), at=at)
    if verdict.what != "send":
        _carry_out(notice, verdict, at=at)
        this_round.note(notice, Status.DROPPED)
        return False
    try:
        message = render_notice(notice, at=at)
    except Exception as error:
        # Whatever is wrong with one kind's facts or template must not keep the other mails back.
        logger.exception("notice cannot be written", extra={"notice": notice.pk, "kind": notice.kind})
        this_round.note(notice, Status.OWED, _put_off(notice, type(error).__name__, at=at))
        return False
    try:
        message_id = mail.send_message(message, tag=notice.kind)
    except mail.MailFailed as failure:
        again = _put_off(notice, failure.code, at=at, is_unanswered=failure.is_unanswered)
        this_round.note(notice, Status.OWED, again)
        return False
    _record(notice, status=Status.SENT, reason="", sent_at=at, message_id=message_id)
    this_round.note(notice, Status.SENT)
    return True


def _fact(notice: Notice, kind: NoticeKind, at: dt.datetime) -> str:
    """Why it is not to be sent, by the facts of this moment; "" where they want it (M2, M3)."""
    if notice.account.state == Account.State.ERASED:
        return "erased"
    if notice.user and not _is_still_reader(notice, kind):
        return "left"
    if is_suppressed(recipient_address(notice)):
        return "suppressed"
    if kind.consent is not None and not kind.consent(notice, at):
        return "no_consent"
    return "" if kind.still_true(notice, at) else "no_longer_true"


def _is_still_reader(notice: Notice, kind: NoticeKind) -> bool:
    user = notice.user
    if user is None or not user.is_active:
        return False
    return kind.to_former_members or notice.account.members.current().filter(user=user).exists()


def _carry_out(notice: Notice, verdict: Verdict, *, at: dt.datetime) -> None:
    """What is no longer needed is dropped; what was needed and cannot leave has failed, which staff see."""
    if verdict.what == "drop":
        _record(notice, status=Status.DROPPED, reason=verdict.reason, gentle_day=None)
    elif verdict.what == "miss":
        _fail(notice, verdict.reason, at=at, gentle_day=None)
    else:
        again = {"next_attempt_at": verdict.at, "attempts": F("attempts") - 1}
        _record(notice, status=Status.OWED, reason=verdict.reason, gentle_day=None, **again)


def _record(notice: Notice, **columns: Any) -> int:
    """Write the outcome, if the lease is still ours; returns 1 where it was."""
    held = Notice.objects.filter(pk=notice.pk, lease_token=notice.lease_token, status=Status.SENDING)
    return held.update(lease_until=None, **columns)


def _fail(notice: Notice, reason: str, *, at: dt.datetime, **columns: Any) -> None:
    """Never in silence: the row is in staff's queue, and where nobody was told the kind says what follows.

    Where that cannot be done, the notice stays owed and it is tried again until it is.
    """
    logger.error("notice was not sent", extra={"notice": notice.pk, "kind": notice.kind, "why": reason})
    try:
        with transaction.atomic():
            # Of two recipients whose mails fail at once, the second one sees the first.
            Account.objects.select_for_update().get(pk=notice.account_id)
            is_ours = _record(notice, status=Status.FAILED, reason=reason, **columns)
            if is_ours and not _others_told(notice):
                kind = kinds().get(notice.kind)
                (kind.on_missed if kind else alert)(notice, at)
    except Exception:
        logger.exception("what a missed notice demands failed", extra={"notice": notice.pk})
        again = {"next_attempt_at": at + MISSED_AGAIN, "attempts": F("attempts") - 1}
        _record(notice, status=Status.OWED, reason=reason, gentle_day=None, **again)


def _others_told(notice: Notice) -> bool:
    """Whether somebody else of the account was told the same, or will be."""
    same = Notice.objects.filter(account_id=notice.account_id, kind=notice.kind, period=notice.period)
    return same.filter(status__in=(Status.SENT, Status.OWED, Status.SENDING)).exists()


def _put_off(notice: Notice, code: str, *, at: dt.datetime, is_unanswered: bool = False) -> dt.datetime:
    """Try again later, longer each time, once more at the end of the window; after a lost answer only
    once more (M1). What the law demands is tried until its window closes. Returns when.
    """
    unanswered = notice.unanswered + is_unanswered
    # It may have left all the same: then its day is taken.
    day = {} if is_unanswered else {"gentle_day": None}
    is_legal = category_of(notice.kind) == Category.LEGAL
    if unanswered > 1 or (notice.attempts > len(BACK_OFF) and not is_legal):
        _fail(notice, code, at=at, unanswered=unanswered, **day)
        return at
    again = at + dt.timedelta(minutes=BACK_OFF[min(notice.attempts, len(BACK_OFF)) - 1])
    if at < notice.window_to < again:
        again = notice.window_to
    _record(notice, status=Status.OWED, reason=code, unanswered=unanswered, next_attempt_at=again, **day)
    return again


def wake_held(sender: Any, account: Account, at: dt.datetime, **_: Any) -> None:
    """A hold was placed, moved or ended: what waits for its end is judged anew."""
    rows = Notice.objects.filter(account=account, status=Status.OWED, reason="held")
    rows.update(next_attempt_at=at)


def recipient_address(notice: Notice) -> str:
    """Where it goes: the member's present address, or the outsider's that it was owed to."""
    return notice.user.email if notice.user else notice.address


def render_notice(notice: Notice, *, at: dt.datetime, language: str = "") -> mail.Message:
    """Subject, text and HTML with the facts of this moment, in the recipient's language or another."""
    language = language or (notice.user.language if notice.user else notice.account.language)
    zone = notice.account.zone
    # What a kind works out for its mail is said in the reader's language and zone, too.
    with translation.override(language), timezone.override(zone):
        context = {"notice": notice, "account": notice.account, "user": notice.user, "zone": zone, "at": at}
        return mail.render_message(
            notice.kind,
            context | kinds()[notice.kind].context(notice, at),
            to=recipient_address(notice),
            language=language,
            zone=zone,
        )
