"""What choosing a plan would do for this account: asked by the page, and again by the verb."""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.errors import WrongState
from accounts.events import By
from accounts.models import Account
from accounts.templatetags.terms_format import day, format_money
from billing.coming import is_ended, unpaid_case, waits_for_payment
from billing.models import DunningCase, Plan, Subscription
from billing.prices import successors
from billing.subscriptions import change_plan, end_local, free_until, start_free_plan, start_trial
from billing.trial_rights import had_trial


class Way(StrEnum):
    """How one gets onto a plan."""

    CURRENT = "current"
    FREE = "free"
    TRIAL = "trial"
    PAY = "pay"
    CHANGE = "change"
    LEAVE = "leave"


@dataclass(frozen=True)
class Offer:
    """A plan as its card shows it."""

    plan: Plan
    way: Way
    facts: list[tuple[str, str]]
    button: str

    @property
    def code(self) -> str:
        """Sent by the card's button."""
        return self.plan.code

    @property
    def title(self) -> str:
        """The plan's name."""
        return self.plan.name

    @property
    def text(self) -> str:
        """One line about it."""
        return self.plan.summary


def live_subscription(account: Account) -> Subscription | None:
    """What the account is subscribed to now, with its plan."""
    return Subscription.objects.live().filter(account=account).select_related("plan").first()


def way_to(plan: Plan, live: Subscription | None, *, had_trial: bool) -> Way:
    """Free days that need no card start at once, another paid plan waits for the renewal, else one pays.

    From a paid plan to nothing to pay is leaving, with all that leaving promises.
    """
    if live is not None and live.plan_id == plan.pk and not (live.is_local and live.trial_end):
        return Way.CURRENT
    if live is not None and not live.is_local:
        return Way.LEAVE if plan.is_free else Way.CHANGE
    if plan.is_free:
        return Way.FREE
    if plan.trial_days and not plan.trial_needs_card and not had_trial:
        return Way.TRIAL
    return Way.PAY


def offer_plans(account: Account, *, at: dt.datetime) -> list[Offer]:
    """Every plan on offer in the account's currency, cheapest first."""
    live, used, case = live_subscription(account), had_trial(account), unpaid_case(account)
    plans = Plan.objects.open_to(account, at).exclude(pk__in=successors(live.plan) if live else ())
    return [_offer(account, plan, way_to(plan, live, had_trial=used), live, case, at) for plan in plans]


@transaction.atomic
def take_plan(account: Account, plan: Plan, *, by: By, at: dt.datetime) -> Way:
    """Do what choosing this plan does without the provider; returns the way, so that PAY can go on."""
    Account.objects.select_for_update().get(pk=account.pk)
    live = live_subscription(account)
    way = way_to(plan, live, had_trial=had_trial(account))
    # The same plan at its next price comes with a renewal, once it was announced.
    if way is Way.CURRENT or (live is not None and plan.pk in successors(live.plan)):
        raise WrongState("This is the plan already.")
    if way is Way.FREE:
        if live is not None:
            end_local(live, at=at, reason="free_plan")
        start_free_plan(account, plan, by=by, at=at)
    elif way is Way.TRIAL:
        start_trial(account, plan, by=by, at=at)
    elif way is Way.CHANGE and live is not None:
        change_plan(live, plan, by=by, at=at)
    return way


def price_words(plan: Plan) -> str:
    """The price with its rhythm."""
    if plan.is_free:
        return _("Free")
    amount = {"amount": format_money(plan.amount, plan.currency)}
    return (
        _("%(amount)s a year") if plan.interval == Plan.Interval.YEAR else _("%(amount)s a month")
    ) % amount


def _offer(
    account: Account,
    plan: Plan,
    way: Way,
    live: Subscription | None,
    case: DunningCase | None,
    at: dt.datetime,
) -> Offer:
    facts = [
        (_("Price"), price_words(plan)),
        (_("From"), _from_words(way, live)),
        (_("Next payment"), _next_payment(account, plan, way, live, case, at)),
    ]
    if planned := live.planned_price if live is not None and way is Way.CURRENT else None:
        amount = format_money(planned.amount_after, planned.currency)
        since = {"amount": amount, "day": day(planned.takes_at)}
        facts.insert(1, (_("New price"), _("%(amount)s from %(day)s on") % since))
    return Offer(plan, way, facts, _button(way))


def _from_words(way: Way, live: Subscription | None) -> str:
    if way is Way.CURRENT and live is not None:
        return day(live.started_at)
    if way is Way.LEAVE:
        return _("After you leave your present plan")
    if way is Way.CHANGE and live is not None and live.period_end is not None:
        return day(live.period_end)
    return _("Today")


def _next_payment(
    account: Account,
    plan: Plan,
    way: Way,
    live: Subscription | None,
    case: DunningCase | None,
    at: dt.datetime,
) -> str:
    if plan.is_free:
        return _("None")
    if way is Way.TRIAL:
        return _("None: %(number)d days free, no card needed") % {"number": plan.trial_days}
    if way is Way.PAY:
        until = free_until(account, plan, at=at)
        return _("%(day)s, after the free days") % {"day": day(until)} if until else _("Today")
    if live is None or live.renews_at is None:
        return _("None is planned")
    if is_ended(case):
        return _("None until the unpaid invoice is paid")
    if waits_for_payment(case, live.renews_at):
        return _("%(day)s, if the unpaid invoice is paid before") % {"day": day(live.renews_at)}
    return day(live.renews_at)


def _button(way: Way) -> str:
    return {
        Way.CURRENT: "",
        Way.FREE: _("Use the free plan"),
        Way.TRIAL: _("Start the trial"),
        Way.PAY: _("Choose this plan"),
        Way.CHANGE: _("Change at the renewal"),
        Way.LEAVE: _("See the ways to leave"),
    }[way]
