"""What billing adds to "what comes next": the renewal with its amount, each step of a trial and of an unpaid
invoice, a pause's end."""

import datetime as dt
from collections.abc import Iterable

from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from accounts.calendar import CalendarEntry
from accounts.kinds import kinds
from accounts.law import rule_names
from accounts.models import Account, Member
from accounts.sharing import shared
from accounts.templatetags.terms_format import format_money
from billing.dunning_coming import case_entries
from billing.models import DunningCase, Invoice, Pause, PlannedPrice, Subscription, TrialStep
from billing.trial_calendar import StepKind
from billing.trial_steps import MAIL_OF


def live_subscription(account: Account) -> Subscription | None:
    """The one that runs, with its plan, its pauses, its planned price and the account's customer; once for a
    page.

    Two queries.
    """
    rows = Subscription.objects.live().filter(account=account).with_planned_price()
    rows = rows.select_related("plan", "account__customer").prefetch_related("pauses")
    return shared(account, "billing.live_subscription", rows.first)


def unpaid_invoice(account: Account) -> Invoice | None:
    """The invoice that could not be charged, with its case; once for a page. The first invoice of a
    subscription that never began is not one. One query."""
    rows = Invoice.objects.unpaid().filter(account=account).select_related("dunning_case__terms")
    rows = rows.exclude(subscription__status=Subscription.Status.INCOMPLETE)
    return shared(account, "billing.unpaid", rows.first)


def unpaid_case(account: Account) -> DunningCase | None:
    """The case of that invoice. One query, the same."""
    invoice = unpaid_invoice(account)
    return getattr(invoice, "dunning_case", None) if invoice else None


def billing_to_come(account: Account, member: Member, at: dt.datetime) -> Iterable[CalendarEntry]:
    """The next charge, each step of a trial or of an unpaid invoice, the end of a pause, as far as ahead.

    Three queries; four on trial.
    """
    row, case = live_subscription(account), unpaid_case(account)
    url = reverse("billing_overview", args=[account.public_id]) if member.may_pay else ""
    entries: list[CalendarEntry] = []
    if case is not None:
        customer = getattr(row.account, "customer", None) if row else None
        pay = reverse("invoice_pay", args=[account.public_id, case.invoice.provider_id])
        entries += case_entries(
            case,
            account.time_zone,
            card_id=customer.card_id if customer else "",
            at=at,
            is_payer=member.may_pay,
            url=pay if member.may_pay else "",
        )
    if row is not None:
        entries += subscription_entries(row, at=at, url=url, case=case, with_mails=member.may_pay)
    return entries


def subscription_entries(
    row: Subscription,
    *,
    at: dt.datetime,
    url: str = "",
    case: DunningCase | None = None,
    with_mails: bool = True,
) -> list[CalendarEntry]:
    """What is to come of one live subscription; read `with_planned_price` and `pauses` no query, or one on
    trial."""
    entries = [*_pauses(row, url), *_charges(row, url, case), *_prices(row, url), *_ends(row, url)]
    if row.status == Subscription.Status.TRIALING and row.first_paid_at is None:
        entries += _trial(row, url, with_mails=with_mails)
    return [entry for entry in entries if entry.at > at]


def _charges(row: Subscription, url: str, case: DunningCase | None) -> Iterable[CalendarEntry]:
    when = row.renews_at
    if when is None or _pause_at(row, when) is not None or is_ended(case):
        return
    planned, waits = row.planned_price, waits_for_payment(case, when)
    if planned is not None and planned.takes_at == when and not waits:
        yield _new_price(row, planned, url)
        return
    amount = format_money(row.price_today, row.plan.currency)
    first = row.status == Subscription.Status.TRIALING and row.first_paid_at is None
    sentence = _("First charge for %(plan)s: %(amount)s") if first else _("%(plan)s renews: %(amount)s")
    why = _("The price of your plan, before tax, discounts and credit.")
    if waits and case is not None and case.blocked_at is not None:
        why = _("Only if the unpaid invoice is paid before; then later by as many days as access was off.")
    elif waits:
        why = _("Only if the unpaid invoice is paid before.")
    yield CalendarEntry(at=when, text=sentence % {"plan": row.plan.name, "amount": amount}, why=why, url=url)


def is_ended(case: DunningCase | None) -> bool:
    """Whether nothing more is billed until the invoice is paid: every attempt has failed."""
    return case is not None and case.status == DunningCase.Status.ENDED


def waits_for_payment(case: DunningCase | None, renews_at: dt.datetime) -> bool:
    """Whether this renewal comes only where the invoice before it is paid: else it has ended by then."""
    return case is not None and (is_ended(case) or (case.is_running and case.end_at <= renews_at))


def _trial(row: Subscription, url: str, *, with_mails: bool) -> Iterable[CalendarEntry]:
    """Every step that is planned, from the rows that the sweep takes; the end itself is said elsewhere."""
    for step in row.trial_steps.all():
        if step.done_at is not None or step.kind == StepKind.END:
            continue
        if step.kind == StepKind.FREEZE:
            yield _access_ends(row, step, url)
        elif with_mails:
            kind = kinds()[MAIL_OF[StepKind(step.kind)]]
            yield CalendarEntry(
                at=step.due_at,
                text=capfirst(step.get_kind_display()),
                why=kind.why,
                is_mail=True,
                kind=kind.code,
                category=kind.category,
                rules=rule_names(step.rule_ids),
            )


def _access_ends(row: Subscription, step: TrialStep, url: str) -> CalendarEntry:
    """After a trial: off, or down to the free plan, which leaves no end of access on the account."""
    if row.account.access_ends_at is None:
        text, why = (
            _("The free plan begins"),
            _("It is what the terms say after a trial, where you choose no plan."),
        )
    else:
        text = _("Access is turned off, unless you choose a plan before")
        why = _("It is what the terms say after a trial. Nothing of yours is lost, and nothing is charged.")
    return CalendarEntry(at=step.due_at, text=text, why=why, url=url)


def _prices(row: Subscription, url: str) -> Iterable[CalendarEntry]:
    """Another price from a renewal after the next one; the next one is said where it is charged."""
    planned = row.planned_price
    if planned is not None and row.cancel_at is None and planned.takes_at != row.renews_at:
        yield _new_price(row, planned, url)


def _new_price(row: Subscription, planned: PlannedPrice, url: str) -> CalendarEntry:
    amounts = {
        "plan": row.plan.name,
        "new": format_money(planned.amount_after, planned.currency),
        "old": format_money(planned.amount_before, planned.currency),
    }
    return CalendarEntry(
        at=planned.takes_at,
        text=_("%(plan)s renews: %(new)s instead of %(old)s") % amounts,
        why=_("The price rises for this plan. You are told by mail before, and can stop until then.")
        if planned.is_rise
        else _("The price falls for this plan. You need do nothing."),
        url=reverse("leave", args=[row.account.public_id]) if url and planned.is_rise else url,
    )


def _ends(row: Subscription, url: str) -> Iterable[CalendarEntry]:
    if row.cancel_at is not None:
        access = row.account.access_ends_at
        yield CalendarEntry(
            at=min(row.cancel_at, access or row.cancel_at),
            text=_("%(plan)s ends") % {"plan": row.plan.name},
            why=_("It does not renew; nothing more is charged."),
            url=url,
        )
    elif row.is_local and row.trial_end is not None:
        yield CalendarEntry(
            at=row.trial_end,
            text=_("Your trial of %(plan)s ends") % {"plan": row.plan.name},
            why=_("Nothing is charged, because we have no card of yours."),
            url=url,
        )


def _pauses(row: Subscription, url: str) -> Iterable[CalendarEntry]:
    for pause in planned_pauses(row) if row.cancel_at is None else []:
        yield CalendarEntry(
            at=pause.starts_at,
            text=_("Your pause begins: no charge and no access"),
            why=_("You agreed on it."),
            url=url,
        )
        yield CalendarEntry(
            at=pause.resumes_at,
            text=_("Your pause ends and %(plan)s goes on") % {"plan": row.plan.name},
            why=_("You chose this date when you paused."),
            url=url,
        )


def _pause_at(row: Subscription, when: dt.datetime) -> Pause | None:
    """The agreed pause in which a charge would fall: then there is none."""
    return next((pause for pause in planned_pauses(row) if pause.starts_at <= when < pause.resumes_at), None)


def planned_pauses(row: Subscription) -> list[Pause]:
    """The pause that was agreed on and is not over; with `pauses` prefetched no query."""
    return [pause for pause in row.pauses.all() if pause.status == Pause.Status.PLANNED]
