"""Unpaid invoices in the admin site: who is chased, what comes next, and what staff may do about it."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import Act, ActsAdmin
from accounts.events import By
from accounts.templatetags.terms_format import day, format_money
from billing import dunning_attempts
from billing.admin.provider import ReasonForm
from billing.declines import explain_decline
from billing.dunning_attempts import can_retry_now, retry_now
from billing.dunning_cases import can_write_off, write_off
from billing.models import (
    DunningCase,
)


class TryForm(forms.Form):
    """Why it is tried out of turn."""

    reason = forms.ChoiceField(label=_("Why?"), choices=[("", _("Choose…")), *dunning_attempts.Why.choices])


def _retry_now(case: DunningCase, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    retry_now(case, reason=answers["reason"], by=by, at=at)


def _write_off(case: DunningCase, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    write_off(case, reason=answers["reason"], by=by, at=at)


@admin.register(DunningCase)
class DunningCaseAdmin(ActsAdmin[DunningCase]):
    """The queue of unpaid invoices: who is chased, what comes next and when."""

    list_display = ("invoice", "account", "owed", "status", "failures", "next_step", "next_at", "block_at")
    list_filter = ("status", "next_step", "end_action")
    list_select_related = ("account__terms", "invoice", "terms")
    search_fields = ("invoice__number__exact", "invoice__provider_id__exact", "account__public_id__exact")
    exclude = ("card_id", "plan", "decline")
    readonly_fields = ("refusal", "steps_left")
    acts: ClassVar[tuple[Act[DunningCase], ...]] = (
        Act(
            code="retry",
            title=_("Try the card now"),
            text=_("The card on file is charged once, beside the plan, which stays as it is. Once a day."),
            button=_("Try it now"),
            permission="billing.change_dunningcase",
            can=lambda case, at: can_retry_now(case, at=at),
            do=_retry_now,
            done=_("It is being tried. What comes of it is on this page in a moment."),
            undo=_("What is charged can only be given back as a refund."),
            form=TryForm,
            is_rehearsed=True,
        ),
        Act(
            code="write_off",
            title=_("Write off"),
            text=_(
                "Nothing more is asked for this invoice: Stripe marks it uncollectible, the mails stop and "
                "access is on again."
            ),
            button=_("Write it off"),
            permission="billing.change_dunningcase",
            can=lambda case, at: can_write_off(case),
            do=_write_off,
            done=_("It is written off: nothing is asked for it any more."),
            undo=_("There is no way back: it is not asked for again."),
            form=ReasonForm,
            is_grave=True,
            is_rehearsed=True,
        ),
    )

    @admin.display(description=_("owed"))
    def owed(self, case: DunningCase) -> str:
        return format_money(case.invoice.amount_remaining, case.invoice.currency)

    @admin.display(description=_("last refusal"), empty_value="–")
    def refusal(self, case: DunningCase) -> str:
        """In the words that the customer reads; the bank's code is for whoever talks with Stripe."""
        if not case.decline:
            return ""
        return format_html(
            '{} <small class="desk-soft"><code>{}</code></small>',
            explain_decline(case.decline).reason,
            case.decline,
        )

    @admin.display(description=_("still to come"), empty_value="–")
    def steps_left(self, case: DunningCase) -> str:
        labels = dict(DunningCase.NextStep.choices)
        found = ((labels.get(key, labels["attempt"]), dt.date.fromisoformat(on)) for key, on in case.plan)
        return ", ".join(f"{label}: {day(on)}" for label, on in found)
