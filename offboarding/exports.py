"""Downloads: asked for by a member, made by the worker, fetched while they last, then removed.

Owners and billing members may have the whole account, every member what is their own (art. 15 and 20
GDPR, art. 25 Data Act). The database is the queue: a row is leased, a killed worker's row is taken
up again when its lease ends, and after three attempts it has failed and can be asked for again.
"""

import datetime as dt
import hashlib
import logging
import secrets
import time
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone, translation

from accounts.classification import Subject
from accounts.doorbell import ring
from accounts.errors import NotAllowed, WrongState
from accounts.events import SYSTEM, By, record
from accounts.models import Account, Member, User
from accounts.notices import owe
from offboarding import export_files, retention
from offboarding.data_notices import FAILED, READY
from offboarding.models import Export

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=10)
BACK_OFF = dt.timedelta(minutes=2)
MAX_ATTEMPTS = 3
#: What a killed worker left behind is removed after this long.
LITTER = dt.timedelta(days=1)
Status = Export.Status


class LeaseLost(Exception):
    """Someone else has taken the job over, or the account is being erased: stop at once."""


def can_export_all(member: Member) -> bool:
    """The whole account is for owners and billing members; everyone else gets what is their own."""
    return member.may_pay and member.left_at is None


@transaction.atomic
def request_export(member: Member, *, own_only: bool, by: By, at: dt.datetime) -> Export:
    """Ask for a download; asking again while one is being made gives the same one.

    Always free, also after the end, until deleting begins. Raises `NotAllowed` for the whole account
    where the member may only have their own, `WrongState` once deleting has begun.
    """
    account = Account.objects.select_for_update().get(pk=member.account_id)
    if not own_only and not can_export_all(member):
        raise NotAllowed("payers_only")
    if not retention.can_fetch(account, at=at):
        raise WrongState("The data is being deleted.")
    same = {"account": account, "requested_by_id": member.user_id, "own_only": own_only}
    known = Export.objects.filter(**same, status__in=(Status.QUEUED, Status.RUNNING)).first()
    if known is None:
        known = Export.objects.create(**same, requested_at=at)
        record(account, "export.requested", by=by, at=at, subject=known.ref, own_only=own_only)
    ring("offboarding.run_exports")
    return known


def exports_of(member: Member, *, at: dt.datetime) -> list[Export]:
    """What this member may see on the page, newest first: their own, and the whole account's for payers."""
    rows = Export.objects.filter(account_id=member.account_id).select_related("requested_by")
    own = rows.filter(own_only=True, requested_by_id=member.user_id)
    whole = rows.filter(own_only=False) if can_export_all(member) else rows.none()
    return list((own | whole).order_by("-requested_at", "-pk")[:20])


def find_export(member: Member, public_id: str) -> Export | None:
    """A download that this member may fetch, or None: unknown and somebody else's look the same."""
    found = Export.objects.filter(account_id=member.account_id, public_id=public_id).first()
    if found is None:
        return None
    is_theirs = found.requested_by_id == member.user_id if found.own_only else can_export_all(member)
    return found if is_theirs else None


def path_of(export: Export) -> Path:
    """Where its file lies."""
    return export_files.folder() / export.file_name


# --- Making them ------------------------------------------------------------------------------


def make_due_exports(*, at: dt.datetime, limit: int = 20) -> int:
    """Make what was asked for and nobody is at; returns how many were made."""
    due = Export.objects.due(at).order_by("requested_at").values_list("pk", flat=True)[:limit]
    return sum(make_export(pk, at=at) for pk in list(due))


def make_export(pk: int, *, at: dt.datetime) -> bool:
    """Lease one, write its file, announce it. False when somebody else has it or it did not work."""
    export = _claim(pk, at=at)
    if export is None:
        return False
    scratch = export_files.folder() / f"{export.public_id}.{export.lease_token[:8]}.part"
    try:
        size, sha256 = _write(export, scratch, at=at)
        return _finish(export, scratch, size, sha256, at=at)
    except LeaseLost:
        return False
    except (OSError, DatabaseError) as error:
        logger.exception("export failed", extra={"export": export.public_id})
        _put_off(export, type(error).__name__, at=at)
        return False
    finally:
        scratch.unlink(missing_ok=True)


def _claim(pk: int, *, at: dt.datetime) -> Export | None:
    due = Export.objects.due(at).filter(pk=pk)
    exhausted = due.filter(attempts__gte=MAX_ATTEMPTS).select_related("account", "requested_by").first()
    if exhausted is not None:
        _fail(exhausted, at=at)
        return None
    token = secrets.token_hex(16)
    claimed = due.update(
        status=Status.RUNNING,
        lease_until=at + LEASE,
        lease_token=token,
        attempts=F("attempts") + 1,
        rows_done=0,
    )
    if not claimed:
        return None
    return (
        Export.objects.select_related("account__terms", "requested_by")
        .filter(pk=pk, lease_token=token)
        .first()
    )


def _held(export: Export) -> Any:
    return Export.objects.filter(pk=export.pk, lease_token=export.lease_token, status=Status.RUNNING)


def _write(export: Export, scratch: Path, *, at: dt.datetime) -> tuple[int, str]:
    """Write the archive from one snapshot; returns its size and SHA-256."""
    account, reader = export.account, export.requested_by
    if reader is None or not retention.can_fetch(account, at=at):
        raise LeaseLost
    subject = Subject(account.pk, account.public_id, (reader.pk,))
    about = {"account": account, "own_only": export.own_only, "at": at}
    started = time.monotonic()

    def progress(done: int) -> None:
        moment = at + dt.timedelta(seconds=time.monotonic() - started)
        if not _held(export).update(rows_done=done, lease_until=moment + LEASE):
            raise LeaseLost

    with (
        export_files.snapshot() as alias,
        translation.override(reader.language),
        timezone.override(account.zone),
    ):
        parts = export_files.parts_of(subject, own_only=export.own_only, using=alias)
        _held(export).update(rows_total=sum(part.rows.count() for part in parts))
        export_files.write_archive(scratch, parts, about=about, progress=progress)
    with scratch.open("rb") as made:
        return scratch.stat().st_size, hashlib.file_digest(made, "sha256").hexdigest()


def _finish(export: Export, scratch: Path, size: int, sha256: str, *, at: dt.datetime) -> bool:
    """Give the file its name, then say that it is there: a kill in between makes it once more.

    Each attempt has a name of its own, so that who lost the lease removes nothing but their own file.
    """
    name = f"{export.public_id}.{export.lease_token[:8]}.zip"
    made = scratch.rename(scratch.with_name(name))
    try:
        _announce(export, name, size, sha256, at=at)
    except LeaseLost:
        made.unlink(missing_ok=True)
        raise
    return True


def _announce(export: Export, name: str, size: int, sha256: str, *, at: dt.datetime) -> None:
    with transaction.atomic():
        # Under the lock that an erasure takes to begin: a file of erased data must not appear after it.
        account = Account.objects.select_for_update().select_related("terms").get(pk=export.account_id)
        if not retention.can_fetch(account, at=at):
            raise LeaseLost
        ready = _held(export).update(
            status=Status.READY,
            file_name=name,
            size=size,
            sha256=sha256,
            ready_at=at,
            expires_at=at + dt.timedelta(days=account.terms.export_days),
            lease_until=None,
            rows_done=F("rows_total"),
        )
        if not ready:
            raise LeaseLost
        record(account, "export.ready", by=SYSTEM, at=at, subject=export.ref, bytes=size)
        _tell(export, READY, at=at)


def _tell(export: Export, kind: str, *, at: dt.datetime) -> None:
    reader: User | None = export.requested_by
    if reader is not None:
        owe(export.account, kind, to=[reader], period=export.public_id, subject=export.ref, at=at)


def _put_off(export: Export, code: str, *, at: dt.datetime) -> None:
    if export.attempts >= MAX_ATTEMPTS:
        _fail(export, at=at)
    else:
        _held(export).update(status=Status.QUEUED, lease_until=at + BACK_OFF * export.attempts)


@transaction.atomic
def _fail(export: Export, *, at: dt.datetime) -> None:
    """Three attempts were not enough: the page says so in plain words and offers to try again."""
    tried = Export.objects.filter(pk=export.pk, lease_token=export.lease_token)
    if tried.filter(status__in=(Status.QUEUED, Status.RUNNING)).update(
        status=Status.FAILED, lease_until=None
    ):
        record(export.account, "export.failed", by=SYSTEM, at=at, subject=export.ref)
        _tell(export, FAILED, at=at)


# --- Removing them ----------------------------------------------------------------------------


def remove_expired(*, at: dt.datetime, limit: int = 500) -> int:
    """Delete the files of downloads whose days are over, and what killed workers left behind."""
    removed = 0
    for export in Export.objects.over(at).select_related("account")[:limit]:
        path_of(export).unlink(missing_ok=True)
        with transaction.atomic():
            if Export.objects.filter(pk=export.pk, status=Status.READY).update(
                status=Status.EXPIRED, file_name="", size=0
            ):
                record(export.account, "export.expired", by=SYSTEM, at=at, subject=export.ref)
                removed += 1
    _sweep_litter()
    return removed


def remove_files(account: Account) -> int:
    """Delete every file of this account's downloads at once (an erasure); returns how many."""
    removed = 0
    for public_id in Export.objects.filter(account=account).values_list("public_id", flat=True).iterator():
        for path in export_files.folder().glob(f"{public_id}.*"):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _sweep_litter() -> None:
    """Files that no row speaks of: half-written ones, and finished ones whose row is gone."""
    # The age of a file is real time, whatever the product's clock was turned to.
    horizon = dt.datetime.now(dt.UTC).timestamp() - LITTER.total_seconds()
    for path in export_files.folder().iterdir():
        is_known = Export.objects.filter(file_name=path.name, status=Status.READY).exists()
        if not is_known and path.stat().st_mtime < horizon:
            path.unlink(missing_ok=True)
