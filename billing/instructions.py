"""Writing down what the provider has to be told; `outgoing` carries it."""

import datetime as dt
import secrets
from typing import Any

from django.db import transaction
from django.db.models import Max

from accounts.doorbell import ring
from accounts.errors import WrongState
from accounts.events import By, record
from accounts.models import Account
from billing.models import Instruction


@transaction.atomic
def instruct(
    account: Account, *, kind: str, subject: str, desired: dict[str, Any], at: dt.datetime, by: By
) -> Instruction:
    """State what should be, as the newest version about this subject.

    Older versions that were not sent are superseded and never will be (C8); one that is on its way
    is answered, or read again, before this one goes.
    """
    Account.objects.select_for_update().get(pk=account.pk)
    earlier = Instruction.objects.filter(subject=subject)
    earlier.filter(status=Instruction.Status.PENDING).update(status=Instruction.Status.SUPERSEDED)
    version = (earlier.aggregate(last=Max("version"))["last"] or 0) + 1
    instruction = Instruction.objects.create(
        account=account,
        kind=kind,
        subject=subject,
        version=version,
        desired=desired,
        idempotency_key=f"gt-{secrets.token_hex(16)}",
        next_attempt_at=at,
        created_at=at,
    )
    record(
        account,
        "instruction.given",
        by=by,
        at=at,
        subject=f"instruction:{instruction.public_id}",
        about=subject,
        version=version,
    )
    ring("billing.send_instructions")
    return instruction


@transaction.atomic
def replay_instruction(instruction: Instruction, *, by: By, at: dt.datetime) -> None:
    """Send a dead letter again, under a new key: only for one whose earlier sending surely did nothing."""
    changed = Instruction.objects.filter(pk=instruction.pk, status=Instruction.Status.DEAD).update(
        status=Instruction.Status.PENDING,
        idempotency_key=f"gt-{secrets.token_hex(16)}",
        attempts=0,
        first_sent_at=None,
        next_attempt_at=at,
        lease_until=None,
        error="",
    )
    if not changed:
        raise WrongState("Only a dead letter can be sent again.")
    record(
        instruction.account,
        "instruction.replayed",
        by=by,
        at=at,
        subject=f"instruction:{instruction.public_id}",
    )
    ring("billing.send_instructions")


@transaction.atomic
def abandon_instruction(instruction: Instruction, *, reason: str, by: By, at: dt.datetime) -> None:
    """Give a dead letter up; the reason is kept with it."""
    changed = Instruction.objects.filter(pk=instruction.pk, status=Instruction.Status.DEAD).update(
        status=Instruction.Status.ABANDONED, closed_reason=reason[:200]
    )
    if not changed:
        raise WrongState("Only a dead letter can be abandoned.")
    record(
        instruction.account,
        "instruction.abandoned",
        by=by,
        at=at,
        subject=f"instruction:{instruction.public_id}",
    )
