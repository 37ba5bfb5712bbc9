"""The promise of a date: notices before it, moved, called off, never once deleting has begun (D1)."""

import datetime as dt

import pytest
from django.db import IntegrityError, transaction

from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.models import Account, Event, Member, Notice
from accounts.notices import send_due_notices
from accounts.templatetags.terms_format import moment
from accounts.terms import sentences
from accounts.tests.worlds import NOON, make_account, make_member
from offboarding import retention, ways_out
from offboarding.models import Closure

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)


def make_closed_account(**columns) -> Account:
    return make_account(state=Account.State.CLOSED, closed_at=NOON, **columns)


def make_closure(account: Account | None = None, *, days: int = 180, at=NOON, **dates) -> Closure:
    asked = {
        "cancellation": None,
        "data_until": at + min(days, 30) * DAY,
        "purge_on": at + days * DAY,
        "waived": False,
        "stop_until": None,
    }
    return retention.close_data(account or make_closed_account(), **(asked | dates), by=SYSTEM, at=at)


def owed() -> list[int]:
    rows = Notice.objects.filter(kind="purge_soon", status="owed").order_by("window_from")
    return [notice.facts["days"] for notice in rows]


def test_a_closing_owes_three_notices_and_is_in_the_history():
    closure = make_closure()

    assert owed() == [30, 7, 1]
    assert Event.objects.get(kind="data.closing").facts["purge_on"] == closure.purge_on.isoformat()


def test_data_can_be_fetched_until_its_last_day_as_the_terms_and_the_door_say():
    account = make_closed_account()
    closure = make_closure(account)
    said = {s.rule: s.text for section in sentences(account.terms, "en") for s in section.sentences}
    way = ways_out.data(account, make_member(account), NOON)

    assert retention.can_fetch(account, at=closure.purge_on - dt.timedelta(seconds=1))
    assert "kept for 180 days and then deleted. Until then you can fetch it" in said["retention_days"]
    assert "ask for deletion, it is deleted after 30 days" in said["retrieval_days"]
    assert f"deleted on {moment(closure.purge_on)}, and can be fetched until then" in way.text


def test_notices_of_days_that_have_passed_are_not_owed():
    make_closure(days=7, waived=True)

    assert owed() == [1]


def test_notices_windows_do_not_overlap_so_an_outage_ends_in_one_mail():
    closure = make_closure()
    send_due_notices(at=closure.purge_on - DAY / 2)

    assert [n.facts["days"] for n in Notice.objects.filter(status="sent")] == [1]
    assert Notice.objects.filter(status="failed", reason="window_closed").count() == 2


def test_billing_members_are_told_too_and_others_are_not():
    account = make_closed_account()
    payer = make_member(account, Member.Role.BILLING)
    make_member(account)
    make_closure(account)

    told = set(Notice.objects.values_list("user", flat=True))
    assert told == {payer.user_id, account.members.owners().get().user_id}


def test_closing_again_changes_nothing():
    account = make_closed_account()
    first, second = make_closure(account), make_closure(account)

    assert first == second
    assert Event.objects.filter(kind="data.closing").count() == 1


def test_newer_dates_replace_the_promise_and_its_notices():
    account = make_closed_account()
    make_closure(account)
    closure = make_closure(account, days=31)

    assert Closure.objects.get().purge_on == closure.purge_on == NOON + 31 * DAY
    assert owed() == [30, 7, 1]
    assert Notice.objects.filter(status="dropped", reason="moved").count() == 3


def test_calling_off_drops_what_was_owed():
    closure = make_closure()
    retention.call_off_closure(closure, by=SYSTEM, at=NOON + DAY, reason="came_back")

    assert owed() == []
    assert not Closure.objects.open().exists()
    assert Event.objects.get(kind="data.closing_called_off").facts == {"reason": "came_back"}


@pytest.mark.parametrize("verb", [retention.call_off_closure, retention.postpone_purge])
def test_once_deleting_has_begun_nothing_brings_it_back(verb):
    closure = make_closure()
    Closure.objects.update(status=Closure.Status.PURGING)

    with pytest.raises(WrongState):
        verb(closure, by=SYSTEM, at=NOON)


def test_a_postponed_purge_waits_as_long_as_after_any_other_ending():
    closure = make_closure(days=3, waived=True)
    retention.postpone_purge(closure, by=SYSTEM, at=NOON + DAY)

    assert closure.purge_on > NOON + DAY + 180 * DAY
    assert closure.data_until > NOON + DAY + 30 * DAY
    assert owed() == [30, 7, 1]


def test_due_means_on_the_moment_or_later():
    closure = make_closure()
    before = Closure.objects.due(closure.purge_on - dt.timedelta(microseconds=1))

    assert not before.exists()
    assert Closure.objects.due(closure.purge_on).get() == closure
    assert Closure.objects.due(closure.purge_on + 3 * DAY).get() == closure


def test_the_database_refuses_a_purge_inside_the_retrieval_window_unless_waived():
    with pytest.raises(IntegrityError), transaction.atomic():
        make_closure(data_until=NOON + 30 * DAY, purge_on=NOON + 29 * DAY)

    make_closure(data_until=NOON + 30 * DAY, purge_on=NOON + 29 * DAY, waived=True)


def test_the_database_refuses_two_open_promises():
    closure = make_closure()

    with pytest.raises(IntegrityError), transaction.atomic():
        Closure.objects.create(
            account=closure.account, data_until=NOON, purge_on=NOON, created_at=NOON, cancellation=None
        )
