"""Beat's jobs: once for each slot, recorded, switched off and on, asked beforehand, forgotten in time."""

import datetime as dt
import io

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import jobs, notices
from accounts.events import SYSTEM
from accounts.job_board import count_rows, read_board
from accounts.jobs import ALL_GRAVE, HOUR, MINUTE, Job, Outcome, Touches, start_job, turn_off, turn_on
from accounts.models import JobRun, JobSwitch, Notice
from accounts.notices import NoticeKind
from accounts.tests.worlds import NOON, make_account, make_user, owner_of

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


def make_job(found=3, **columns):
    """A job that finds this much, and a list of the moments at which it ran."""
    ran = []

    def work(*, at):
        ran.append(at)
        if isinstance(found, Exception):
            raise found
        return found

    job = Job(**{"name": "test.job", "title": "Test", "every": HOUR, "work": work} | columns)
    return job, ran


def test_two_beats_run_a_slot_once_and_the_next_slot_again():
    job, ran = make_job(Outcome(due=5, done=3, skipped={"held": 2}))
    outcomes = [start_job(job, at=NOON + dt.timedelta(minutes=m)).done for m in (0, 1, 59, 60)]

    assert outcomes == [3, 0, 0, 3]
    assert ran == [NOON, NOON + HOUR]
    assert (
        list(JobRun.objects.values_list("due", "done", "skipped", "error")) == [(5, 3, {"held": 2}, "")] * 2
    )


def test_what_the_doorbell_starts_runs_at_every_ring_and_adds_up_in_its_slot():
    job, ran = make_job(2, is_rung=True)
    for second in (0, 1, 2):
        start_job(job, at=NOON + dt.timedelta(seconds=second))

    assert len(ran) == 3
    assert JobRun.objects.get().done == 6


def test_a_run_that_fails_says_so_and_the_next_slot_tries_again():
    job, ran = make_job(ValueError())
    for at in (NOON, NOON + HOUR):
        with pytest.raises(ValueError):
            start_job(job, at=at)

    assert len(ran) == 2
    assert set(JobRun.objects.values_list("error", flat=True)) == {"ValueError"}
    assert not JobRun.objects.good().exists()


@pytest.mark.parametrize("switch", ["test.job", ALL_GRAVE])
def test_a_job_that_is_off_leaves_a_record_and_its_slot_free(switch):
    job, ran = make_job(touches=Touches.MONEY)
    turn_off(switch, by=SYSTEM, at=NOON, reason="odd refunds")
    turn_off(switch, by=SYSTEM, at=NOON, reason="pressed twice")
    for minute in range(3):
        start_job(job, at=NOON + minute * MINUTE)
    kept_off = list(JobRun.objects.values_list("was_off", "done"))
    turn_on(switch, by=SYSTEM, at=NOON, reason="understood")
    start_job(job, at=NOON + 4 * MINUTE)

    assert kept_off == [(True, 0)]
    assert ran == [NOON + 4 * MINUTE]
    assert list(JobSwitch.objects.values_list("is_off", "reason")) == [
        (True, "odd refunds"),
        (False, "understood"),
    ]


def test_the_switch_of_grave_jobs_leaves_the_others_on():
    job, ran = make_job()
    turn_off(ALL_GRAVE, by=SYSTEM, at=NOON, reason="odd refunds")
    start_job(job, at=NOON)

    assert ran == [NOON]


def test_every_job_of_the_timetable_obeys_its_own_switch():
    for job in jobs.jobs().values():
        turn_off(job.name, by=SYSTEM, at=NOON, reason="all off")
        start_job(job, at=NOON, is_called=True)

    assert not JobRun.objects.filter(was_off=False).exists()
    assert JobRun.objects.count() == len(jobs.jobs())
    assert {line.state for line in read_board(at=NOON).lines} == {"off"}


def test_old_runs_are_forgotten_but_never_the_last_good_one():
    def run(name, days, **columns):
        at = NOON - days * DAY
        return JobRun.objects.create(name=name, slot=at, started_at=at, finished_at=at, **columns).pk

    idle, busy, failed = run("a", 3), run("a", 4, done=1), run("a", 5, error="OSError")
    ancient, fresh, alone = run("a", 100, done=1), run("a", 1), run("b", 400)
    start_job(jobs.jobs()["accounts.forget_old_runs"], at=NOON)

    left = set(JobRun.objects.exclude(name="accounts.forget_old_runs").values_list("pk", flat=True))
    assert left == {busy, failed, fresh, alone}
    assert not left & {idle, ancient}


@pytest.fixture
def owe_a_mail(monkeypatch):
    """Owes one mail, the real "removed" template."""
    kind = NoticeKind(code="removed", title="A test", why="Because.", context=lambda n, at: {})
    monkeypatch.setitem(notices._KINDS, "removed", kind)
    account = make_account()
    return lambda: notices.owe(account, "removed", to=[owner_of(account)], period="p", at=NOON)


def command(*arguments):
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_dry_run_counts_and_changes_nothing(clock, owe_a_mail):
    clock.turn_to(NOON)
    owe_a_mail()
    said = command("job", "accounts.send_notices", "--dry-run")
    unsure = command("job", "accounts.audit", "--dry-run")

    assert "would find 1 due" in said
    assert "cannot say" in unsure
    assert Notice.objects.get().status == Notice.Status.OWED
    assert not JobRun.objects.exists()


def test_a_job_is_run_by_hand_though_its_slot_was_run(clock, owe_a_mail, mailoutbox):
    clock.turn_to(NOON)
    start_job(jobs.jobs()["accounts.send_notices"])
    owe_a_mail()
    said = command("job", "accounts.send_notices")

    assert "1 due, 1 done" in said
    assert len(mailoutbox) == 1
    assert "accounts.send_notices" in command("jobs")


def test_by_hand_a_switch_is_respected_and_the_future_only_looked_at(clock, settings):
    clock.turn_to(NOON)
    turn_off("accounts.audit", by=SYSTEM, at=NOON, reason="slow")
    later = (NOON + DAY).isoformat()
    settings.CLOCK_FILE = ""
    with pytest.raises(CommandError, match="switched off"):
        command("job", "accounts.audit")
    with pytest.raises(CommandError, match="future"):
        command("job", "accounts.forget_old_runs", "--at", (dt.datetime.now(dt.UTC) + DAY).isoformat())
    with pytest.raises(CommandError, match="No such job"):
        command("job", "accounts.nothing")

    assert "would find 0 due" in command("job", "accounts.forget_old_runs", "--at", later, "--dry-run")


# --- The operators' page --------------------------------------------------------------------------


def staff(*roles, **columns):
    client = Client()
    user = make_user(is_staff=True, **columns)
    user.groups.set(Group.objects.filter(name__in=roles))
    client.force_login(user)
    return client


BOARD = "admin:accounts_jobrun_board"


def switch(name=ALL_GRAVE):
    return reverse("admin:accounts_jobrun_switch", args=[name])


def test_only_operators_open_the_page_and_turn_switches():
    opened = {role: staff(role).get(reverse(BOARD)).status_code for role in ("support", "operators")}
    turned = {role: staff(role).get(switch()).status_code for role in ("support", "operators")}

    assert opened == {"support": 403, "operators": 200}
    assert turned == {"support": 403, "operators": 302}, "operators are asked who they are"


def test_a_switch_needs_a_fresh_sign_in_a_reason_and_a_post(monkeypatch):
    operator = staff(is_superuser=True)
    stale = operator.post(switch(), {"reason": "odd refunds"}).status_code
    monkeypatch.setattr("accounts.admin.base.is_fresh", lambda request: True)
    operator.get(switch())
    operator.post(switch(), {"reason": " "})
    before = JobSwitch.objects.count()
    operator.post(switch(), {"reason": "odd refunds"})
    page = operator.get(reverse(BOARD)).content.decode()

    assert (stale, before) == (302, 0)
    assert JobSwitch.objects.get().is_off
    assert "odd refunds" in page
    assert operator.get(switch("no.job")).status_code == 404


def test_a_job_that_failed_waits_for_a_person_on_the_first_page():
    operator = staff("operators")
    first = reverse("admin:index")
    JobRun.objects.create(name="a", slot=NOON, started_at=NOON, finished_at=NOON, error="OSError")
    failed = operator.get(first).context["waiting"][0]["count"]
    JobRun.objects.create(name="a", slot=NOON + HOUR, started_at=NOON, finished_at=NOON)

    assert (failed, operator.get(first).context["waiting"][0]["count"]) == (1, 0)


def test_the_page_costs_three_queries_however_many_jobs_there_are(django_assert_max_num_queries):
    for job in jobs.jobs().values():
        for hour in range(30):
            JobRun.objects.create(
                name=job.name, slot=NOON - hour * HOUR, started_at=NOON - hour * HOUR, finished_at=NOON
            )
    with django_assert_max_num_queries(3 + 5 + 3):  # purges and price rises measure in their own way
        board = read_board(at=NOON)

    assert {len(line.runs) for line in board.lines} == {24}


def test_what_is_due_is_counted_up_to_a_bound_in_one_query(django_assert_num_queries):
    for name in ("a", "b", "c"):
        JobRun.objects.create(name=name, slot=NOON, started_at=NOON, finished_at=NOON)
    rows = JobRun.objects.all()
    asked = {"some": rows.filter(name="a"), "many": rows, "none": rows.none(), "text": rows.filter(name="%s")}
    with django_assert_num_queries(1):
        found = count_rows(asked, most=2)

    assert found == {"some": 1, "many": 2, "none": 0, "text": 0}
