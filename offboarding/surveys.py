"""The exit survey: asked after the receipt, each answer optional, saved as often as one likes."""

import datetime as dt
from typing import Any

from django.db import transaction

from accounts.events import By, record
from offboarding.models import Cancellation, ExitSurvey


@transaction.atomic
def save_survey(
    cancellation: Cancellation, answers: dict[str, Any], *, by: By, at: dt.datetime
) -> ExitSurvey:
    """Keep the answers; saving again replaces them, so that the back button and a second tab are harmless.

    The history says that and with which reason it was answered; the words themselves can be erased.
    """
    survey, is_new = ExitSurvey.objects.update_or_create(
        cancellation=cancellation, defaults=answers | {"answered_at": at}
    )
    if is_new:
        record(
            cancellation.account,
            "survey.answered",
            by=by,
            at=at,
            subject=cancellation.ref,
            reason=survey.reason.code if survey.reason else "",
            usage=survey.usage,
        )
    return survey
