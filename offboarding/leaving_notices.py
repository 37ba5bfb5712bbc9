"""The mails of leaving: each asks the facts again when it is about to go."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.models import Notice
from accounts.notices import Category, NoticeKind, register
from offboarding import receipts, wording
from offboarding.dates import billing_words, dates_of, is_free_time_first
from offboarding.models import Cancellation
from offboarding.standing import read_standing

Status = Cancellation.Status


def _cancellation(notice: Notice) -> Cancellation:
    rows = Cancellation.objects.select_related("account", "quote__terms", "subscription__plan")
    return rows.get(public_id=notice.subject.partition(":")[2])


def _context(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    cancellation = _cancellation(notice)
    standing = read_standing(cancellation, at=at)
    page = reverse("leaving", args=[cancellation.account.public_id, cancellation.public_id])
    return {
        "cancellation": cancellation,
        "quote": cancellation.quote,
        "standing": standing,
        "dates": dates_of(standing),
        "billing": billing_words(cancellation),
        "ending": wording.title_of(cancellation.quote),
        "receipt_path": receipts.receipt_path(cancellation),
        "undo_path": receipts.undo_path(cancellation),
        "page_path": page,
        "claim_path": reverse("leaving_claim", args=[cancellation.account.public_id, cancellation.public_id]),
        "is_free_time_first": is_free_time_first(cancellation),
        "exports_path": reverse("exports", args=[cancellation.account.public_id]),
        "return_path": reverse("come_back", args=[cancellation.account.public_id]),
    }


def _is_not_withdrawn(notice: Notice, at: dt.datetime) -> bool:
    return _cancellation(notice).status != Status.WITHDRAWN


def _waits_for_last_step(notice: Notice, at: dt.datetime) -> bool:
    return read_standing(_cancellation(notice), at=at).last_step_open


def _is_withdrawn(notice: Notice, at: dt.datetime) -> bool:
    return _cancellation(notice).status == Status.WITHDRAWN


def _is_completed(notice: Notice, at: dt.datetime) -> bool:
    return _cancellation(notice).status == Status.COMPLETED


def _can_claim(notice: Notice, at: dt.datetime) -> bool:
    return read_standing(_cancellation(notice), at=at).can_claim


BECAUSE_LEAVING = _("Because this account is being cancelled.")

KINDS = (
    NoticeKind(
        code="leaving_received",
        title=_("Your cancellation is on record"),
        why=BECAUSE_LEAVING,
        context=_context,
        still_true=_is_not_withdrawn,
        category=Category.LEGAL,
    ),
    NoticeKind(
        code="leaving_last_step",
        title=_("One step left"),
        why=_("Because you chose something that needs one more step."),
        context=_context,
        still_true=_waits_for_last_step,
        category=Category.REMINDER,
        despite_hold=True,
        topic="leaving",
    ),
    NoticeKind(
        code="leaving_confirmed",
        title=_("Your confirmation"),
        why=BECAUSE_LEAVING,
        context=_context,
        still_true=_is_not_withdrawn,
        category=Category.LEGAL,
    ),
    NoticeKind(
        code="leaving_withdrawn",
        title=_("You stay"),
        why=_("Because the cancellation was taken back."),
        context=_context,
        still_true=_is_withdrawn,
    ),
    NoticeKind(
        code="leaving_completed",
        title=_("It has ended"),
        why=BECAUSE_LEAVING,
        context=_context,
        still_true=_is_completed,
    ),
    NoticeKind(
        code="teammate_leaving",
        title=_("This account is being cancelled"),
        why=_("Because you work in this account."),
        context=_context,
        still_true=_is_not_withdrawn,
    ),
    NoticeKind(
        code="refund_claim_reminder",
        title=_("Your refund can still be claimed"),
        why=_("Because a refund is kept for you."),
        context=_context,
        still_true=_can_claim,
        category=Category.REMINDER,
        despite_hold=True,
        topic="claim",
    ),
)


def register_kinds() -> None:
    """Called from `AppConfig.ready`."""
    for kind in KINDS:
        register(kind)
