"""Two owners leave in the same instant: one of them stays owner. The control shows that the race is real."""

import contextlib
import threading

import pytest
from django.db import connection

from accounts import people
from accounts.errors import NotAllowed
from accounts.tests.worlds import NOON, make_account, make_member

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        "connection.vendor == 'sqlite'",
        reason="SQLite has one writer: there is no such race; run on PostgreSQL",
    ),
]


def leave_at_once(seats, monkeypatch):
    """Both ask whether they are the last owner before either goes, if nothing keeps them apart."""
    meeting, asked = threading.Barrier(2, timeout=2), people.is_last_owner

    def ask_and_wait(member):
        answer = asked(member)
        # Broken means that the other one is kept waiting by the lock, as it should be.
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait()
        return answer

    monkeypatch.setattr(people, "is_last_owner", ask_and_wait)
    refused = []

    def leave(seat):
        try:
            people.leave_team(seat, at=NOON)
        except NotAllowed:
            refused.append(seat)
        finally:
            connection.close()

    threads = [threading.Thread(target=leave, args=[seat]) for seat in seats]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


@pytest.mark.parametrize(("is_guarded", "owners_left"), [(True, 1), (False, 0)])
def test_an_account_never_loses_its_last_owner(is_guarded, owners_left, monkeypatch):
    account = make_account()
    make_member(account, "owner")
    if not is_guarded:
        monkeypatch.setattr(people, "_lock", lambda account: None)
    refused = leave_at_once(list(account.members.owners()), monkeypatch)

    assert account.members.owners().count() == owners_left
    assert len(refused) == owners_left
