"""Holds in the admin site: who stands still and until when; placed on the account's page, ended here."""

import datetime as dt
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import holds
from accounts.admin.accounts import AccountAdmin
from accounts.admin.base import Act, ActsAdmin
from accounts.events import By
from accounts.models import Account, Hold, User
from accounts.templatetags.terms_format import moment

#: Asking for more time puts a hold on by itself; staff do not choose that.
REASONS = [choice for choice in Hold.Reason.choices if choice[0] != Hold.Reason.REQUEST]
#: Answering the request ends its hold by itself.
ENDED = [choice for choice in Hold.Ended.choices if choice[0] != Hold.Ended.ANSWERED]


class HoldForm(forms.Form):
    """Why everything stands still, and until the end of which day."""

    reason = forms.ChoiceField(label=_("Why?"), choices=REASONS)
    until = forms.DateField(
        label=_("Until the end of"),
        help_text=_("A day of the customer’s own calendar, within the days that the terms allow."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    note = forms.CharField(
        label=_("Note for colleagues"),
        help_text=_("The customer never sees it."),
        max_length=500,
        required=False,
    )


class EndForm(forms.Form):
    """Why the clock runs again before its time."""

    reason = forms.ChoiceField(label=_("Why?"), choices=[("", _("Choose…")), *ENDED])


def end_of_day(account: Account, day: dt.date) -> dt.datetime:
    """The last second of this day of the account's."""
    return dt.datetime.combine(day, dt.time(23, 59, 59), account.zone).astimezone(dt.UTC)


def _place(account: Account, by: By, at: dt.datetime, answers: dict[str, Any]) -> str:
    most, until = account.terms.hold_max_days, end_of_day(account, answers["until"])
    if not at < until <= at + dt.timedelta(days=most):
        raise ValidationError(
            gettext(
                "Choose a day from today on, at most %(days)d days ahead: so say the terms of this account."
            )
            % {"days": most}
        )
    holds.place_hold(
        account,
        reason=answers["reason"],
        until=until,
        note=answers["note"],
        placed_by=User.objects.get(public_id=by.ref),
        by=by,
        at=at,
    )
    return gettext("Everything stands still until %(moment)s.") % {"moment": moment(until)}


def _end(hold: Hold, by: By, at: dt.datetime, answers: dict[str, Any]) -> None:
    holds.end_hold(hold, reason=answers["reason"], by=by, at=at)


AccountAdmin.add_act(
    Act(
        code="hold",
        title=_("Hold everything"),
        text=_("No reminder, no block, until the end of a day. What comes later moves by as long as that."),
        button=_("Hold it"),
        permission="accounts.add_hold",
        can=lambda account, at: holds.can_hold(account, at=at),
        do=_place,
        done=_("Everything stands still until then."),
        undo=_("The way back: end the hold on this account’s page, at any time."),
        form=HoldForm,
        is_rehearsed=True,
    )
)


@admin.register(Hold)
class HoldAdmin(ActsAdmin[Hold]):
    """Every hold there is and was."""

    list_display = ("account", "reason", "starts_at", "ends_at", "placed_by", "note")
    list_filter = ("reason",)
    list_select_related = ("account", "placed_by")
    search_fields = ("account__public_id__exact",)
    ordering = ("-ends_at", "-pk")
    acts: ClassVar[tuple[Act[Hold], ...]] = (
        Act(
            code="end",
            title=_("Let the clock run"),
            text=_("The hold ends now. What comes later moves by as long as it really stood still."),
            button=_("End the hold"),
            permission="accounts.change_hold",
            can=lambda hold, at: hold.starts_at <= at < hold.ends_at,
            do=_end,
            done=_("The clock runs again."),
            undo=_("Another hold can be placed on the account’s page."),
            form=EndForm,
            is_rehearsed=True,
        ),
    )

    def name_of(self, row: Hold) -> str:
        return str(row.account)
