"""Many workers at once: each reader still gets one reminder a day, because the database says so."""

import datetime as dt
import threading

import pytest
from django.core import mail as outbox
from django.db import connection, connections

from accounts import kinds, sending
from accounts.arbiter import Category
from accounts.kinds import NoticeKind
from accounts.models import Notice
from accounts.notices import owe, send_due_notices
from accounts.tests.worlds import NOON, make_account, owner_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        connection.vendor != "postgresql", reason="races need PostgreSQL: set DATABASE_URL to one"
    ),
]
WORKERS = 8


@pytest.fixture
def reminders(monkeypatch):
    """One reader is owed as many reminders as there are workers; the mail is the "removed" template."""
    kind = NoticeKind(
        code="removed", title="", why="", context=lambda notice, at: {}, category=Category.REMINDER
    )
    monkeypatch.setitem(kinds._KINDS, "removed", kind)
    account = make_account()
    for number in range(WORKERS):
        owe(account, "removed", to=[owner_of(account)], period=str(number), subject=str(number), at=NOON)
    # Every worker has read its batch and knows of no reminder of today before the first one sends.
    barrier, claim = threading.Barrier(WORKERS), sending._claim
    waited = threading.local()

    def claim_together(*args, **columns):
        is_worker = threading.current_thread() is not threading.main_thread()
        if is_worker and not getattr(waited, "done", False):
            waited.done = True
            barrier.wait(30)
        return claim(*args, **columns)

    monkeypatch.setattr(sending, "_claim", claim_together)


def send_at_once():
    def work():
        try:
            send_due_notices(at=NOON)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


def test_many_workers_send_one_reminder_a_day(reminders):
    send_at_once()

    assert len(outbox.outbox) == 1
    assert Notice.objects.filter(status="sent").count() == 1
    assert send_due_notices(at=NOON + dt.timedelta(hours=20)) == 1


def test_without_the_day_they_would_send_several(reminders, monkeypatch):
    monkeypatch.setattr(sending, "_day_for", lambda notice, at: None)
    send_at_once()

    assert len(outbox.outbox) > 1
