"""What the page before an act of support shows of money: dates of trial, charge and unpaid invoice."""

import datetime as dt

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import rehearsal
from accounts.models import Account
from accounts.templatetags.terms_format import format_money, moment
from billing.models import DunningCase, Instruction, Invoice, Subscription, TrialAllowance
from billing.subscriptions import subscriptions_of


def _dates(account: Account, at: dt.datetime) -> dict[str, str]:
    live = next((row for row in subscriptions_of(account) if row.is_live), None)
    allowed = TrialAllowance.objects.filter(account=account, used_at=None).exists()
    found = {_("Another trial"): _("allowed") if allowed else _("not allowed")}
    if live is not None:
        found[_("Plan")] = f"{live.plan.name}, {live.get_status_display()}"
        if live.status == Subscription.Status.TRIALING and live.trial_end:
            found[_("The trial ends")] = moment(live.trial_end)
        if live.renews_at:
            price = format_money(live.plan.amount, live.plan.currency)
            found[_("Next charge")] = f"{moment(live.renews_at)}, {price}"
    return found


def _unpaid(account: Account, at: dt.datetime) -> dict[str, str]:
    case = DunningCase.objects.select_related("invoice").filter(account=account).order_by("-pk").first()
    if case is None:
        return {}
    owed = format_money(case.invoice.amount_remaining, case.invoice.currency)
    found = {_("Unpaid invoice"): f"{case.invoice}, {owed}: {case.get_status_display()}"}
    if case.is_running and case.next_at:
        found[_("What comes next")] = f"{case.get_next_step_display()}, {moment(case.next_at)}"
        found[_("Access ends unless it is paid")] = moment(case.block_at)
        found[_("Last day to pay")] = moment(case.end_at)
    return found


def _told(instruction: Instruction) -> str:
    kind = str(instruction.get_kind_display())
    unpaid = Invoice.objects.filter(provider_id=instruction.desired.get("invoice")).first()
    return f"{kind}: {format_money(unpaid.amount_remaining, unpaid.currency)}" if unpaid else kind


def register_rehearsal() -> None:
    """Called from `AppConfig.ready`."""
    rehearsal.register_reader("billing.dates", _dates)
    rehearsal.register_reader("billing.unpaid", _unpaid)
    told = rehearsal.NewRows(gettext_lazy("What Stripe is told"), Instruction, _told)
    rehearsal.register_new_rows("billing.told", told)
