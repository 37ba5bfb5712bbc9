"""The mails of a trial: what each says, and whether it is still so when it is about to leave."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.access import decide_access
from accounts.kinds import alert
from accounts.links import make_link
from accounts.models import Account, Link, Notice
from accounts.notices import Category, NoticeKind, register
from accounts.problems import page_url
from billing.models import Customer, Subscription, TrialExtension, TrialRequest
from billing.periods import local_date
from billing.price_rules import RISE
from billing.prices import plan_now
from billing.renewals import (
    RENEWS,
    postpone_first_charge,
    postpone_untold_renewal,
    postpone_untold_trial,
    renewal_period,
    said_with_price,
)
from billing.samples import newest, newest_trial, yearly
from billing.trial_calendar import StepKind
from billing.trial_steps import ENDS, access_end_of, ends_on_free_plan, free_plan_of
from billing.trials import can_ask, can_extend_yourself, is_leaving

#: How long "I need more time" in a mail leads somewhere; afterwards the account's page does.
LINK_LIFE = dt.timedelta(days=60)
#: The mails before the end.
REMINDERS = (StepKind.REMIND_FIRST, StepKind.REMIND_AGAIN)
#: A mail about a new price leaves a day before the notice of a renewal, which it makes needless.
JUST_SAID = dt.timedelta(days=2)


def period_of(trial: Subscription, kind: str) -> str:
    """A trial's mail of one step is owed once for one end: an end that moved is another one."""
    assert trial.trial_end is not None
    return f"{trial.public_id}:{kind}:{trial.trial_end:%Y%m%d%H%M}"


def _at(step: str) -> Callable[[Subscription], str]:
    """The period of this step, for a preview."""
    return lambda trial: period_of(trial, step)


def _trial(notice: Notice) -> Subscription | None:
    """The trial that the notice is about, if its end is still the one that it was owed for."""
    public_id, _kind, ends = notice.period.split(":")[:3]
    rows = Subscription.objects.select_related("plan", "account__terms")
    found = rows.filter(account=notice.account, public_id=public_id).first()
    if found is None or found.trial_end is None or f"{found.trial_end:%Y%m%d%H%M}" != ends:
        return None
    return found


def _named(notice: Notice) -> str:
    return notice.subject.partition(":")[2]


def _started(notice: Notice) -> Subscription:
    """The trial that began, whatever its end is now."""
    rows = Subscription.objects.select_related("plan", "account__terms")
    return rows.get(account=notice.account, public_id=_named(notice))


def _has_started(notice: Notice, at: dt.datetime) -> bool:
    rows = Subscription.objects.filter(account=notice.account, public_id=_named(notice))
    return rows.filter(status=Subscription.Status.TRIALING).exists()


def _start_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    trial = _started(notice)
    by_card = TrialExtension.objects.filter(subscription=trial, via=TrialExtension.Via.CARD).first()
    ended_before = by_card.ends_before if by_card else None
    return _mail_words(trial, notice, at) | {"ended_before": ended_before}


def is_running(notice: Notice, at: dt.datetime) -> bool:
    """It still ends then, nobody has paid, and nobody has said that they leave."""
    trial = _trial(notice)
    return (
        trial is not None
        and trial.status == Subscription.Status.TRIALING
        and trial.first_paid_at is None
        and trial.trial_end is not None
        and trial.trial_end > at
        and not is_leaving(trial)
    )


def is_over(notice: Notice, at: dt.datetime) -> bool:
    """It has ended, and they have neither paid, nor chosen a plan, nor left."""
    trial = _trial(notice)
    if trial is None or trial.trial_end is None or trial.trial_end > at:
        return False
    others = Subscription.objects.live().filter(account=notice.account).exclude(pk=trial.pk)
    waits = trial.account.state in (Account.State.TRIALING, Account.State.GRACE, Account.State.FROZEN)
    return waits and not others.exists() and not is_leaving(trial)


def is_farewell(notice: Notice, at: dt.datetime) -> bool:
    """Frozen, or moved to the free plan, by the end of this very trial."""
    trial = _trial(notice)
    if trial is None or trial.is_live:
        return False
    live = Subscription.objects.live().filter(account=notice.account).select_related("plan").first()
    if live is None:
        return trial.account.state == Account.State.FROZEN
    return live.is_local and live.plan.is_free


def trial_words(trial: Subscription, *, at: dt.datetime) -> dict[str, Any]:
    """Dates, price and what comes after, for any mail and page about a trial."""
    account = trial.account
    access = decide_access(state=account.state, access_ends_at=account.access_ends_at, at=at)
    zone = account.time_zone
    free_plan = free_plan_of(account) if trial.is_local and ends_on_free_plan(account) else None
    return {
        "subscription": trial,
        "plan": trial.plan if trial.is_live else plan_now(trial.plan, at=at),
        "converts": not trial.is_local,
        "ends_at": trial.trial_end,
        "access_until": access_end_of(trial) if trial.is_local else None,
        "step_at": trial.period_end if trial.is_local else trial.trial_end,
        "free_plan": free_plan,
        "is_open": access.is_open,
        "has_grace": trial.is_local and trial.period_end != trial.trial_end,
        "days": (local_date(trial.trial_end, zone) - local_date(at, zone)).days if trial.trial_end else 0,
        "terms": account.terms,
    }


def more_time_url(notice: Notice, *, at: dt.datetime) -> str:
    """One click to more time; "" where there is none to be had by this way."""
    account = notice.account
    if can_extend_yourself(account, at=at) is None and not can_ask(account, at=at):
        return ""
    token = make_link(
        account,
        Link.Purpose.MORE_TIME,
        "trial",
        user=notice.user,
        at=at,
        expires_at=at + LINK_LIFE,
    )
    return page_url("more_time_by_link", token)


def step_of(notice: Notice) -> str:
    """The step that this mail belongs to."""
    return StepKind(notice.period.split(":")[1])


def _words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    trial = _trial(notice)
    if trial is None:
        raise LookupError(notice.period)
    return _mail_words(trial, notice, at) | {"step": step_of(notice)}


def _mail_words(trial: Subscription, notice: Notice, at: dt.datetime) -> dict[str, Any]:
    customer = Customer.objects.filter(account=notice.account, deleted_at=None).first()
    ids = {"account_id": notice.account.public_id}
    words = trial_words(trial, at=at)
    return words | {
        "more_time_url": more_time_url(notice, at=at),
        "path": reverse("billing_overview", kwargs=ids),
        "pay_path": reverse("pay", kwargs=ids | {"code": words["plan"].code}),
        "stop_path": reverse("leave", kwargs=ids),
        "data_path": reverse("exports", kwargs=ids),
        "card_brand": customer.card_brand.capitalize() if customer else "",
        "card_last4": customer.card_last4 if customer else "",
    }


def _farewell_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    trial = _trial(notice)
    if trial is None:
        raise LookupError(notice.period)
    live = Subscription.objects.live().filter(account=notice.account).select_related("plan").first()
    return _words(notice, at) | {"free_plan": live.plan if live else None}


def _extension(notice: Notice) -> TrialExtension | None:
    rows = TrialExtension.objects.select_related("subscription__plan", "subscription__account__terms")
    return rows.filter(account=notice.account, pk=int(notice.period)).first()


def _is_newest(notice: Notice, at: dt.datetime) -> bool:
    extension = _extension(notice)
    newest = TrialExtension.objects.filter(account=notice.account).first()
    return extension is not None and extension == newest and extension.ends_after > at


def _extension_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    extension = _extension(notice)
    if extension is None:
        raise LookupError(notice.period)
    trial = extension.subscription
    path = reverse("billing_overview", kwargs={"account_id": notice.account.public_id})
    return trial_words(trial, at=at) | {"extension": extension, "path": path}


def _request(notice: Notice) -> TrialRequest | None:
    rows = TrialRequest.objects.select_related("subscription__plan", "subscription__account__terms")
    return rows.filter(account=notice.account, public_id=notice.period).first()


def _is_declined(notice: Notice, at: dt.datetime) -> bool:
    request = _request(notice)
    return request is not None and request.state == TrialRequest.State.DECLINED


def _request_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    request = _request(notice)
    if request is None:
        raise LookupError(notice.period)
    words = trial_words(request.subscription, at=at)
    ids = {"account_id": notice.account.public_id, "code": words["plan"].code}
    return words | {
        "answer": request.answer,
        "path": reverse("pay", kwargs=ids),
    }


# --- Renewals of a year -----------------------------------------------------------------------


def _missed(notice: Notice, at: dt.datetime) -> None:
    """Staff are alarmed, and a charge that nobody was told of comes later."""
    alert(notice, at)
    postpone_untold_trial(notice, at)


def _extension_missed(notice: Notice, at: dt.datetime) -> None:
    """The mail that says the new end is the one that announces the charge, unless another has since."""
    alert(notice, at)
    extension = _extension(notice)
    if extension is None or not _is_newest(notice, at) or _was_told(extension.subscription):
        return
    postpone_first_charge(extension.subscription, at=at)


def _was_told(trial: Subscription) -> bool:
    """Whether a reminder of this very end has left."""
    rows = Notice.objects.filter(account=trial.account, kind=ENDS, status=Notice.Status.SENT)
    return rows.filter(period__in=[period_of(trial, kind) for kind in REMINDERS]).exists()


def _renewal_missed(notice: Notice, at: dt.datetime) -> None:
    alert(notice, at)
    postpone_untold_renewal(notice, at)


def _yearly_of(notice: Notice) -> Subscription | None:
    rows = Subscription.objects.select_related("plan", "account__terms")
    return rows.filter(account=notice.account, public_id=_named(notice)).first()


def _still_renews(notice: Notice, at: dt.datetime) -> bool:
    """It still renews on that very day: not cancelled, not moved; and no mail has just said so with a new
    price."""
    row = _yearly_of(notice)
    if row is None or row.renews_at is None or row.renews_at <= at:
        return False
    just = notice.window_from - JUST_SAID
    is_said = any(moment >= just for moment in said_with_price(row, row.renews_at))
    return notice.period.split(":")[1] == f"{row.renews_at:%Y%m%d}" and not is_said


def _renewal_words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    row = _yearly_of(notice)
    if row is None:
        raise LookupError(notice.subject)
    customer = Customer.objects.filter(account=notice.account, deleted_at=None).first()
    return {
        "plan": row.plan,
        "charge": row.price_at_renewal,
        "charge_before": row.price_today,
        "renews_at": row.renews_at,
        "path": reverse("leave", kwargs={"account_id": notice.account.public_id}),
        "card_brand": customer.card_brand.capitalize() if customer else "",
        "card_last4": customer.card_last4 if customer else "",
    }


def register_trial_notices() -> None:
    """Make the kinds of trials known; called from `AppConfig.ready`."""
    for kind in KINDS:
        register(kind)


KINDS = (
    # A start that is paid at once has its receipt, which says so too: one voice, one mail.
    NoticeKind(
        code="subscription_started",
        title=_("Your trial has started"),
        why=_("You started a trial; the mail says how long it is and what comes after."),
        context=_start_words,
        still_true=_has_started,
        sample=newest_trial(lambda trial: trial.public_id),
        on_missed=_missed,
    ),
    NoticeKind(
        code="trial_ends",
        title=_("Your trial ends soon"),
        why=_("Your trial ends; you are told in good time, with the date and what comes after."),
        context=_words,
        still_true=is_running,
        sample=newest_trial(_at(StepKind.REMIND_AGAIN)),
        category=Category.LEGAL,
        topic="trial",
        on_missed=_missed,
    ),
    NoticeKind(
        code=RENEWS,
        title=_("Your plan renews"),
        why=_("A year is charged soon; you are told in good time, with the amount and how to stop."),
        context=_renewal_words,
        still_true=_still_renews,
        category=Category.LEGAL,
        on_missed=_renewal_missed,
        needless_after=(RISE, JUST_SAID),
        sample=yearly(lambda row: renewal_period(row, 25)),
    ),
    NoticeKind(
        code="trial_over",
        title=_("Your trial has ended"),
        why=_("Your trial is over and no plan is chosen; you are told until when everything stays on."),
        context=_words,
        still_true=is_over,
        sample=newest_trial(_at(StepKind.AFTER_3)),
        category=Category.REMINDER,
        topic="trial",
    ),
    NoticeKind(
        code="trial_farewell",
        title=_("Thank you for trying it"),
        why=_("The trial is over; the mail says what becomes of your data and how to come back."),
        context=_farewell_words,
        still_true=is_farewell,
        sample=newest_trial(_at(StepKind.FAREWELL)),
        category=Category.REMINDER,
        topic="trial",
    ),
    NoticeKind(
        code="trial_extended",
        title=_("Your trial is longer"),
        why=_("The end of your trial was moved; the mail says until when."),
        context=_extension_words,
        still_true=_is_newest,
        on_missed=_extension_missed,
        sample=newest("extension"),
        topic="trial",
    ),
    NoticeKind(
        code="trial_declined",
        title=_("Answer to your request for more time"),
        why=_("You asked for more time and got an answer."),
        context=_request_words,
        still_true=_is_declined,
        sample=newest("request"),
    ),
)
