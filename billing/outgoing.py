"""What leaves for the provider: lease a row, call outside any transaction, record the answer.

An outcome that is unknown is never tried under another key, and not under the old one after 23
hours (R8): then the provider is read, and what is found is adopted.
"""

import datetime as dt
import logging
import secrets
import time
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce

from accounts.events import SYSTEM, record
from billing import dunning_attempts, provider_writes, refunds
from billing.models import Customer, Instruction
from billing.provider_answers import Answer, Unresolved
from billing.signals import instruction_done
from billing.stripe_api import StripeForbidden, StripeRefused, StripeThrottled, StripeUnavailable

logger = logging.getLogger(__name__)

LEASE = dt.timedelta(minutes=2)
PATIENCE_SECONDS = 15
KEY_LIFE = dt.timedelta(hours=23)
BACK_OFF = (5, 15, 60, 180, 600, 1800, 3600)  # seconds; the last one repeats
Status = Instruction.Status


def send_due_instructions(*, at: dt.datetime, limit: int = 100) -> int:
    """Send what is due, one in flight per subject. Returns how many were carried out."""
    done = 0
    for pk in list(
        Instruction.objects.due(at).order_by("next_attempt_at", "pk").values_list("pk", flat=True)[:limit]
    ):
        try:
            done += send_instruction(pk, at=at)
        except StripeForbidden:
            logger.critical("the provider refuses our key: nothing more is sent")
            break
    return done


def send_while_waiting(pk: int, *, at: dt.datetime) -> None:
    """Someone waits for this one: send it now, or wait for the worker that took it first.

    Returns when there is an answer, or none was had in time; the row says which.
    """
    if send_instruction(pk, at=at):
        return
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up and Instruction.objects.filter(pk=pk, status=Status.SENDING).exists():
        time.sleep(0.05)


def send_instruction(pk: int, *, at: dt.datetime) -> bool:
    """Claim one instruction and send it; False when someone else has it or it could not be carried out."""
    token = secrets.token_hex(16)
    instruction = _claim(pk, token, at=at)
    if instruction is None:
        return False
    try:
        answer = _carry(instruction, at=at)
    except StripeThrottled:
        _put_off(instruction, token, Status.PENDING, "429", at=at)
    except StripeUnavailable as error:
        _put_off(instruction, token, Status.UNKNOWN, str(error), at=at)
    except StripeForbidden:
        _put_off(instruction, token, Status.PENDING, "forbidden", at=at)
        raise
    except StripeRefused as error:
        _bury(instruction, token, str(error), at=at)
    except Unresolved as error:
        _bury(instruction, token, str(error), at=at)
    else:
        return _record(instruction, token, answer, at=at)
    return False


def _claim(pk: int, token: str, *, at: dt.datetime) -> Instruction | None:
    try:
        with transaction.atomic():
            claimed = (
                Instruction.objects.due(at)
                .filter(pk=pk)
                .update(
                    status=Status.SENDING,
                    lease_until=at + LEASE,
                    lease_token=token,
                    attempts=F("attempts") + 1,
                    first_sent_at=Coalesce("first_sent_at", at),
                )
            )
            if not claimed:
                return None
            instruction = Instruction.objects.select_related("account").get(pk=pk)
            refunds.mark_sending(instruction, at=at)
    except IntegrityError:  # another worker took one about the same subject first
        return None
    return instruction


def _carry(instruction: Instruction, *, at: dt.datetime) -> Answer:
    if instruction.attempts > 1 and provider_writes.is_superseded(instruction):
        return provider_writes.read_instead(instruction)
    if instruction.first_sent_at and at - instruction.first_sent_at > KEY_LIFE:
        return provider_writes.adopt(instruction)
    return provider_writes.write(instruction)


@transaction.atomic
def _record(instruction: Instruction, token: str, answer: Answer, *, at: dt.datetime) -> bool:
    """Write the answer unless the lease was lost meanwhile; then whoever holds it now writes it."""
    held = Instruction.objects.filter(pk=instruction.pk, lease_token=token, status=Status.SENDING)
    if not held.update(status=Status.DONE, done_at=at, answer=answer.ids, error="", lease_until=None):
        return False
    instruction.refresh_from_db()
    record(
        instruction.account,
        "instruction.done",
        by=SYSTEM,
        at=at,
        subject=f"instruction:{instruction.public_id}",
        about=instruction.subject,
        version=instruction.version,
    )
    if answer.refund is not None:
        refunds.record_answer(instruction, answer.refund, at=at)
    if instruction.kind == Instruction.Kind.CUSTOMER:
        _record_customer(instruction, answer.ids, at=at)
    if instruction.kind in (Instruction.Kind.PAY, Instruction.Kind.RETRY):
        dunning_attempts.record_answer(instruction, at=at)
    instruction_done.send(Instruction, instruction=instruction, at=at)
    return True


def _record_customer(instruction: Instruction, ids: dict[str, Any], *, at: dt.datetime) -> None:
    """Write the customer that the provider made; it replaces a deleted one when someone comes back."""
    Customer.objects.update_or_create(
        account=instruction.account,
        defaults={
            "provider_id": ids["customer"],
            "test_clock": ids.get("clock") or "",
            "deleted_at": None,
            "card_id": "",
            "credit": 0,
            "synced_at": at,
        },
    )


@transaction.atomic
def _put_off(instruction: Instruction, token: str, status: str, why: str, *, at: dt.datetime) -> None:
    wait = BACK_OFF[min(instruction.attempts, len(BACK_OFF)) - 1]
    columns = {"first_sent_at": None} if status == Status.PENDING and instruction.attempts == 1 else {}
    held = Instruction.objects.filter(pk=instruction.pk, lease_token=token)
    if held.update(
        status=status,
        error=why[:200],
        lease_until=None,
        next_attempt_at=at + dt.timedelta(seconds=wait),
        **columns,
    ):
        refunds.mark_unanswered(instruction, is_unknown=status == Status.UNKNOWN, at=at)
    logger.warning("instruction put off", extra={"instruction": instruction.public_id, "why": why})


@transaction.atomic
def _bury(instruction: Instruction, token: str, why: str, *, at: dt.datetime) -> None:
    """A refusal is no answer that time can change: a person decides (replay, adopt, abandon)."""
    held = Instruction.objects.filter(pk=instruction.pk, lease_token=token)
    if held.update(status=Status.DEAD, error=why[:200], lease_until=None):
        record(
            instruction.account,
            "instruction.dead",
            by=SYSTEM,
            at=at,
            subject=f"instruction:{instruction.public_id}",
            about=instruction.subject,
        )
        refunds.mark_refused(instruction, why, at=at)
    logger.error("instruction needs a person", extra={"instruction": instruction.public_id, "why": why})
