"""What beat and the doorbell start."""

import datetime as dt
import logging

from django.utils.translation import gettext_lazy as _

from accounts import sending
from accounts.audit import run_audit
from accounts.jobs import HOUR, MINUTE, Outcome, beat_job, forget_old_runs
from accounts.models import JobRun, Notice, WebhookDelivery
from accounts.outgoing import send_due_webhooks
from accounts.webhooks_out import forget_taken, taken_long_ago

logger = logging.getLogger(__name__)

#: After so long the next beat goes on with the mails.
SENDING_SECONDS = 45


@beat_job(
    "accounts.send_notices",
    title=_("Send the mails that are due"),
    every=MINUTE,
    due=lambda at: Notice.objects.due(at),
    is_rung=True,
)
def send_notices(*, at: dt.datetime) -> int:
    """Every minute, and whenever something new is owed: send what is due, for most of a minute (M1, M2)."""
    return sending.send_for(SENDING_SECONDS, at=at)


@beat_job(
    "accounts.send_webhooks",
    title=_("Tell webhooks of changes of access"),
    every=MINUTE,
    due=lambda at: WebhookDelivery.objects.due(at),
    is_rung=True,
)
def send_webhooks(*, at: dt.datetime) -> int:
    """Every minute, and whenever access changed: tell whoever listens (I1)."""
    return send_due_webhooks(at=at)


@beat_job(
    "accounts.forget_webhooks",
    title=_("Forget messages that webhooks took long ago"),
    every=HOUR,
    due=lambda at: taken_long_ago(at),
)
def forget_webhooks(*, at: dt.datetime) -> int:
    """Keep the outbox of webhooks from growing without end (hourly)."""
    return forget_taken(at=at)


@beat_job("accounts.audit", title=_("Ask whether everything that must hold does"), every=HOUR)
def audit(*, at: dt.datetime) -> Outcome:
    """Ask hourly whether everything that must hold does; what does not is an alarm."""
    findings = run_audit(at=at)
    broken = [finding for finding in findings if finding.count]
    for finding in broken:
        logger.critical(
            "invariant %s is broken",
            finding.invariant.code,
            extra={"count": finding.count, "rows": finding.rows[:5]},
        )
    skipped = {finding.invariant.code: finding.count for finding in broken}
    return Outcome(due=len(findings), done=len(findings) - len(broken), skipped=skipped)


@beat_job(
    "accounts.forget_old_runs",
    title=_("Forget old runs of jobs"),
    every=HOUR,
    due=lambda at: JobRun.objects.to_forget(at),
)
def forget_runs(*, at: dt.datetime) -> int:
    """Keep the records of jobs from growing without end (hourly)."""
    return forget_old_runs(at=at)
