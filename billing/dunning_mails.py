"""Which mails about an unpaid invoice are owed, for which mornings, and when they die.

What they say is `billing.dunning_notices`.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from accounts.models import Notice
from accounts.notices import owe
from accounts.recipients import payers
from billing import periods
from billing.dunning_rules import BLOCK, END, Step, day_of
from billing.models import DunningCase

#: Mails about a case that are owed ahead of a date, and die with it.
AHEAD = ("block_soon", "dunning_end_soon")
#: All mails that chase: nothing of them leaves after the payment or the declaration.
CHASING = (*AHEAD, "payment_failed", "access_blocked", "dunning_moved", "dunning_ended")


def owe_failure(case: DunningCase, *, at: dt.datetime, decline: str, left_out: str = "") -> None:
    """Tell of a failure, or on the day of an attempt that was left out, why: with the dates as they are."""
    period = f"{case.invoice.provider_id}:{case.failures}"
    if left_out:
        period = f"{case.invoice.provider_id}:{periods.local_date(at, case.account.time_zone)}"
    owe_mail(case, "payment_failed", period=period, at=at, facts={"decline": decline, "left_out": left_out})


def owe_mail(case: DunningCase, kind: str, *, period: str, at: dt.datetime, **more: Any) -> None:
    """Owe whoever pays one mail about this case, once for each `period`."""
    owe(case.account, kind, to=payers(case.account), period=period, subject=case.about, at=at, **more)


def owe_warnings(case: DunningCase, steps: Iterable[Step], *, at: dt.datetime) -> None:
    """Owe the definite warnings for the mornings of the days on which something is taken away."""
    zone, steps = case.account.time_zone, list(steps)
    block = day_of(steps, BLOCK) or (day_of(steps, END) if case.block_at == case.end_at else None)
    end = day_of(steps, END) if case.block_at < case.end_at else None
    for kind, day in (("block_soon", block), ("dunning_end_soon", end)):
        if day is None:
            continue
        morning, period = Step("mail", day).at(zone), f"{case.invoice.provider_id}:{day}"
        # The day was told before, moved away or stopped, and holds again.
        again = Notice.objects.filter(account=case.account_id, kind=kind, period=period)
        again.filter(status=Notice.Status.DROPPED, sent_at=None, window_to__gt=at).update(
            status=Notice.Status.OWED, reason=""
        )
        owe_mail(
            case,
            kind,
            period=period,
            at=at,
            window_from=max(at, morning),
            window_to=max(at, periods.end_of_date(day, zone)),
        )


def stop_mails(case: DunningCase, reason: str) -> None:
    """Nothing about this invoice that chases leaves any more."""
    drop_mails(case, CHASING, reason)


def drop_mails(case: DunningCase, kinds: Iterable[str], reason: str) -> None:
    """Mails of these kinds that are still owed do not leave any more."""
    rows = Notice.objects.filter(account=case.account_id, kind__in=list(kinds), subject=case.about)
    rows.filter(status=Notice.Status.OWED).update(status=Notice.Status.DROPPED, reason=reason)
