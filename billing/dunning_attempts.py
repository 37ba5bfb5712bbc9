"""Our own attempts to charge an unpaid invoice: the only ones there are, each a row and an instruction."""

import datetime as dt
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max, TextChoices
from django.utils.translation import gettext_lazy as _

from accounts.doorbell import ring
from accounts.errors import WrongState
from accounts.events import PROVIDER, SYSTEM, By, record, record_many
from accounts.models import Account
from billing import declines
from billing.dunning_cases import case_of, close_case, record_failure
from billing.dunning_mails import owe_failure
from billing.dunning_rules import NETWORK_ATTEMPTS, NETWORK_DAYS, dunning_day
from billing.instructions import instruct
from billing.models import Customer, DunningAttempt, DunningCase, Instruction, Invoice

Outcome = DunningAttempt.Outcome
Status = DunningCase.Status


class Why(TextChoices):
    """Why support tries a card out of turn; told in the history."""

    ASKED = "asked", _("it was asked for")
    FUNDS = "funds", _("there is money on it again")
    BANK = "bank", _("the bank has cleared the way")
    OTHER = "other", _("something else")


def why_not(case: DunningCase, card_id: str, tries: int) -> str:
    """Why this card is not tried (again) for this invoice: a code, or "".

    A card that the bank refused for good is not tried again, one that wants its owner's confirmation
    only by its owner; another card starts anew. `tries` are those of the last thirty days.
    """
    if not card_id:
        return "no_card"
    is_same = card_id == case.card_id
    if is_same and (declines.is_hard(case.decline) or declines.wants_customer(case.decline)):
        return case.decline
    return "network_limit" if tries >= NETWORK_ATTEMPTS else ""


def tries_of(cards: Iterable[str], *, at: dt.datetime) -> Counter[str]:
    """How often each card was tried in the last thirty days, the provider's first attempts included."""
    cards = [card for card in cards if card]
    since = at - dt.timedelta(days=NETWORK_DAYS)
    ours = DunningAttempt.objects.filter(card_id__in=cards, at__gt=since).exclude(outcome=Outcome.SKIPPED)
    firsts = DunningCase.objects.filter(card_id__in=cards, opened_at__gt=since)
    return Counter([*ours.values_list("card_id", flat=True), *firsts.values_list("card_id", flat=True)])


@transaction.atomic
def attempt_cases(cases: Sequence[DunningCase], *, by: By, at: dt.datetime, **why: Any) -> int:
    """Charge the card on file of each of these accounts, or note why not; in a few statements for all.

    What is left out is told on its day all the same. The call itself is made by the outbox. `why` are
    facts for the history of those that are tried.
    """
    found = Customer.objects.filter(account__in={case.account_id for case in cases}, deleted_at=None)
    cards = dict(found.values_list("account_id", "card_id"))
    tries = tries_of(cards.values(), at=at)
    rows: list[DunningAttempt] = []
    sent: list[DunningAttempt] = []
    left_out: list[DunningAttempt] = []
    for case in cases:
        card = cards.get(case.account_id, "")
        reason = why_not(case, card, tries[card])
        day = dunning_day(at, case.account.time_zone)
        outcome = Outcome.SKIPPED if reason else Outcome.SENT
        row = DunningAttempt(case=case, at=at, day=day, outcome=outcome, reason=reason[:60], card_id=card)
        rows.append(row)
        (left_out if reason else sent).append(row)
    _instruct_all(sent, at=at)
    _record(sent, "dunning.attempted", by=by, at=at, **why)
    DunningAttempt.objects.bulk_create(rows, ignore_conflicts=True)
    _record(left_out, "dunning.left_out", by=by, at=at)
    for row in left_out:
        owe_failure(row.case, at=at, decline=row.case.decline, left_out=row.reason)
    return len(rows)


def _instruct_all(rows: Sequence[DunningAttempt], *, at: dt.datetime) -> None:
    """What `instruct` does, for many: the newest version about each invoice's payment."""
    subjects = [f"pay:{row.case.invoice.provider_id}" for row in rows]
    earlier = Instruction.objects.filter(subject__in=subjects)
    earlier.filter(status=Instruction.Status.PENDING).update(status=Instruction.Status.SUPERSEDED)
    last = dict(earlier.values_list("subject").annotate(last=Max("version")))
    made = [
        Instruction(
            account_id=row.case.account_id,
            kind=Instruction.Kind.RETRY,
            subject=subject,
            version=last.get(subject, 0) + 1,
            desired={"invoice": row.case.invoice.provider_id, "payment_method": row.card_id},
            idempotency_key=f"gt-{secrets.token_hex(16)}",
            next_attempt_at=at,
            created_at=at,
        )
        for row, subject in zip(rows, subjects, strict=True)
    ]
    for row, instruction in zip(rows, Instruction.objects.bulk_create(made), strict=True):
        row.instruction = instruction
    if made:
        ring("billing.send_instructions")


def _record(rows: Sequence[DunningAttempt], kind: str, *, by: By, at: dt.datetime, **facts: Any) -> None:
    """One line of history for each account."""
    refs = {row.case.account_id: row.case.ref for row in reversed(rows)}
    record_many(list(refs), kind, by=by, at=at, subjects=refs, **facts)


# --- Out of turn ---------------------------------------------------------------------------------


def can_retry_now(case: DunningCase, *, at: dt.datetime) -> bool:
    """Whether staff may have it tried today: not twice a day, nor against the bank's word."""
    if case.status not in (Status.OPEN, Status.ENDED) or case.invoice.status != Invoice.Status.OPEN:
        return False
    today = dunning_day(at, case.account.time_zone)
    if case.last_step_on == today or case.attempts.filter(day=today).exists():
        return False
    card = Customer.objects.filter(account=case.account, deleted_at=None).values_list("card_id", flat=True)
    card_id = card.first() or ""
    return not why_not(case, card_id, tries_of([card_id], at=at)[card_id])


@transaction.atomic
def retry_now(case: DunningCase, *, reason: str, by: By, at: dt.datetime) -> None:
    """One attempt at once, beside the plan, which it does not move; why (`Why`) is told in the history."""
    Account.objects.select_for_update().get(pk=case.account_id)
    case = DunningCase.objects.select_related("account", "invoice").get(pk=case.pk)
    if not can_retry_now(case, at=at):
        raise WrongState("This card cannot be tried now.")
    attempt_cases([case], by=by, at=at, reason=reason)
    DunningCase.objects.filter(pk=case.pk).update(last_step_on=dunning_day(at, case.account.time_zone))


def try_new_card(customer: Customer, *, at: dt.datetime) -> None:
    """Another card came on file while an invoice is unpaid: it is charged at once, as the page says.

    It is the customer's own act, so it moves no date and counts as no attempt of ours.
    """
    rows = DunningCase.objects.unpaid().filter(account=customer.account_id, invoice__status="open")
    for case in rows.select_related("account", "invoice"):
        instruct(
            case.account,
            kind=Instruction.Kind.RETRY,
            subject=f"pay:{case.invoice.provider_id}",
            desired={"invoice": case.invoice.provider_id, "payment_method": customer.card_id},
            at=at,
            by=PROVIDER,
        )


# --- Answers -------------------------------------------------------------------------------------


def record_answer(instruction: Instruction, *, at: dt.datetime) -> None:
    """What came of a payment that we or the customer asked for, written with the instruction's answer.

    Paid: the case closes now, whatever the provider's event does later. Refused: an attempt of ours is
    told by mail; whoever tried it on a page has read it there.
    """
    provider_id, status = instruction.desired["invoice"], str(instruction.answer.get("status", ""))
    invoice = Invoice.objects.filter(provider_id=provider_id).first()
    case = case_of(invoice) if invoice else None
    is_ours = instruction.kind == Instruction.Kind.RETRY
    decline = str(instruction.answer.get("decline", ""))
    if is_ours:
        outcome = {"paid": Outcome.PAID, "declined": Outcome.DECLINED}.get(status, Outcome.OVERTAKEN)
        held = DunningAttempt.objects.filter(instruction=instruction)
        held.update(outcome=outcome, reason=decline[:60])
    if case is None:
        return
    if status == "paid":
        close_case(case, Status.PAID, by=SYSTEM if is_ours else PROVIDER, at=at)
        _read_again(case.account)
    elif status == "declined" and is_ours:
        record(
            case.account,
            "payment.failed",
            by=PROVIDER,
            at=at,
            subject=case.about,
            amount=case.invoice.amount_remaining,
            currency=case.invoice.currency,
            decline=decline,
        )
        record_failure(case, decline, at=at)


def _read_again(account: Account) -> None:
    if customer := Customer.objects.filter(account=account, deleted_at=None).first():
        ring("billing.refresh_customer", customer.pk)
