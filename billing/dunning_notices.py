"""The mails about an unpaid invoice, each more definite than the one before; the last says thank you."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.kinds import NoticeKind
from accounts.links import make_link
from accounts.models import Link, Notice
from accounts.notices import Category
from billing import declines
from billing.card_expiry import AHEAD, about_renewal
from billing.dunning_choice import can_choose_day, days_to_choose
from billing.dunning_coming import is_tried_again, steps_ahead, waits_for_owner
from billing.dunning_late import days_come_back_until
from billing.dunning_rules import ATTEMPT
from billing.models import Customer, DunningCase, Invoice, Payment
from billing.periods import local_date
from billing.samples import newest

Status = DunningCase.Status
#: A pay link outlives the last date of its case by so much.
LINK_LIFE = dt.timedelta(days=60)


def _case(notice: Notice) -> DunningCase | None:
    rows = DunningCase.objects.select_related("invoice__subscription__plan", "terms", "account")
    return rows.filter(account=notice.account, invoice__provider_id=notice.subject.partition(":")[2]).first()


def _is(*statuses: str) -> Any:
    """Whether the case is so, and the invoice as it says: nothing chases once it is paid."""

    def ask(notice: Notice, at: dt.datetime) -> bool:
        case = _case(notice)
        if case is None or case.status not in statuses:
            return False
        return case.status == Status.PAID or case.invoice.status == Invoice.Status.OPEN

    return ask


def _is_still_unpaid(notice: Notice, at: dt.datetime) -> bool:
    """Unpaid, and nobody has said that they leave: a declaration stops the mails that chase (C6)."""
    case = _case(notice)
    subscription = case.invoice.subscription if case else None
    stays = subscription is None or (subscription.is_live and subscription.cancel_at is None)
    return stays and bool(_is(Status.OPEN)(notice, at))


def _is_before_block(notice: Notice, at: dt.datetime) -> bool:
    case = _case(notice)
    return case is not None and _is(Status.OPEN)(notice, at) and at <= case.block_at


def _is_before_end(notice: Notice, at: dt.datetime) -> bool:
    case = _case(notice)
    return case is not None and _is(Status.OPEN)(notice, at) and at <= case.end_at


def _is_blocked(notice: Notice, at: dt.datetime) -> bool:
    case = _case(notice)
    return case is not None and _is(Status.OPEN, Status.ENDED)(notice, at) and case.blocked_at is not None


def pay_link(case: DunningCase, *, at: dt.datetime) -> str:
    """A new address on which anyone who has it can pay this invoice, and see nothing else."""
    token = make_link(
        case.account, Link.Purpose.PAY, case.invoice.provider_id, at=at, expires_at=case.end_at + LINK_LIFE
    )
    return f"{settings.SITE_URL}{reverse('pay_link', args=[token])}"


def words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    """What every mail about a case needs: what is owed, until when, what is next, and where to pay."""
    case = _case(notice)
    if case is None:
        raise LookupError(notice.subject)
    return {**about_case(case, at=at), "pay_url": pay_link(case, at=at), "notice": notice}


def about_case(case: DunningCase, *, at: dt.datetime) -> dict[str, Any]:
    """The same facts for a page."""
    customer = Customer.objects.filter(account=case.account, deleted_at=None).first()
    zone, card_id = case.account.time_zone, customer.card_id if customer else ""
    ahead = steps_ahead(case, zone, card_id=card_id, at=at)
    attempt = next((step for step in ahead if step.kind == ATTEMPT), None)
    return {
        "case": case,
        "invoice": case.invoice,
        "plan": case.invoice.subscription.plan if case.invoice.subscription else None,
        "decline": declines.explain_decline(case.decline),
        "wants_customer": waits_for_owner(case, card_id),
        "is_about_card": card_id == case.card_id,
        "block_at": case.block_at,
        "end_at": case.end_at,
        "ahead": ahead,
        "is_tried": is_tried_again(case, card_id),
        "is_blocked": case.blocked_at is not None or case.block_at <= at,
        "days_left": max(0, (local_date(case.block_at, zone) - local_date(at, zone)).days),
        "next_try": attempt.at if attempt else None,
        "is_chosen": case.chosen_on is not None,
        "end_action": case.end_action or case.terms.dunning_end,
        "choose_path": _choose_path(case) if can_choose_day(case) and days_to_choose(case, at=at) else "",
        "leave_path": reverse("leave", args=[case.account.public_id]),
        "card_brand": customer.card_brand.capitalize() if customer else "",
        "card_last4": customer.card_last4 if customer else "",
    }


def _choose_path(case: DunningCase) -> str:
    return reverse("choose_day", args=[case.account.public_id, case.invoice.provider_id])


def blocked(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    """Access is off, and what a payment gives back."""
    found = words(notice, at)
    return found | {"days_back_until": days_come_back_until(found["case"], at=at)}


def failure(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    """A failure, with the bank's reason as it was then; or why nothing was tried today."""
    told = str(notice.facts.get("decline", ""))
    left_out = str(notice.facts.get("left_out", ""))
    return words(notice, at) | {
        "decline": declines.explain_decline(left_out if left_out == "no_card" else told),
        "left_out": left_out,
        "is_first": not left_out and notice.period.rpartition(":")[2] in ("1", notice.period),
    }


def recovered(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    """Paid: the receipt and the thanks in one."""
    case = _case(notice)
    if case is None:
        raise LookupError(notice.subject)
    invoice = case.invoice
    payment = Payment.objects.filter(invoice=invoice).order_by("-paid_at").first()
    subscription = invoice.subscription
    renews_at, told = subscription.renews_at if subscription else None, notice.facts.get("renews_at")
    if renews_at and told:  # the provider may not have been told yet
        renews_at = max(renews_at, dt.datetime.fromisoformat(told))
    number = invoice.number
    path = reverse("invoice", args=[case.account.public_id, number]) if number else ""
    return {
        "case": case,
        "invoice": invoice,
        "amount": payment.amount if payment else invoice.amount_due,
        "plan": subscription.plan if subscription else None,
        "renews_at": renews_at,
        "days_back": int(notice.facts.get("days", 0)),
        "was_blocked": case.blocked_at is not None,
        "path": path or reverse("invoices", args=[case.account.public_id]),
        "card_brand": payment.method_brand.capitalize() if payment else "",
        "card_last4": payment.method_last4 if payment else "",
    }


def expiring(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    """The card ends before the next charge."""
    customer = Customer.objects.select_related("account").get(account=notice.account)
    subscription = customer.account.subscriptions.live().select_related("plan").first()
    return {
        "plan": subscription.plan if subscription else None,
        "renews_at": subscription.renews_at if subscription else None,
        "expires": customer.card_valid_until,
        "is_last": notice.period.endswith(f":{min(AHEAD)}"),
        "path": reverse("card", args=[notice.account.public_id]),
        "card_brand": customer.card_brand.capitalize(),
        "card_last4": customer.card_last4,
    }


def _still_expires(notice: Notice, at: dt.datetime) -> bool:
    """The same card with the same end is still the one that this very charge, still to come, would meet."""
    customer = Customer.objects.select_related("account").filter(account=notice.account).first()
    if customer is None or notice.subject != f"card:{customer.card_id}":
        return False
    subscription = customer.account.subscriptions.live().first()
    renews = subscription.renews_at if subscription else None
    if subscription is None or renews is None or renews <= at:
        return False
    is_same = notice.period.startswith(about_renewal(subscription.public_id, renews))
    return is_same and customer.card_expires < f"{renews:%Y-%m}"


_case_of = newest("unpaid", subject="invoice:")

KINDS = (
    NoticeKind(
        code="payment_failed",
        title=_("Your payment did not go through"),
        why=_("A charge was refused; the mail says why and what helps."),
        context=failure,
        still_true=_is_still_unpaid,
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="dunning_moved",
        title=_("New dates for your unpaid invoice"),
        why=_("You chose a day, or we agreed to wait: the dates are others now."),
        context=words,
        still_true=_is(Status.OPEN),
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="block_soon",
        title=_("Today is the last day of access unless you pay"),
        why=_("An invoice is unpaid; the day was in the first mail about it."),
        context=words,
        still_true=_is_before_block,
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="access_blocked",
        title=_("Access is off until you pay"),
        why=_("The day has passed that every mail about the unpaid invoice said."),
        context=blocked,
        still_true=_is_blocked,
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="dunning_end_soon",
        title=_("The last reminder of an unpaid invoice"),
        why=_("It is still unpaid; the mail says what comes at the end of that day."),
        context=words,
        still_true=_is_before_end,
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="dunning_ended",
        title=_("We have stopped trying"),
        why=_("It is still unpaid at the end; the mail says how it stands now."),
        context=words,
        still_true=_is(Status.ENDED),
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="payment_recovered",
        title=_("Paid, and everything is on"),
        why=_("An invoice that was unpaid is paid."),
        context=recovered,
        still_true=_is(Status.PAID),
        topic="invoice",
        sample=_case_of,
    ),
    NoticeKind(
        code="card_expires",
        title=_("Your card expires before the next charge"),
        why=_("So that the next payment does not fail."),
        context=expiring,
        still_true=_still_expires,
        category=Category.REMINDER,
        sample=newest("card", subject="card:"),
    ),
)
