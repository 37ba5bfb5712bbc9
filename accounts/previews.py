"""How a mail would read now: with the real facts of one account, in each language, without sending it."""

import datetime as dt
import logging
import re
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import Max

from accounts.calendar import CalendarEntry, ahead, mail_entries
from accounts.events import By, record
from accounts.kinds import NoticeKind, Sample, kinds
from accounts.mail import Message
from accounts.models import Account, Member, Notice
from accounts.sending import render_notice

logger = logging.getLogger(__name__)

LANGUAGES: Final = settings.LANGUAGES
#: How a kind says that the row which a mail is about is not there, or that its notice names none.
NOTHING_TO_WRITE_ABOUT: Final = (ObjectDoesNotExist, LookupError, ValueError)
#: The secret at the end of a link: whoever has it may undo or read; staff need not have it.
_SECRET = re.compile(r"(?<=/)[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, kw_only=True)
class Readable:
    """A kind of mail, what is known of it in this account, and whether there is something to show."""

    kind: NoticeKind
    newest: Notice | None
    coming: CalendarEntry | None
    can_be_shown: bool


def readable_kinds(account: Account, *, at: dt.datetime) -> list[Readable]:
    """Every kind: what is to be sent, the soonest first; what was sent, the newest first; the others.

    Four queries, and samples.
    """
    newest = _newest(account)
    entries = mail_entries(account, ahead(account, at), at=at)
    coming = {entry.kind: entry for entry in reversed(entries)}
    found = [
        Readable(
            kind=kind,
            newest=newest.get(code),
            coming=coming.get(code),
            can_be_shown=code in newest or _sample(account, kind, at) is not None,
        )
        for code, kind in kinds().items()
    ]
    return sorted(found, key=_place)


def _place(one: Readable) -> tuple[int, float, str]:
    if one.coming:
        return 0, one.coming.at.timestamp(), ""
    if one.newest and one.newest.sent_at:
        return 1, -one.newest.sent_at.timestamp(), str(one.kind.title)
    return (2 if one.can_be_shown else 3), 0, str(one.kind.title)


def _sample(account: Account, kind: NoticeKind, at: dt.datetime) -> Sample | None:
    return kind.sample(account, at) if kind.sample else None


def _newest(account: Account) -> dict[str, Notice]:
    """The notice of each kind that is owed, or the last one there was."""
    rows = Notice.objects.filter(account=account)
    last = rows.values("kind").annotate(last=Max("pk")).values_list("last", flat=True)
    found = {row.kind: row for row in rows.filter(pk__in=list(last)).select_related("account", "user")}
    owed = rows.filter(status=Notice.Status.OWED).select_related("account", "user").order_by("-window_from")
    return found | {row.kind: row for row in owed}


def preview_mail(account: Account, code: str, *, language: str, by: By, at: dt.datetime) -> Message | None:
    """One mail as it would read at this moment; None where there is nothing to write about.

    Nothing is sent, and links that writing it makes are unmade. The secrets in its links are left out.
    That somebody looked is in the account's history.
    """
    kind = kinds().get(code)
    notice = _notice_for(account, kind, at) if kind else None
    if notice is None:
        return None
    try:
        with transaction.atomic():
            message = render_notice(notice, at=at, language=language)
            transaction.set_rollback(True)
    except NOTHING_TO_WRITE_ABOUT:
        logger.info("mail cannot be previewed", extra={"kind": code})
        return None
    record(account, "mail.previewed", by=by, at=at, mail=code, language=language)
    return Message(
        to=message.to,
        subject=message.subject,
        text=_SECRET.sub("…", message.text),
        html=_SECRET.sub("…", message.html),
        language=language,
    )


def _notice_for(account: Account, kind: NoticeKind, at: dt.datetime) -> Notice | None:
    """The account's own notice of this kind, or one that is made up around a sample and never stored."""
    newest = _newest(account).get(kind.code)
    if newest is not None:
        return newest
    sample = _sample(account, kind, at)
    seat = Member.objects.payers().filter(account=account).select_related("user").first()
    if sample is None or seat is None:
        return None
    return Notice(
        account=account,
        user=seat.user,
        kind=kind.code,
        period=sample.period,
        subject=sample.subject,
        facts=sample.facts or {},
        window_from=at,
        window_to=at,
        created_at=at,
    )
