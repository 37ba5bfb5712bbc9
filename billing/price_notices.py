"""The mails about another price: what each says, and whether it is still so when it is about to leave."""

import datetime as dt
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.kinds import alert
from accounts.models import Notice
from accounts.notices import Category, NoticeKind, register
from accounts.problems import page_url
from billing.models import Customer, PlannedPrice
from billing.price_following import is_as_planned, look_again
from billing.price_rules import FALL, RISE, WITHDRAWN
from billing.samples import newest

MONTHS = 12


def _planned(notice: Notice) -> PlannedPrice | None:
    """The planned price that the notice is about: its period begins with its id."""
    rows = PlannedPrice.objects.select_related("subscription__plan", "change__from_plan", "change__to_plan")
    return rows.filter(account=notice.account, public_id=notice.period.partition(":")[0]).first()


def _still_comes(notice: Notice, at: dt.datetime) -> bool:
    """It is planned for that renewal; nobody withdrew it, left, or changed the plan."""
    row = _planned(notice)
    return (
        row is not None
        and row.state in PlannedPrice.OPEN
        and row.change.withdrawn_at is None
        and row.takes_at > at
        and is_as_planned(row, row.subscription)
    )


def _is_withdrawn(notice: Notice, at: dt.datetime) -> bool:
    """Withdrawn, and they are still there to be glad of it."""
    row = _planned(notice)
    return row is not None and row.change.withdrawn_at is not None and row.subscription.is_live


def _words(notice: Notice, at: dt.datetime) -> dict[str, Any]:
    row = _planned(notice)
    if row is None:
        raise LookupError(notice.period)
    customer = Customer.objects.filter(account=notice.account, deleted_at=None).first()
    return price_words(row) | {
        "is_again": notice.period.endswith(":again"),
        "is_new_day": _named_another_day(notice, row),
        "stop_path": reverse("leave", kwargs={"account_id": notice.account.public_id}),
        "plan_url": page_url("plans", notice.account.public_id),
        "card_brand": customer.card_brand.capitalize() if customer else "",
        "card_last4": customer.card_last4 if customer else "",
    }


def price_words(row: PlannedPrice) -> dict[str, Any]:
    """Amounts, days and rhythm of a planned price, for mails and their preview."""
    return {
        "plan": row.change.from_plan,
        "is_yearly": row.change.from_plan.interval == row.change.from_plan.Interval.YEAR,
        "before": row.amount_before,
        "after": row.amount_after,
        "currency": row.currency,
        "a_year": row.amount_after * MONTHS,
        "more_a_year": (row.amount_after - row.amount_before) * MONTHS,
        "takes_at": row.takes_at,
    }


def _named_another_day(notice: Notice, row: PlannedPrice) -> bool:
    """Whether the last mail about this rise to the same reader was about another renewal."""
    earlier = Notice.objects.filter(
        account=notice.account, kind=notice.kind, subject=notice.subject, recipient=notice.recipient
    )
    last = earlier.filter(status=Notice.Status.SENT).order_by("-sent_at", "-pk").first()
    return last is not None and last.period.partition(":")[0] != row.public_id


def _missed(notice: Notice, at: dt.datetime) -> None:
    """Operators are alarmed, and the rise waits for a renewal of which they can be told."""
    alert(notice, at)
    look_again(notice, at)


KINDS = (
    NoticeKind(
        code=RISE,
        title=_("The price of your plan rises"),
        why=_("Your plan costs more from a renewal on; you are told in good time, with how to stop before."),
        context=_words,
        still_true=_still_comes,
        category=Category.LEGAL,
        on_missed=_missed,
        sample=newest("price"),
    ),
    NoticeKind(
        code=FALL,
        title=_("Your plan gets cheaper"),
        why=_("Your plan costs less from a renewal on."),
        context=_words,
        still_true=_still_comes,
        sample=newest("price"),
    ),
    NoticeKind(
        code=WITHDRAWN,
        title=_("The price of your plan stays as it is"),
        why=_("We had told you of a higher price that does not come."),
        context=_words,
        still_true=_is_withdrawn,
        sample=newest("price"),
    ),
)


def register_price_notices() -> None:
    """Make the kinds known; called from `AppConfig.ready`."""
    for kind in KINDS:
        register(kind)
