"""What beat and the doorbell start."""

import datetime as dt
import logging

from celery import shared_task

from accounts import clock
from accounts.audit import run_audit
from accounts.jobs import run_job
from accounts.notices import send_due_notices

logger = logging.getLogger(__name__)


@shared_task(name="accounts.send_notices")
def send_notices() -> int:
    """Every minute, and whenever something new is owed: send what is due (M1, M2)."""
    return send_due_notices(at=clock.now())


@shared_task(name="accounts.audit")
def audit() -> int:
    """Ask hourly whether everything that must hold does; what does not is an alarm."""
    return run_job("accounts.audit", dt.timedelta(hours=1), _alarm_about_violations)


def _alarm_about_violations(*, at: dt.datetime) -> int:
    broken = [finding for finding in run_audit(at=at) if finding.count]
    for finding in broken:
        logger.critical(
            "invariant %s is broken",
            finding.invariant.code,
            extra={"count": finding.count, "rows": finding.rows[:5]},
        )
    return len(broken)
