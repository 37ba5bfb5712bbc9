"""The provider in the admin site: what it is told, what it told us, and the customers that it knows."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import Act, ActsAdmin, ReadOnlyAdmin
from accounts.events import By
from billing.instructions import abandon_instruction, replay_instruction
from billing.models import (
    Customer,
    Incoming,
    Instruction,
)


class ReasonForm(forms.Form):
    """Why it is given up: a person reads it later, so it is kept with the row, not in the history."""

    reason = forms.CharField(label=_("Why?"), max_length=200)


def _replay(row: Instruction, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    replay_instruction(row, by=by, at=at)


def _abandon(row: Instruction, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    abandon_instruction(row, reason=answers["reason"], by=by, at=at)


def _is_dead(row: Instruction, at: dt.datetime) -> bool:
    return row.status == Instruction.Status.DEAD


@admin.register(Instruction)
class InstructionAdmin(ActsAdmin[Instruction]):
    """What the provider is told. Dead letters wait here for a person."""

    list_display = ("kind", "account", "status", "attempts", "error", "created_at", "done_at")
    list_filter = ("status", "kind")
    list_select_related = ("account",)
    search_fields = ("subject__exact", "public_id__exact", "account__public_id__exact")
    exclude = ("lease_token", "lease_until", "idempotency_key")
    acts: ClassVar[tuple[Act[Instruction], ...]] = (
        Act(
            code="replay",
            title=_("Send again"),
            text=_("Only where the first sending surely did nothing: it goes out under a new key."),
            button=_("Send again"),
            permission="billing.change_instruction",
            can=_is_dead,
            do=_replay,
            done=_("It is sent again."),
            undo=_("What was sent cannot be called back."),
        ),
        Act(
            code="abandon",
            title=_("Give up"),
            text=_(
                "It is never sent. Settle the matter at the provider first; the reason stays with the row."
            ),
            button=_("Give it up"),
            permission="billing.change_instruction",
            can=_is_dead,
            do=_abandon,
            done=_("It was given up."),
            undo=_("There is no way back: it cannot be sent any more."),
            form=ReasonForm,
            is_grave=True,
        ),
    )

    def name_of(self, row: Instruction) -> str:
        return f"{row.account} · {row.get_kind_display()}"


@admin.register(Incoming)
class IncomingAdmin(ReadOnlyAdmin[Incoming]):
    """What the provider told us."""

    list_display = ("event_id", "type", "status", "created", "received_at", "done_at", "error")
    list_filter = ("status",)
    search_fields = ("event_id__exact", "object_id__exact", "customer_id__exact")
    exclude = ("lease_token", "lease_until")


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin[Customer]):
    """Accounts as the provider knows them."""

    amounts = ("credit",)
    list_display = ("provider_id", "account", "card_brand", "card_last4", "card_expires")
    list_select_related = ("account",)
    search_fields = ("provider_id__exact", "account__public_id__exact")
    exclude = ("lock_token", "lock_until", "card_fingerprint", "test_clock")
