"""Trials in the admin site: give more days, answer requests, allow another trial."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin.accounts import AccountAdmin
from accounts.admin.base import Act, ActsAdmin, ReadOnlyAdmin
from accounts.events import By
from accounts.models import Account, User
from accounts.sharing import shared
from accounts.templatetags.terms_format import moment
from billing.models import TrialExtension, TrialRequest
from billing.periods import local_date
from billing.subscriptions import subscriptions_of
from billing.trial_rights import had_trial
from billing.trials import (
    allow_another_trial,
    decline_request,
    extend_trial,
    grant_request,
    trial_of,
)

#: Characters of a wish in the list; the rest is on its page.
SHOWN = 40
REASONS = [choice for choice in TrialExtension.Reason.choices if choice[0] != TrialExtension.Reason.CARD]


UNSEEN = _("The customer never sees it.")
NO_WAY_BACK = _("A trial that was made longer is not made shorter again.")


class DaysForm(forms.Form):
    """How many days, and why."""

    days = forms.IntegerField(label=_("How many days?"), min_value=1, max_value=120)
    reason = forms.ChoiceField(label=_("Why?"), choices=REASONS)
    note = forms.CharField(label=_("Note for colleagues"), help_text=UNSEEN, max_length=500, required=False)


class EndForm(forms.Form):
    """The last day of the trial, and why."""

    last_day = forms.DateField(label=_("New last day"), widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.ChoiceField(label=_("Why?"), choices=REASONS)
    note = forms.CharField(label=_("Note for colleagues"), help_text=UNSEEN, max_length=500, required=False)


class AnswerForm(forms.Form):
    """What the customer reads in the mail."""

    answer = forms.CharField(
        label=_("What do you write to them?"), max_length=2000, widget=forms.Textarea(attrs={"rows": 5})
    )


class NoteForm(forms.Form):
    """Why, for colleagues."""

    note = forms.CharField(label=_("Why?"), max_length=200)


def _within_terms(account: Account, days: int) -> int:
    most = account.terms.charge_move_days
    if not 1 <= days <= most:
        raise ValidationError(
            gettext("Between 1 and %(days)d days at a time, say the terms of this account.") % {"days": most}
        )
    return days


def _until(extension: TrialExtension) -> str:
    """What came of it, in words."""
    return gettext("The trial now ends on %(moment)s. The customer is told by mail.") % {
        "moment": moment(extension.ends_after)
    }


def _extend(account: Account, by: By, at: dt.datetime, answers: dict[str, Any]) -> str:
    extension = extend_trial(
        account,
        _within_terms(account, answers["days"]),
        via=TrialExtension.Via.STAFF,
        reason=answers["reason"],
        note=answers["note"],
        by=by,
        at=at,
    )
    return _until(extension)


def _move_end(account: Account, by: By, at: dt.datetime, answers: dict[str, Any]) -> str:
    trial = trial_of(account, at=at)
    end = max(trial.trial_end, at) if trial and trial.trial_end else at
    days = (answers["last_day"] - local_date(end, account.time_zone)).days
    return _extend(account, by, at, answers | {"days": days})


def _allow(account: Account, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    who = User.objects.get(public_id=by.ref)
    allow_another_trial(account, note=answers["note"], by=by, at=at, allowed_by=who)


def _has_trial(account: Account, at: dt.datetime) -> bool:
    return shared(account, "billing.has_trial", lambda: trial_of(account, at=at) is not None)


def _may_need_another(account: Account, at: dt.datetime) -> bool:
    """Whether a trial could begin but for the one they had: nobody pays, and no trial runs."""
    if account.state in (Account.State.CLOSED, Account.State.ERASED):
        return False
    live = next((row for row in subscriptions_of(account) if row.is_live), None)
    return (live is None or live.plan.is_free) and had_trial(account)


AccountAdmin.add_act(
    Act(
        code="extend_trial",
        title=_("Extend the trial"),
        text=_(
            "The days are added to the later of the present end and now. Access is on at once, the customer "
            "is told by mail, and with a card nothing is charged before."
        ),
        button=_("Extend it"),
        permission="billing.add_trialextension",
        can=_has_trial,
        do=_extend,
        done=_("The trial is longer. The customer is told by mail."),
        undo=NO_WAY_BACK,
        form=DaysForm,
        is_rehearsed=True,
    )
)
AccountAdmin.add_act(
    Act(
        code="move_trial_end",
        title=_("Move the end of the trial"),
        text=_("To a later day; the customer is told by mail, and with a card nothing is charged before."),
        button=_("Move it"),
        permission="billing.add_trialextension",
        can=_has_trial,
        do=_move_end,
        done=_("The trial is longer. The customer is told by mail."),
        undo=NO_WAY_BACK,
        form=EndForm,
        is_rehearsed=True,
    )
)
AccountAdmin.add_act(
    Act(
        code="allow_trial",
        title=_("Allow another trial"),
        text=_("Its people or its card have had one. With this they can start one more from the plans page."),
        button=_("Allow it"),
        permission="billing.add_trialallowance",
        can=_may_need_another,
        do=_allow,
        done=_("Another trial is allowed. The customer starts it on the page of plans."),
        undo=_("It is not taken back; it costs nothing until they start it."),
        form=NoteForm,
        is_rehearsed=True,
    )
)


def _grant(request: TrialRequest, by: By, at: dt.datetime, answers: dict[str, Any]) -> str:
    days = _within_terms(request.account, answers["days"])
    why = {"reason": answers["reason"], "note": answers["note"]}
    return _until(grant_request(request, days, **why, by=by, at=at))


def _decline(request: TrialRequest, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    decline_request(request, answer=answers["answer"], by=by, at=at)


def _is_open(request: TrialRequest, at: dt.datetime) -> bool:
    return request.state == TrialRequest.State.OPEN


@admin.register(TrialRequest)
class TrialRequestAdmin(ActsAdmin[TrialRequest]):
    """Who asks for more time, and what for. The clock stands still until the answer, three working days."""

    list_display = ("account", "state", "purpose", "created_at", "answer_by", "asked_by")
    list_filter = ("state",)
    list_select_related = ("account__terms", "asked_by")
    search_fields = ("account__public_id__exact", "public_id__exact")
    ordering = ("-state", "answer_by")
    acts: ClassVar[tuple[Act[TrialRequest], ...]] = (
        Act(
            code="grant",
            title=_("Give more days"),
            text=_("The clock runs again and the trial is that much longer; the customer is told by mail."),
            button=_("Give them"),
            permission="billing.change_trialrequest",
            can=_is_open,
            do=_grant,
            done=_("The trial is longer. The customer is told by mail."),
            undo=NO_WAY_BACK,
            form=DaysForm,
            is_rehearsed=True,
        ),
        Act(
            code="decline",
            title=_("Decline kindly"),
            text=_("The clock runs again from where it stood. Your words are in the mail that they get."),
            button=_("Send the answer"),
            permission="billing.change_trialrequest",
            can=_is_open,
            do=_decline,
            done=_("The customer is told by mail."),
            undo=_("It is not taken back, but the trial can still be made longer on the account’s page."),
            form=AnswerForm,
            is_rehearsed=True,
        ),
    )

    @admin.display(description=_("what for"), empty_value="–")
    def purpose(self, row: TrialRequest) -> str:
        return Truncator(row.text).chars(SHOWN)


@admin.register(TrialExtension)
class TrialExtensionAdmin(ReadOnlyAdmin[TrialExtension]):
    """Every trial that was made longer: by whom, why, from when to when."""

    list_display = (
        "account",
        "days",
        "via",
        "reason",
        "ends_before",
        "ends_after",
        "is_engaged",
        "created_at",
    )
    list_filter = ("via", "reason")
    list_select_related = ("account",)
    search_fields = ("account__public_id__exact",)
