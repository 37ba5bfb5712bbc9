"""What the mail service tells us afterwards, through anymail's webhook."""

from typing import Any

from anymail.signals import AnymailTrackingEvent, EventType, RejectReason, tracking
from django.dispatch import receiver

from accounts import clock
from accounts.models import Notice
from accounts.notices import record_outcome

#: Reasons for which a mail service refuses an address for good; others (a blocked sender, a virus
#: filter) are about us or about one message, and say nothing of the address.
DEAD = {RejectReason.BOUNCED, RejectReason.INVALID}


@receiver(tracking, dispatch_uid="accounts.mail_reports")
def note_report(sender: Any, event: AnymailTrackingEvent, **_: Any) -> None:
    """A bounce or a complaint ends all mail to the address; a delivery is noted with its notice."""
    outcome = _outcome(event)
    if outcome:
        record_outcome(
            event.message_id or "",
            event.recipient or "",
            outcome,
            at=clock.now(),
            suppress=outcome != Notice.Outcome.DELIVERED,
        )


def _outcome(event: AnymailTrackingEvent) -> str:
    is_refusal = event.event_type == EventType.REJECTED
    if event.event_type == EventType.DELIVERED:
        return Notice.Outcome.DELIVERED
    if event.event_type == EventType.COMPLAINED or (is_refusal and event.reject_reason == RejectReason.SPAM):
        return Notice.Outcome.COMPLAINED
    if event.event_type == EventType.BOUNCED or (is_refusal and event.reject_reason in DEAD):
        return Notice.Outcome.BOUNCED
    return ""
