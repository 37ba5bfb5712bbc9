"""The arbiter at work: what leaves, waits, is dropped or is missed, with real rows and real mails."""

import datetime as dt

import pytest
from django.core import mail as outbox
from django.core.mail.backends.locmem import EmailBackend
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from accounts import calendar, kinds, sending
from accounts.arbiter import Category
from accounts.errors import WrongState
from accounts.events import SYSTEM, By
from accounts.holds import end_hold, place_hold
from accounts.kinds import NoticeKind
from accounts.models import Event, Notice, Suppression
from accounts.notices import owe, send_due_notices, suppress_address
from accounts.suppression import lift_suppression
from accounts.tests.worlds import NOON, make_account, make_member, make_user, owner_of

pytestmark = pytest.mark.django_db

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
NIGHT = NOON + 10 * HOUR  # 23:00 in Madrid


@pytest.fixture
def post(monkeypatch):
    """Kinds of each category that share a topic with their like; their mails are the "removed" template."""
    state = {"untrue": set(), "missed": [], "fails": 0}

    def still_true(notice, at):
        return notice.period not in state["untrue"]

    def on_missed(notice, at):
        if state["fails"]:
            state["fails"] -= 1
            raise RuntimeError("the charge could not be postponed")
        state["missed"].append(notice.period)

    def render(notice, *, at, language=""):
        return sending.mail.Message(
            to=sending.recipient_address(notice), subject=notice.period, text=".", html=".", language="en"
        )

    monkeypatch.setattr(sending, "render_notice", render)
    for category in Category:
        kind = NoticeKind(
            code=category.value,
            title="A test",
            why="Because.",
            context=lambda notice, at: {},
            still_true=still_true,
            category=category,
            topic="test",
            on_missed=on_missed,
            consent=lambda notice, at: notice.facts.get("yes", True),
        )
        monkeypatch.setitem(kinds._KINDS, kind.code, kind)
    return state


def refuse(*_):
    raise ConnectionRefusedError


def owe_to(account, kind, period, *, subject="", to=None, at=NOON, days=3, **more):
    owe(
        account,
        kind,
        to=to or [owner_of(account)],
        period=period,
        subject=subject or period,
        at=at,
        window_from=at,
        window_to=at + days * DAY,
        **more,
    )


def said():
    return [mail.subject for mail in outbox.outbox]


def ended(period):
    return Notice.objects.values_list("status", "reason").get(period=period)


def test_after_an_outage_nothing_bursts_and_nothing_is_stale(post):
    account = make_account()
    for day, period in enumerate(("first", "second", "third")):
        owe_to(account, "reminder", period, subject="trial", at=NOON + day * DAY / 4, days=9)
    owe_to(account, "reminder", "other", at=NOON, days=5)
    owe_to(account, "transactional", "receipt", subject="payment", at=NOON)
    owe_to(account, "legal", "law", subject="trial", at=NOON)

    late = NOON + DAY
    assert [send_due_notices(at=late + minute * MINUTE) for minute in range(3)] == [3, 0, 0]
    assert sorted(said()) == ["law", "other", "receipt"]  # the reminder with the nearest deadline
    assert send_due_notices(at=late + DAY) == 1
    assert said()[-1] == "third"
    assert ended("first") == ended("second") == ("dropped", "superseded")


def test_each_reader_has_a_reminder_a_day_and_the_next_one_in_the_morning(post):
    account = make_account()
    mate = make_member(account, "billing").user
    for period in ("one", "two"):
        owe_to(account, "reminder", period, to=[owner_of(account), mate])

    assert send_due_notices(at=NOON) == 2
    assert set(Notice.objects.filter(status="owed").values_list("next_attempt_at", "reason")) == {
        (dt.datetime(2026, 3, 12, 7, tzinfo=dt.UTC), "better_moment")
    }
    assert send_due_notices(at=NOON + 19 * HOUR) == 2


def test_one_that_proves_untrue_leaves_its_day_to_the_next(post):
    account = make_account()
    owe_to(account, "reminder", "untrue", days=1)
    owe_to(account, "reminder", "true", days=2)
    post["untrue"].add("untrue")

    assert send_due_notices(at=NOON) == 1
    assert said() == ["true"]


def test_if_the_newest_word_is_not_true_the_older_one_is_said(post):
    account = make_account()
    owe_to(account, "transactional", "older", subject="x", at=NOON - HOUR)
    owe_to(account, "transactional", "newer", subject="x", at=NOON)
    post["untrue"].add("newer")

    assert send_due_notices(at=NOON) == 1
    assert said() == ["older"]


def test_an_older_word_never_overtakes_a_newer_one_that_is_being_tried(post, monkeypatch):
    account = make_account()
    owe_to(account, "transactional", "older", subject="x", at=NOON - HOUR)
    owe_to(account, "transactional", "newer", subject="x", at=NOON)
    send = EmailBackend.send_messages
    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    send_due_notices(at=NOON)
    monkeypatch.setattr(EmailBackend, "send_messages", send)

    assert [send_due_notices(at=NOON + minute * MINUTE) for minute in (1, 2)] == [1, 0]
    assert said() == ["newer"]
    assert ended("older") == ("dropped", "superseded")


def test_quiet_hours_hold_back_reminders_and_nothing_else(post):
    account = make_account()
    for kind in Category.values:
        owe_to(account, kind, kind, subject=kind, at=NIGHT)

    assert send_due_notices(at=NIGHT) == 2
    assert sorted(said()) == ["legal", "transactional"]


def test_a_sender_that_was_killed_does_not_wake_anybody_at_night(post):
    account = make_account()
    owe_to(account, "reminder", "once", at=NOON)
    Notice.objects.update(status="sending", lease_until=NIGHT, gentle_day=NOON.date(), attempts=1)

    assert send_due_notices(at=NIGHT) == 0
    assert send_due_notices(at=NIGHT + 10 * HOUR) == 1
    assert Notice.objects.values_list("status", "unanswered", "gentle_day").get() == (
        "sent",
        1,
        NOON.date() + DAY,
    )


def test_the_database_allows_one_reminder_a_day_and_a_sender_that_loses_waits(post):
    account = make_account()
    for period in ("one", "two"):
        owe_to(account, "reminder", period)
    first, second = Notice.objects.order_by("pk")
    lease = {"at": NOON, "lease_until": NOON + HOUR, "gentle_day": NOON.date()}

    assert sending._claim(first.pk, **lease) is not None
    assert sending._claim(second.pk, **lease) is None
    assert ended("two") == ("owed", "")
    with pytest.raises(IntegrityError):
        Notice.objects.filter(pk=second.pk).update(gentle_day=NOON.date())


def test_a_hold_keeps_reminders_back_and_its_end_lets_them_go(post):
    account = make_account()
    owe_to(account, "reminder", "held", days=9)
    by = By.staff(make_user())
    hold = place_hold(account, reason="conversation", until=NOON + 5 * DAY, by=by, at=NOON - DAY)

    assert send_due_notices(at=NOON) == 0
    assert ended("held") == ("owed", "held")
    end_hold(hold, reason="asked", by=by, at=NOON + DAY)
    assert send_due_notices(at=NOON + DAY) == 1


@pytest.mark.parametrize("kind", ["legal", "reminder"])
def test_a_window_that_closes_unsent_has_its_consequence_once(post, kind):
    account = make_account()
    owe_to(account, kind, "missed", to=[owner_of(account), make_member(account).user])
    late = NOON + 3 * DAY + MINUTE

    assert [send_due_notices(at=late), send_due_notices(at=late + DAY)] == [0, 0]
    assert post["missed"] == ["missed"]
    assert Notice.objects.needing_a_person().count() == 2


def test_a_consequence_that_fails_is_tried_until_it_works(post):
    owe_to(make_account(), "legal", "missed")
    post["fails"] = 2
    late = NOON + 3 * DAY + MINUTE
    for quarter in range(4):
        send_due_notices(at=late + quarter * sending.MISSED_AGAIN)

    assert post["missed"] == ["missed"]
    assert ended("missed") == ("failed", "window_closed")


def test_what_the_law_demands_is_tried_until_its_window_closes(post, monkeypatch):
    owe_to(make_account(), "legal", "law", days=30)
    monkeypatch.setattr(EmailBackend, "send_messages", refuse)
    at = NOON
    while at < NOON + 29 * DAY:
        send_due_notices(at=at)
        at += DAY / 2

    assert ended("law") == ("owed", "ConnectionRefusedError")
    assert post["missed"] == []


def test_a_suppressed_address_misses_what_the_law_demands_in_sight(post):
    account = make_account(owner=make_user("ana@example.com"))
    for kind in Category.values:
        owe_to(account, kind, kind, subject=kind)
    suppress_address("Ana@example.com", "complaint", at=NOON)
    send_due_notices(at=NOON)

    assert said() == []
    assert ended("legal") == ("failed", "suppressed")
    assert post["missed"] == ["legal"]
    assert ended("reminder") == ended("transactional") == ended("commercial") == ("dropped", "suppressed")


def test_one_who_can_be_told_is_enough(post):
    account = make_account(owner=make_user("ana@example.com"))
    owe_to(account, "legal", "law", to=[owner_of(account), make_member(account).user])
    suppress_address("ana@example.com", "bounce", at=NOON)
    send_due_notices(at=NOON)

    assert post["missed"] == []
    assert sorted(Notice.objects.values_list("status", flat=True)) == ["failed", "sent"]


def test_staff_lift_a_suppression_with_a_reason_and_mail_leaves_again(post):
    account = make_account(owner=make_user("ana@example.com"))
    suppress_address("ana@example.com", "bounce", at=NOON)
    lift_suppression(account, "ANA@example.com", reason="repaired", by=SYSTEM, at=NOON)
    owe_to(account, "reminder", "again")

    assert send_due_notices(at=NOON) == 1
    assert not Suppression.objects.exists()
    assert Event.objects.filter(kind="mail.suppression_lifted").get().facts == {"why": "repaired"}
    with pytest.raises(WrongState):
        lift_suppression(account, "ana@example.com", reason="repaired", by=SYSTEM, at=NOON)


def test_a_strangers_suppression_is_not_lifted_through_an_account(post):
    suppress_address("bea@example.com", "complaint", at=NOON)

    with pytest.raises(WrongState):
        lift_suppression(make_account(), "bea@example.com", reason="mistake", by=SYSTEM, at=NOON)
    assert Suppression.objects.exists()


def test_news_leave_with_consent_only(post):
    owe_to(make_account(), "commercial", "no", facts={"yes": False})

    assert send_due_notices(at=NOON) == 0
    assert ended("no") == ("dropped", "no_consent")


def test_news_without_a_question_of_consent_is_refused():
    with pytest.raises(ValueError, match="consented"):
        kinds.register(
            NoticeKind(code="x", title="", why="", context=lambda n, at: {}, category=Category.COMMERCIAL)
        )


def questions(count, kind):
    """Statements that sending so many mails of this kind takes, savepoints of the test apart."""
    for _ in range(count):
        account = make_account()
        owe_to(account, kind, "p", subject="x")
    with CaptureQueriesContext(connection) as seen:
        assert send_due_notices(at=NOON) == count
    return len([query for query in seen.captured_queries if "SAVEPOINT" not in query["sql"]])


@pytest.mark.parametrize(("kind", "around"), [("transactional", 2), ("legal", 2), ("reminder", 4)])
def test_the_arbiter_asks_for_a_whole_batch_at_once(post, kind, around):
    few = questions(3, kind)
    each = (questions(9, kind) - few) // 6

    assert each == 6  # seen, claimed, read, still a reader, suppressed, recorded: as without an arbiter
    assert few == around + 3 * each


def test_what_waits_costs_three_questions_and_one_statement_however_much_it_is(post):
    for _ in range(12):
        owe_to(make_account(), "reminder", "p", subject="x", at=NIGHT)
    with CaptureQueriesContext(connection) as seen:
        send_due_notices(at=NIGHT)

    assert len(seen) <= 6
    with CaptureQueriesContext(connection) as seen:
        send_due_notices(at=NIGHT + MINUTE)
    assert len(seen) == 1


def test_the_calendar_says_when_each_mail_will_leave_and_which_law_asks_for_it(
    post, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(calendar, "_MOOT", {})  # what other apps ask
    account = make_account()
    for period in ("one", "two"):
        owe_to(account, "reminder", period, at=NIGHT, days=9)
    owe_to(account, "legal", "law", at=NIGHT, rule_ids=["visa", "us-ma"])
    place_hold(account, reason="promise", until=NIGHT + 2 * DAY, by=SYSTEM, at=NOON)
    member = account.members.get()
    with django_assert_num_queries(1):
        found = calendar.mails_to_come(account, member, NOON)

    by_day = sorted((entry.at, entry.category, tuple(entry.rules)) for entry in found)
    assert by_day == [
        (NIGHT, "legal", ("Visa Core Rules", "940 CMR 38.00")),
        (dt.datetime(2026, 3, 16, 7, tzinfo=dt.UTC), "reminder", ()),  # Monday, after the hold
    ]


def test_a_backlog_of_what_must_wait_holds_back_no_receipt(post):
    account = make_account()
    for number in range(6):
        owe_to(account, "reminder", f"old {number}", at=NIGHT - 2 * HOUR)
    owe_to(account, "transactional", "receipt", at=NIGHT)

    assert sending.send_for(30, at=NIGHT, limit=3) == 1
    assert said() == ["receipt"]
