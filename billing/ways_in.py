"""How access comes back by paying: what the page says that an account's access is off."""

import datetime as dt
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import Account, Member
from accounts.templatetags.terms_format import day, format_money, moment
from accounts.ways_out import Exit, WayOut
from billing.coming import live_subscription, planned_pauses
from billing.dunning_coming import steps_ahead
from billing.dunning_rules import ATTEMPT
from billing.models import Customer, DunningCase, Invoice, Plan, Subscription
from billing.plan_choice import price_words
from billing.prices import plan_now
from billing.trials import can_ask, can_extend_yourself, open_request


def way_to_pay(account: Account, member: Member, at: dt.datetime) -> Exit | None:
    """The one button: the unpaid invoice, else the end of the pause, else the plan that was, else any plan.

    A closed account comes back another way, and whoever may not pay is told who may. Up to three queries.
    """
    if not member.may_pay or account.state == Account.State.CLOSED:
        return None
    unpaid = Invoice.objects.unpaid().filter(account=account).select_related("dunning_case").first()
    if unpaid is not None:
        return _invoice(account, unpaid, at)
    live = live_subscription(account)
    if live is not None and any(pause.starts_at <= at for pause in planned_pauses(live)):
        return _pause(account, live)
    rows = Subscription.objects.filter(account=account).select_related("plan").order_by("started_at", "pk")
    last = live or rows.last()
    if last is not None and last.plan.amount and last.plan.is_active:
        return _plan(account, live.plan if live else plan_now(last.plan, at=at))
    return Exit(
        label=_("Choose a plan"),
        url=reverse("plans", args=[account.public_id]),
        text=_("Access is on from the moment you pay. You see every price before you choose."),
    )


def _invoice(account: Account, unpaid: Invoice, at: dt.datetime) -> Exit:
    owed = format_money(unpaid.amount_remaining, unpaid.currency)
    facts = [(_("Invoice"), unpaid.number), (_("To be paid"), owed)]
    if next_try := _next_try(account, unpaid, at):
        facts.append((_("We try your card again"), moment(next_try)))
    return Exit(
        label=_("Pay %(amount)s") % {"amount": owed},
        url=reverse("invoice_pay", args=[account.public_id, unpaid.provider_id]),
        text=_("This invoice could not be charged. Access is on from the moment it is paid."),
        facts=facts,
    )


def _next_try(account: Account, unpaid: Invoice, at: dt.datetime) -> dt.datetime | None:
    """When the card on file is charged next for it, where it is."""
    case: DunningCase | None = getattr(unpaid, "dunning_case", None)
    if case is None:
        return None
    card = Customer.objects.filter(account=account, deleted_at=None).values_list("card_id", flat=True).first()
    ahead = steps_ahead(case, account.time_zone, card_id=card or "", at=at)
    return next((step.at for step in ahead if step.kind == ATTEMPT), None)


def _pause(account: Account, live: Subscription) -> Exit:
    pause = planned_pauses(live)[0]
    return Exit(
        label=_("See the pause"),
        url=reverse("billing_overview", args=[account.public_id]),
        text=_("You paused your plan. It goes on by itself, and you can end the pause at any time."),
        facts=[(_("Goes on"), day(pause.resumes_at)), (_("Price"), price_words(live.plan))],
    )


def _plan(account: Account, plan: Plan) -> Exit:
    return Exit(
        label=_("Pay and go on"),
        url=reverse("pay", args=[account.public_id, plan.code]),
        text=_("Access is on from the moment you pay. Everything is as you left it."),
        facts=[(_("Plan"), plan.name), (_("Price"), price_words(plan))],
    )


PAY: Final = WayOut(code="billing.pay", leads="in", order=10, find=way_to_pay)


def way_to_more_time(account: Account, member: Member, at: dt.datetime) -> Exit | None:
    """After a trial: the days that the terms still give, or a request for some."""
    had_trial = Subscription.objects.filter(account=account, trial_end__isnull=False)
    if not member.may_pay or not had_trial.exists():
        return None
    more = can_extend_yourself(account, at=at)
    url = reverse("more_time", args=[account.public_id])
    if more is not None:
        return Exit(
            label=_("I need more time"),
            url=url,
            text=_("With more time to try it, access is on again at once, and nothing is charged."),
            facts=[(_("Trial until"), day(more.until))],
        )
    if open_request(account) is not None:
        text = _("You asked for more time; a person answers.")
        return Exit(label=_("See your request"), url=url, text=text)
    if can_ask(account, at=at):
        text = _("Tell us what you are trying to do. A person decides within three working days.")
        return Exit(label=_("I need more time"), url=url, text=text)
    return None


MORE_TIME: Final = WayOut(code="billing.more_time", leads="in", order=20, find=way_to_more_time)
