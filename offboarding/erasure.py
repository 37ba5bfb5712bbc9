"""Deleting an account's data on its date: never early, resumable anywhere, with a record of it.

The record (`Erasure`) is committed before the first destructive step (D4). Every chunk is one
transaction that also moves the record's `step` and renews its lease, so whoever kills the worker
between two of them loses nothing, and nobody works on it twice. What waits for somebody outside
(the last mail, the provider) is asked again at the next run.
"""

import datetime as dt
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import Max

from accounts.classification import Subject, registry
from accounts.deletion_map import leaving_users
from accounts.errors import WrongState
from accounts.events import SYSTEM, By, record
from accounts.law import books_end
from accounts.models import Account, Notice, User
from accounts.notices import owe, send_due_notices
from accounts.states import move_account
from billing.instructions import instruct
from billing.models import Customer, Instruction, Invoice, Payment, Refund
from offboarding import exports, retention
from offboarding.erasure_plan import (
    ACCOUNT,
    Step,
    kept_entries,
    steps_after_the_provider,
    steps_before_the_provider,
)
from offboarding.models import Closure, Erasure

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=10)
CHUNK = 5000
#: How long the last mail may take before the address goes without it; it was announced three times.
FAREWELL = dt.timedelta(hours=2)

DONE = "done"
WAITING = "waiting"
BUSY = "busy"

#: Reasons to wait that other modules know of (legal holds): each returns a code, or "".
Objection = Callable[[Closure, dt.datetime], str]
_OBJECTIONS: list[Objection] = []


class LeaseLost(Exception):
    """Another worker has taken the erasure over: stop at once."""


def object_to_purges(objection: Objection) -> None:
    """Let a module hold purges back; called from `AppConfig.ready`."""
    _OBJECTIONS.append(objection)


def why_not(closure: Closure, *, at: dt.datetime) -> str:
    """Why this may not be purged now, as a code, or "" when it may (D1)."""
    if closure.status == Closure.Status.PURGING:
        return ""
    if closure.status != Closure.Status.SCHEDULED:
        return "not_open"
    if at < closure.purge_on:
        return "not_due"
    if at < closure.data_until and not closure.waived_retrieval:
        return "retrieval_window"
    if closure.stop_until is not None and at < closure.stop_until:
        return "can_be_stopped"
    if closure.account.state not in (Account.State.CLOSED, Account.State.FROZEN):
        return "not_closed"
    return next((code for objection in _OBJECTIONS if (code := objection(closure, at))), "")


def purge_account(closure: Closure, *, at: dt.datetime, by: By = SYSTEM) -> str:
    """Delete, anonymise and keep as the map says; returns DONE, WAITING or BUSY.

    Raises `WrongState` with the reason where it may not be purged (never before its date, never
    inside the retrieval window unless that was waived). Doing it again goes on where it was left.
    """
    erasure = begin_erasure(closure, at=at, by=by)
    token = secrets.token_hex(16)
    taken = Erasure.objects.free(at).filter(pk=erasure.pk, finished_at=None)
    if not taken.update(lease_until=at + LEASE, lease_token=token):
        return BUSY
    erasure.refresh_from_db()
    return Purge(closure, erasure, at=at, by=by).run()


@transaction.atomic
def begin_erasure(closure: Closure, *, at: dt.datetime, by: By) -> Erasure:
    """Ask again under the lock, then write the record, the history and the last mail: nothing is lost yet."""
    account = Account.objects.select_for_update().select_related("terms").get(pk=closure.account_id)
    fresh = Closure.objects.select_for_update().get(pk=closure.pk)
    fresh.account = account
    reason = why_not(fresh, at=at)
    if reason:
        raise WrongState(reason)
    if fresh.status == Closure.Status.PURGING:
        return Erasure.objects.get(account_ref=account.public_id)
    begun = Closure.objects.filter(pk=closure.pk, status=Closure.Status.SCHEDULED)
    if not begun.update(status=Closure.Status.PURGING):
        raise WrongState("not_open")
    closure.status = Closure.Status.PURGING
    erasure = Erasure.objects.create(
        account_ref=account.public_id,
        terms_version=account.terms.version,
        due_on=fresh.purge_on,
        started_at=at,
    )
    record(account, "data.purge_started", by=by, at=at, subject=f"closure:{closure.pk}")
    if account.state == Account.State.FROZEN:  # a trial that nobody went on with; until now they could
        move_account(account, Account.State.CLOSED, by=by, at=at, reason="retention_over")
    Notice.objects.filter(account=account, status=Notice.Status.OWED).update(
        status=Notice.Status.DROPPED, reason="erased"
    )
    owe(
        account,
        retention.DELETED,
        to=retention.readers_of(account),
        period=f"closure:{closure.pk}",
        at=at,
        window_to=at + FAREWELL,
        subject=f"closure:{closure.pk}",
    )
    return erasure


class Purge:
    """One worker's run of one erasure; every method is one step, repeatable, and says whether it is over."""

    def __init__(self, closure: Closure, erasure: Erasure, *, at: dt.datetime, by: By) -> None:
        self.closure, self.erasure, self.at, self.by = closure, erasure, at, by
        self.account = Account.objects.select_related("terms").get(pk=closure.account_id)
        self._started = time.monotonic()

    @property
    def subject(self) -> Subject:
        """The account and the people who go with it."""
        return Subject(self.account.pk, self.account.public_id, tuple(self.erasure.scope))

    def run(self) -> str:
        """Go on from the step that was left; a step that this version does not know starts from the first."""
        steps = self.steps()
        names = [name for name, _ in steps]
        left, _, cursor = self.erasure.step.partition("|")
        first = names.index(left) if left in names else 0
        for index, (name, carry_out) in enumerate(steps[first:], first):
            if not carry_out(name, cursor if index == first else ""):
                self._release()
                return WAITING
            if index + 1 < len(steps):
                with transaction.atomic():
                    self._hold(steps[index + 1][0])
                committed(name)
        return DONE

    def steps(self) -> list[tuple[str, Callable[[str, str], bool]]]:
        """(name, verb) of everything there is to do, in order."""
        return [
            ("farewell", self.say_farewell),
            ("people", self.lock_people_out),
            ("files", self.delete_files),
            *((step.name, self.change(step)) for step in steps_before_the_provider()),
            ("provider", self.delete_at_the_provider),
            ("account", self.empty_the_account),
            *((step.name, self.change(step)) for step in steps_after_the_provider()),
            ("finish", self.finish),
        ]

    def say_farewell(self, name: str, cursor: str) -> bool:
        """Wait until the last mail has left, or has had its time: afterwards there is no address."""
        owed = Notice.objects.filter(
            account=self.account,
            kind=retention.DELETED,
            status__in=(Notice.Status.OWED, Notice.Status.SENDING),
        )
        if owed.exists():
            send_due_notices(at=self.at)
        return self.at >= self.erasure.started_at + FAREWELL or not owed.exists()

    def lock_people_out(self, name: str, cursor: str) -> bool:
        """Decide who goes with the account, and let nobody of them sign in (or join another) meanwhile."""
        if cursor:
            return True
        with transaction.atomic():
            going = leaving_users(self.account)
            locked = list(User.objects.select_for_update().filter(pk__in=going).values_list("pk", flat=True))
            User.objects.filter(pk__in=locked).update(is_active=False)
            self.erasure.scope = locked
            registry.get("sessions.Session").rows(self.subject).delete()
            self._hold(f"{name}|decided", scope=locked)
        committed(name)
        return True

    def delete_files(self, name: str, cursor: str) -> bool:
        """The files of every download; a job that is writing one stops at its next step."""
        exports.remove_files(self.account)
        return True

    def change(self, step: Step) -> Callable[[str, str], bool]:
        """The verb of one step of the plan: chunk by chunk, each in its own transaction."""

        def carry_out(name: str, cursor: str) -> bool:
            while True:
                rows = step.rows(self.subject).order_by("pk")
                if cursor and not step.deletes:
                    rows = rows.filter(pk__gt=cursor)
                with transaction.atomic():
                    keys = list(rows.values_list("pk", flat=True)[:CHUNK])
                    if not keys:
                        return True
                    chosen = step.entry.model._base_manager.filter(pk__in=keys)
                    if step.deletes:
                        chosen._raw_delete(chosen.db)
                    else:
                        chosen.update(**step.columns)
                    cursor = str(keys[-1])
                    self._hold(f"{name}|{cursor}", **self._counted(step.entry.label, len(keys)))
                committed(name)

        return carry_out

    def delete_at_the_provider(self, name: str, cursor: str) -> bool:
        """The provider deletes its customer too: once nothing else is on its way, and until it has answered.

        A dead letter is in the human queue and holds the rest no longer (D2).
        """
        if Instruction.objects.open().filter(account=self.account).exists():
            return False
        customer = Customer.objects.filter(account=self.account, deleted_at=None).first()
        if customer is None:
            return True
        about = f"customer:{customer.provider_id}"
        last = Instruction.objects.filter(subject=about, kind=Instruction.Kind.DELETE_CUSTOMER)
        told = last.order_by("-version").first()
        if told is None:
            instruct(
                self.account,
                kind=Instruction.Kind.DELETE_CUSTOMER,
                subject=about,
                desired={"customer": customer.provider_id},
                at=self.at,
                by=self.by,
            )
            return False
        if told.status == Instruction.Status.DONE:
            Customer.objects.filter(pk=customer.pk).update(deleted_at=told.done_at)
        return True

    def empty_the_account(self, name: str, cursor: str) -> bool:
        """The account keeps its number, country and dates, and loses its name: from now on it is erased."""
        if self.account.state != Account.State.ERASED:
            columns: dict[str, Any] = dict(registry.get(ACCOUNT).anonymise)
            move_account(
                self.account, Account.State.ERASED, by=self.by, at=self.at, reason="purge", **columns
            )
            committed(name)
        return True

    def finish(self, name: str, cursor: str) -> bool:
        """Close the record: what is kept, why and until when; and forget who it was about."""
        retained = self._retained()
        with transaction.atomic():
            self._hold(
                "",
                finished_at=self.at,
                scope=[],
                retained=retained,
                retained_until=self._books_end() if retained else None,
            )
            Erasure.objects.filter(pk=self.erasure.pk).update(lease_until=None, lease_token="")
            Closure.objects.filter(pk=self.closure.pk, status=Closure.Status.PURGING).update(
                status=Closure.Status.DONE, closed_at=self.at
            )
            record(self.account, "data.purged", by=self.by, at=self.at, subject=f"closure:{self.closure.pk}")
        return True

    def _retained(self) -> dict[str, int]:
        counts = {entry.label: entry.rows(self.subject).count() for entry in kept_entries()}
        return {label: count for label, count in counts.items() if count}

    def _books_end(self) -> dt.datetime:
        """The books of an account are kept as one set, counted from its last entry."""
        dates = [
            Invoice.objects.filter(account=self.account).aggregate(last=Max("created_at"))["last"],
            Payment.objects.filter(account=self.account).aggregate(last=Max("paid_at"))["last"],
            Refund.objects.filter(account=self.account).aggregate(last=Max("created_at"))["last"],
            self.account.closed_at,
        ]
        return books_end(self.account.country, max(date for date in dates if date is not None))

    def _counted(self, label: str, rows: int) -> dict[str, Any]:
        counts = dict(self.erasure.counts)
        counts[label] = counts.get(label, 0) + rows
        self.erasure.counts = counts
        return {"counts": counts}

    def _hold(self, step: str, **columns: Any) -> None:
        """Move the record and renew the lease in the caller's transaction, which `LeaseLost` rolls back."""
        moment = self.at + dt.timedelta(seconds=time.monotonic() - self._started)
        held = Erasure.objects.filter(pk=self.erasure.pk, lease_token=self.erasure.lease_token)
        if not held.update(step=step, lease_until=moment + LEASE, **columns):
            raise LeaseLost
        self.erasure.step = step

    def _release(self) -> None:
        Erasure.objects.filter(pk=self.erasure.pk, lease_token=self.erasure.lease_token).update(
            lease_until=None
        )


def committed(step: str) -> None:
    """Called after every commit of a purge: the points at which a kill may come."""
    logger.debug("purge committed", extra={"step": step})


# --- At the end of the books --------------------------------------------------------------------


def purge_books(erasure: Erasure, *, at: dt.datetime, by: By = SYSTEM) -> int:
    """Delete what was kept because of a rule, once the rule is over; returns how many rows. Repeatable."""
    if erasure.finished_at is None or erasure.retained_until is None or at < erasure.retained_until:
        raise WrongState("The books are still to be kept.")
    account = Account.objects.get(public_id=erasure.account_ref, state=Account.State.ERASED)
    subject = Subject(account.pk, account.public_id)
    gone = 0
    for entry in kept_entries():
        while keys := list(entry.rows(subject).order_by("pk").values_list("pk", flat=True)[:CHUNK]):
            chosen = entry.model._base_manager.filter(pk__in=keys)
            gone += int(chosen._raw_delete(chosen.db))
            committed(f"books {entry.label}")
    with transaction.atomic():
        if Erasure.objects.filter(pk=erasure.pk, retained_gone_at=None).update(retained_gone_at=at):
            record(account, "data.books_purged", by=by, at=at)
    return gone
