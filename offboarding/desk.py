"""What support's page of an account shows of leaving."""

import datetime as dt
import re
from typing import Any

from django.db.models import FilteredRelation, Q
from django.utils.translation import gettext_lazy as _

from accounts import desk, history
from accounts.models import Account
from offboarding import wording
from offboarding.callers import Identified
from offboarding.data_words import end_of_data
from offboarding.leaving_panel import leaving_entries
from offboarding.models import Cancellation, Closure
from offboarding.standing import is_last_step_open
from offboarding.withdrawals import can_stop_deletion, can_withdraw

SHOWN = 5
OPEN_CLOSURE = Q(closures__status__in=Closure.OPEN)
_RECEIPT = re.compile(r"[2-9A-Z]{4}-?[2-9A-Z]{4}-?[2-9A-Z]{4}")


def by_receipt(term: str) -> Q | None:
    """An account by the number of a leaving receipt, as it is read out."""
    number = term.upper().replace(" ", "")
    if not _RECEIPT.fullmatch(number):
        return None
    letters = number.replace("-", "")
    return Q(cancellations__receipt_number=f"{letters[:4]}-{letters[4:8]}-{letters[8:]}")


def leaving(account: Account, at: dt.datetime) -> dict[str, Any]:
    """Each cancellation with its answers, and what can be done for a caller. One query."""
    rows = (
        Cancellation.objects.filter(account=account)
        .select_related("quote__terms", "survey__reason", "reservation", "declared_by", "subscription")
        .order_by("-declared_at", "-pk")
    )
    found = list(rows[:SHOWN])
    closure: Closure | None = getattr(account, "open_closure", None)
    return {
        "cancellations": [_about(row, at) for row in found],
        "can_leave": account.state != Account.State.ERASED
        and not any(row.is_open and row.confirmed_at for row in found),
        "is_left": account.state == Account.State.CLOSED,
        "closure": closure,
        "coming": [entry for row in found for entry in leaving_entries(row, at=at)]
        + (end_of_data(closure) if closure else []),
        "can_stop_deletion": closure is not None and can_stop_deletion(closure, at=at),
    }


def _about(row: Cancellation, at: dt.datetime) -> dict[str, Any]:
    return {
        "row": row,
        "title": wording.title_of(row.quote),
        "survey": getattr(row, "survey", None),
        "reservation": getattr(row, "reservation", None),
        "identified": Identified(row.caller_identified).label
        if row.caller_identified in Identified.values
        else "",
        "can_withdraw": can_withdraw(row, at=at),
        "last_step": is_last_step_open(row, at=at),
    }


def register_desk() -> None:
    """Called from `AppConfig.ready`."""
    desk.register(
        desk.Section(
            code="offboarding.leaving",
            order=20,
            title=_("Leaving"),
            template="admin/desk/leaving.html",
            context=leaving,
        ),
        load_with=["open_closure"],
        read_with={"open_closure": lambda at: FilteredRelation("closures", condition=OPEN_CLOSURE)},
    )
    desk.register_finder("offboarding", by_receipt)
    history.register(
        "caller.identified",
        _("Support spoke with %(person)s, identified by %(how)s."),
        how=history.choice("how", Identified),
    )
