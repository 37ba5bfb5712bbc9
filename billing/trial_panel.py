"""The trial on the pages of an account: the countdown, the days of grace, the card with its dates."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.access import decide_access
from accounts.banners import Banner
from accounts.models import Account, Member
from accounts.panels import Panel
from accounts.sharing import shared
from accounts.templatetags.terms_format import moment
from billing.models import Subscription
from billing.trial_calendar import days_left
from billing.trials import is_leaving, open_request


def running_trial(account: Account) -> Subscription | None:
    """The unpaid trial of an account that is on trial or in grace; once for a page. One query."""
    if account.state not in (Account.State.TRIALING, Account.State.GRACE):
        return None
    rows = Subscription.objects.filter(
        account=account, status=Subscription.Status.TRIALING, first_paid_at=None
    ).exclude(trial_end=None)
    return shared(account, "billing.trial", rows.select_related("plan", "account__terms").first)


def trial_banner(account: Account, member: Member, at: dt.datetime) -> Banner | None:
    """The last three days counted down, and the days of grace with the date on which access goes off."""
    trial = running_trial(account)
    if trial is None or trial.trial_end is None or trial.cancel_at is not None or is_leaving(trial):
        return None
    if not decide_access(state=account.state, access_ends_at=account.access_ends_at, at=at).is_open:
        return None
    text = _sentence(trial, at)
    if not text:
        return None
    ids = [account.public_id]
    if not member.may_pay:
        return Banner(tone="warn", text=text)
    if not trial.is_local:
        return Banner(
            tone="info", text=text, url=reverse("billing_overview", args=ids), label=_("See your plan")
        )
    return Banner(
        tone="warn",
        text=text,
        url=reverse("pay", args=[*ids, trial.plan.code]),
        label=_("Choose %(plan)s") % {"plan": trial.plan.name},
        more_url=reverse("more_time", args=ids),
        more_label=_("I need more time"),
    )


def _sentence(trial: Subscription, at: dt.datetime) -> str:
    account, ends_at = trial.account, trial.trial_end
    assert ends_at is not None
    if ends_at <= at:
        if account.access_ends_at is None:
            return _(
                "Your trial is over. Everything stays on until %(moment)s, then the free plan begins."
            ) % {"moment": moment(trial.period_end)}
        return _("Your trial is over. Everything stays on until %(moment)s, then access goes off.") % {
            "moment": moment(account.access_ends_at)
        }
    left = days_left(ends_at, account.time_zone, at=at)
    if left is None:
        return ""
    if left == 0:
        return _("Your trial ends today: %(moment)s.") % {"moment": moment(ends_at)}
    return ngettext(
        "Only %(days)d day left of your trial: it ends on %(moment)s.",
        "Only %(days)d days left of your trial: it ends on %(moment)s.",
        left,
    ) % {"days": left, "moment": moment(ends_at)}


def trial_card(account: Account, member: Member, at: dt.datetime) -> dict[str, Any] | None:
    """The dates of the trial, and one click to more time, for those who decide. Two queries."""
    trial = running_trial(account)
    if trial is None or not member.may_pay or is_leaving(trial):
        return None
    return {
        "trial": trial,
        "is_over": trial.trial_end is not None and trial.trial_end <= at,
        "full_until": trial.period_end if trial.is_local else None,
        "stays_free": trial.is_local and account.access_ends_at is None,
        "asked": open_request(account),
        "in_banner": trial.is_local and trial.cancel_at is None and bool(_sentence(trial, at)),
    }


TRIAL_PANEL = Panel(code="billing.trial", order=5, template="billing/trial_card.html", context=trial_card)
