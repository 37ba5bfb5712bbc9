"""The mails about an account's data: a download is ready, the data goes soon, the data goes now."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.law import books_end
from accounts.models import Notice
from accounts.notices import Category, NoticeKind, register
from offboarding.models import Closure, Export
from offboarding.retention import DELETED, SOON

READY = "export_ready"
FAILED = "export_failed"


def _page(notice: Notice) -> str:
    return reverse("exports", args=[notice.account.public_id])


def _export(notice: Notice) -> Export | None:
    return Export.objects.filter(public_id=notice.subject.partition(":")[2]).first()


def _ready(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    return {"export": _export(notice), "path": _page(notice)}


def _is_ready(notice: Notice, at: dt.datetime) -> bool:
    export = _export(notice)
    return export is not None and export.is_fetchable(at)


def _has_failed(notice: Notice, at: dt.datetime) -> bool:
    export = _export(notice)
    return export is not None and export.status == Export.Status.FAILED


def _closure(notice: Notice) -> Closure | None:
    return Closure.objects.filter(pk=int(notice.subject.partition(":")[2])).first()


def _soon(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    return {"closure": _closure(notice), "path": _page(notice)}


def _still_goes_then(notice: Notice, at: dt.datetime) -> bool:
    """The closing stands and still has the date that this notice was owed for."""
    closure = _closure(notice)
    if closure is None or closure.status != Closure.Status.SCHEDULED:
        return False
    return bool(notice.facts.get("purge_on") == closure.purge_on.isoformat())


def _deleted(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    return {"closure": _closure(notice), "books_end": books_end(notice.account.country, at)}


def _is_being_deleted(notice: Notice, at: dt.datetime) -> bool:
    closure = _closure(notice)
    return closure is not None and closure.status in (Closure.Status.PURGING, Closure.Status.DONE)


KINDS = (
    NoticeKind(
        code=READY,
        title=_("Your download is ready"),
        why=_("Because you asked for your data."),
        context=_ready,
        still_true=_is_ready,
    ),
    NoticeKind(
        code=FAILED,
        title=_("Your download could not be made"),
        why=_("Because you asked for your data and it did not work."),
        context=_ready,
        still_true=_has_failed,
    ),
    NoticeKind(
        code=SOON,
        title=_("Your data will be deleted"),
        why=_("Because the terms say until when it is kept; there is time to fetch it."),
        context=_soon,
        still_true=_still_goes_then,
        category=Category.LEGAL,
    ),
    NoticeKind(
        code=DELETED,
        title=_("Your data is deleted"),
        why=_("The last mail, on the day on which the data goes."),
        context=_deleted,
        still_true=_is_being_deleted,
        category=Category.LEGAL,
    ),
)


def register_kinds() -> None:
    """Called from `AppConfig.ready`."""
    for kind in KINDS:
        register(kind)
