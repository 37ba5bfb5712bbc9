"""What beat and the doorbell start."""

from celery import shared_task

from accounts import clock
from accounts.notices import send_due_notices


@shared_task(name="accounts.send_notices")
def send_notices() -> int:
    """Every minute, and whenever something new is owed: send what is due (M1, M2)."""
    return send_due_notices(at=clock.now())
