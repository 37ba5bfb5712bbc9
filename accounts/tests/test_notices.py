"""A notice is owed once and sent once, inside its window, while it is still true (M1, M2, M3)."""

import datetime as dt
import smtplib

import pytest
import requests
from anymail.exceptions import AnymailAPIError
from anymail.signals import AnymailTrackingEvent, tracking
from django.core import mail as outbox
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction

from accounts import mail, notices, sending
from accounts.models import Notice, Suppression
from accounts.notices import NoticeKind, drop_notices, owe, send_due_notices, suppress_address
from accounts.tests.worlds import NOON, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
def facts(monkeypatch):
    """A kind that a test can make untrue; its mail is the real "removed" template."""
    state = {"is_true": True, "asked": 0}

    def still_true(notice, at):
        state["asked"] += 1
        return state["is_true"]

    kind = NoticeKind(
        code="removed", title="A test", why="Because.", context=lambda n, at: {}, still_true=still_true
    )
    monkeypatch.setitem(notices._KINDS, "removed", kind)
    return state


class Service:
    """A mail service that says what a test tells it to; locmem's backend below it is the wire."""

    def __init__(self, monkeypatch):
        self.answers, self.taken = [], 0
        monkeypatch.setattr(EmailBackend, "send_messages", self.send)

    def send(self, messages):
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, BaseException) and not getattr(answer, "after_taking", False):
            raise answer
        self.taken += 1
        if answer:
            raise answer
        return 1


@pytest.fixture
def service(monkeypatch):
    return Service(monkeypatch)


def taken_then(error):
    """The message left, and then this happened instead of an answer."""
    error.after_taking = True
    return error


def owe_one(account=None, **columns):
    account = account or make_account()
    owe(account, "removed", to=[owner_of(account)], period="p", at=columns.pop("at", NOON), **columns)
    return Notice.objects.get(account=account)


def run(*moments):
    return [send_due_notices(at=moment) for moment in moments]


def reread(notice):
    notice.refresh_from_db()
    return notice.status, notice.reason


def test_it_is_owed_once_however_often_it_is_said(facts):
    account = make_account()
    for _ in range(3):
        owe_one(account)

    assert Notice.objects.count() == 1


def test_each_recipient_and_each_period_is_owed_on_its_own(facts):
    account = make_account()
    people = [owner_of(account), make_member(account).user]
    for period in ("january", "february"):
        owe(account, "removed", to=people, address="outsider@example.com", period=period, at=NOON)

    assert Notice.objects.count() == 6


def test_an_unknown_kind_cannot_be_owed():
    with pytest.raises(ValueError, match="No such kind"):
        owe(make_account(), "nonsense", period="p", at=NOON)


def test_it_is_sent_once_however_often_the_job_runs(facts):
    notice = owe_one()

    assert run(NOON, NOON, NOON + DAY) == [1, 0, 0]
    assert len(outbox.outbox) == 1
    assert reread(notice) == ("sent", "")


def test_it_is_due_from_the_first_moment_of_its_window_on(facts):
    owe_one(window_from=NOON + HOUR)

    assert run(NOON + HOUR - dt.timedelta(seconds=1), NOON + HOUR) == [0, 1]


def test_it_leaves_up_to_the_last_moment_of_its_window(facts):
    owe_one(window_to=NOON + HOUR)

    assert run(NOON + HOUR) == [1]


def test_a_window_that_closes_unsent_is_flagged_not_forgotten(facts, caplog):
    notice = owe_one(window_to=NOON + HOUR)

    assert run(NOON + HOUR + dt.timedelta(seconds=1)) == [0]
    assert reread(notice) == ("failed", "window_closed")
    assert "was not sent" in caplog.text


def test_what_is_no_longer_true_is_dropped_even_when_it_is_late(facts):
    notice = owe_one()
    facts["is_true"] = False

    assert run(NOON + 9 * DAY) == [0]
    assert reread(notice) == ("dropped", "no_longer_true")


def test_the_facts_are_asked_again_at_every_attempt(facts, service):
    owe_one()
    service.answers = [ConnectionRefusedError()]
    run(NOON)
    facts["is_true"] = False
    run(NOON + HOUR)

    assert facts["asked"] == 2
    assert service.taken == 0


def test_a_service_that_is_down_is_tried_again_later_each_time(facts, service):
    notice = owe_one(window_to=NOON + 9 * DAY)
    service.answers = [ConnectionRefusedError()] * 3

    assert run(NOON, NOON + MINUTE - dt.timedelta(seconds=1)) == [0, 0]
    assert reread(notice) == ("owed", "ConnectionRefusedError")
    assert run(NOON + MINUTE, NOON + 6 * MINUTE, NOON + 21 * MINUTE) == [0, 0, 1]
    assert reread(notice) == ("sent", "")


def test_it_is_given_up_visibly_in_the_end(facts, service):
    notice, at = owe_one(window_to=NOON + 9 * DAY), NOON
    service.answers = [ConnectionRefusedError()] * 99
    for _ in range(12):
        run(at)
        at += DAY / 2

    assert reread(notice) == ("failed", "ConnectionRefusedError")
    assert Notice.objects.get().attempts == 7


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError(),
        ConnectionResetError(),
        requests.ReadTimeout(),
        smtplib.SMTPServerDisconnected(),
        AnymailAPIError(status_code=502),
    ],
)
def test_after_a_lost_answer_it_is_sent_at_most_once_more(facts, service, error):
    notice = owe_one(window_to=NOON + 9 * DAY)
    service.answers = [taken_then(error), taken_then(error), None, None]
    run(NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + DAY)

    assert service.taken == 2
    assert reread(notice)[0] == "failed"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        requests.ConnectTimeout(),
        smtplib.SMTPRecipientsRefused({}),
        smtplib.SMTPDataError(451, b"later"),
        AnymailAPIError(status_code=429),
    ],
)
def test_a_plain_no_is_an_answer_and_costs_no_second_chance(facts, service, error):
    owe_one(window_to=NOON + 9 * DAY)
    service.answers = [error, error, error, None]
    at = [NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR, NOON + DAY]

    assert run(*at) == [0, 0, 0, 1, 0]


class Killed(BaseException):
    """The worker's process is gone: nothing after this line runs."""


def test_killed_after_sending_it_is_sent_at_most_once_more(facts, service):
    notice = owe_one(window_to=NOON + 9 * DAY)
    service.answers = [taken_then(Killed()), taken_then(Killed()), None]
    for at in (NOON, NOON + HOUR):
        with pytest.raises(Killed):
            run(at)

    assert run(NOON + 2 * HOUR, NOON + DAY) == [0, 0]
    assert service.taken == 2
    assert reread(notice) == ("failed", "unanswered")


def test_nobody_else_sends_while_a_lease_is_held(facts, service):
    owe_one()
    service.answers = [taken_then(Killed())]
    with pytest.raises(Killed):
        run(NOON)

    assert run(NOON + sending.LEASE - dt.timedelta(seconds=1)) == [0]
    assert run(NOON + sending.LEASE) == [1]


def test_a_late_answer_of_someone_who_lost_the_lease_changes_nothing(facts):
    notice = owe_one()
    first = sending._claim(notice.pk, at=NOON, lease_until=NOON + HOUR)
    second = sending._claim(notice.pk, at=NOON + HOUR, lease_until=NOON + 2 * HOUR)
    sending._record(first, status="failed", reason="late")

    assert first.lease_token != second.lease_token
    assert reread(notice) == ("sending", "")


def test_one_that_cannot_be_written_holds_the_others_back_no_more(facts, monkeypatch):
    broken, fine = owe_one(), owe_one()
    kind = notices.kinds()["removed"]

    def context(notice, at):
        if notice.pk == broken.pk:
            raise KeyError("amount")
        return {}

    monkeypatch.setitem(notices._KINDS, "removed", NoticeKind(**{**vars(kind), "context": context}))

    assert run(NOON) == [1]
    assert reread(broken) == ("owed", "KeyError")
    assert reread(fine) == ("sent", "")


def test_who_has_left_hears_nothing_more(facts):
    account = make_account()
    seat = make_member(account)
    owe(account, "removed", to=[seat.user], period="p", at=NOON)
    account.members.filter(pk=seat.pk).update(left_at=NOON)

    assert run(NOON) == [0]
    assert reread(Notice.objects.get()) == ("dropped", "left")


def test_an_erased_account_gets_no_mail(facts):
    notice = owe_one(make_account(state="erased", closed_at=NOON))

    assert run(NOON) == [0]
    assert reread(notice) == ("dropped", "erased")


def test_an_address_that_bounced_gets_no_mail_whatever_its_case(facts):
    account = make_account(owner=make_user("ana@example.com"))
    suppress_address("Ana@Example.com", "bounce", at=NOON)
    notice = owe_one(account)

    assert run(NOON) == [0]
    assert reread(notice) == ("dropped", "suppressed")


def report(event_type, **facts):
    event = AnymailTrackingEvent(event_type=event_type, **facts)
    tracking.send(sender=object(), event=event, esp_name="Test")


def sent_to_ana(facts):
    notice = owe_one(make_account(owner=make_user("ana@example.com")))
    Notice.objects.filter(pk=notice.pk).update(status="sent", sent_at=NOON, message_id="m-1")
    return notice


@pytest.mark.parametrize(
    ("event_type", "outcome", "reason"),
    [("bounced", "bounced", "bounce"), ("complained", "complained", "complaint")],
)
def test_a_report_of_the_mail_service_marks_the_notice_and_ends_mail(facts, event_type, outcome, reason):
    notice = sent_to_ana(facts)
    owe(notice.account, "removed", to=[notice.user], period="next", at=NOON)
    report(event_type, message_id="m-1", recipient="ana@example.com")
    notice.refresh_from_db()

    assert notice.outcome == outcome
    assert Suppression.objects.get().reason == reason
    assert reread(Notice.objects.get(period="next")) == ("dropped", "suppressed")


def test_a_delivery_after_a_complaint_does_not_hide_it(facts):
    notice = sent_to_ana(facts)
    report("complained", message_id="m-1", recipient="ana@example.com")
    report("delivered", message_id="m-1", recipient="ana@example.com")
    notice.refresh_from_db()

    assert notice.outcome == "complained"


@pytest.mark.parametrize(
    ("event_type", "why"), [("deferred", None), ("opened", None), ("rejected", "blocked"), ("failed", None)]
)
def test_a_passing_trouble_suppresses_nobody(facts, event_type, why):
    report(event_type, message_id="m-1", recipient="ana@example.com", reject_reason=why)

    assert not Suppression.objects.exists()


def test_dropping_leaves_what_was_sent_alone(facts):
    account = make_account()
    sent = owe_one(account)
    run(NOON)
    owe(account, "removed", to=[owner_of(account)], period="later", at=NOON, window_from=NOON + DAY)

    assert drop_notices(account, kinds=["removed"], reason="paid") == 1
    assert reread(sent) == ("sent", "")


def test_owing_is_undone_with_its_transaction(facts):
    account = make_account()
    with transaction.atomic():
        owe_one(account)
        transaction.set_rollback(True)

    assert not Notice.objects.exists()


def test_the_answer_of_an_unforeseen_error_counts_as_lost():
    assert mail.is_answer_lost(OSError("?"))
    assert mail.is_answer_lost(RuntimeError("?"))
    assert not mail.is_answer_lost(AnymailAPIError("unsupported"))
