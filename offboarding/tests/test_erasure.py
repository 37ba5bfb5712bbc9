"""A purge deletes, anonymises and keeps as the map says, and proves it by looking (D1 to D4)."""

import datetime as dt

import pytest
from django.apps import apps

from accounts.classification import DELETE, registry
from accounts.errors import WrongState
from accounts.events import SYSTEM
from accounts.models import Account, Event, Member, Notice, User
from accounts.tests.worlds import NOON, make_account, make_member, make_user, owner_of
from billing.models import Customer, Instruction, Invoice, Refund
from offboarding import erasure, erasure_plan, export_files, purges, retention
from offboarding.models import Cancellation, Closure, Erasure, ExitSurvey, Quote
from offboarding.tests.canaries import find_canaries, make_leaver, subject_of

pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)

#: The only text that outlives a purge: what invoices say, and codes of the provider. Looked at by a person.
ALLOWED = {
    ("accounts_link", "subject"),
    ("accounts_link", "token_hash"),
    ("billing_dispute", "reason"),
    ("billing_instruction", "idempotency_key"),
    ("billing_invoice", "billing_reason"),
    ("billing_invoice", "number"),
    ("billing_invoiceline", "description"),
    ("billing_payment", "balance_transaction"),
    ("djstripe_balancetransaction", "source"),
    ("djstripe_balancetransaction", "type"),
    ("offboarding_cancellation", "receipt_hash"),
    ("offboarding_cancellation", "undo_hash"),
    ("offboarding_quote", "facts"),
    ("offboarding_quote", "facts_hash"),
}


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.PRIVATE_FILES = tmp_path / "private"


def make_closing(account: Account | None = None, *, purge_on=NOON, **columns) -> Closure:
    """A closed account whose data goes at noon."""
    account = account or make_account(state="closed", closed_at=NOON - 40 * DAY)
    defaults = {"data_until": purge_on - DAY, "purge_on": purge_on, "created_at": NOON - 40 * DAY}
    return Closure.objects.create(account=account, **(defaults | columns))


def answer_for_the_provider() -> int:
    """What the outbox does once the provider has deleted its customer."""
    return Instruction.objects.open().update(status="done", done_at=NOON)


def purge(closure: Closure, *, at=NOON) -> str:
    """Run as beat does until nothing waits any more."""
    closure.refresh_from_db()
    if erasure.purge_account(closure, at=at) == erasure.WAITING:
        answer_for_the_provider()
        return erasure.purge_account(closure, at=at + HOUR)
    return erasure.DONE


def test_a_purge_leaves_nothing_but_what_the_map_keeps():
    account = make_leaver()
    assert len(find_canaries()) > 80
    outcome = purge(make_closing(account))

    assert outcome == erasure.DONE
    assert find_canaries() - ALLOWED == set()


def test_the_planted_world_has_a_row_in_every_personal_model():
    account = make_leaver()
    make_closing(account)
    without = [e.label for e in registry if e.is_personal and not e.rows(subject_of(account)).exists()]

    assert without == ["djstripe.UpcomingInvoice"]  # which dj-stripe never stores


@pytest.mark.parametrize("label", ["accounts.Invitation", "djstripe.Event", "accounts.Notice"])
def test_a_model_that_was_forgotten_is_found_by_the_scan(label, monkeypatch):
    steps = [s for s in erasure_plan.steps_before_the_provider() if s.name != f"delete {label}"]
    after = [s for s in erasure_plan.steps_after_the_provider() if s.name != f"delete {label} again"]
    monkeypatch.setattr(erasure, "steps_before_the_provider", lambda: steps)
    monkeypatch.setattr(erasure, "steps_after_the_provider", lambda: after)
    purge(make_closing(make_leaver()))
    table = registry.get(label).model._meta.db_table

    assert table in {table for table, _ in find_canaries() - ALLOWED}


def test_somebody_elses_account_is_left_as_it_was():
    account, other = make_leaver(), make_leaver()
    before = {e.label: e.rows(subject_of(other)).count() for e in registry if e.is_personal}
    purge(make_closing(account))
    after = {e.label: e.rows(subject_of(other)).count() for e in registry if e.is_personal}

    assert after == before


def test_every_deleted_model_is_empty_and_counted():
    account = make_leaver()
    subject = subject_of(account)
    purge(make_closing(account))
    left = {e.label: e.rows(subject).count() for e in registry if e.fate is DELETE}
    record = Erasure.objects.get()

    assert {label for label, rows in left.items() if rows} == set()
    assert record.counts["accounts.Member"] == 2
    assert record.finished_at is not None
    assert (record.scope, record.account_ref) == ([], account.public_id)


def test_the_books_stay_without_a_person_until_the_law_is_done():
    account = make_leaver(closed_at=NOON - 200 * DAY)
    purge(make_closing(account))
    account.refresh_from_db()
    record = Erasure.objects.get()

    assert (account.state, account.name, account.country) == ("erased", "–", "ES")
    assert Invoice.objects.get().account == account
    assert Refund.objects.count() == 1
    assert Customer.objects.get().card_last4 == ""
    assert Cancellation.objects.get().declared_by is None
    assert Quote.objects.count() == 1
    assert ExitSurvey.objects.get().problem == ""
    assert record.retained["billing.Invoice"] == 1
    assert record.retained_until == dt.datetime(2033, 1, 1, tzinfo=dt.UTC)


def test_the_books_go_when_their_years_are_over_and_not_before():
    purge(make_closing(make_leaver()))
    record = Erasure.objects.get()
    early = purges.purge_books(at=record.retained_until - HOUR)
    kept = Invoice.objects.count()
    late = purges.purge_books(at=record.retained_until + 40 * DAY)

    assert (early, kept, late) == (0, 1, 1)
    for entry in erasure_plan.kept_entries():
        assert entry.model._base_manager.count() == 0, entry.label
    assert purges.purge_books(at=record.retained_until + 41 * DAY) == 0


def test_the_history_stays_and_says_what_was_done():
    account = make_leaver()
    purge(make_closing(account))
    kinds = set(Event.objects.filter(account_ref=account.public_id).values_list("kind", flat=True))

    assert {"data.purge_started", "account.erased", "data.purged"} <= kinds


# --- People ---------------------------------------------------------------------------------------


def test_who_belongs_to_another_account_survives_with_their_sign_in():
    account = make_leaver()
    user = owner_of(account)
    other = make_account()
    make_member(other, user=user)
    purge(make_closing(account))
    user.refresh_from_db()

    assert user.is_active
    assert list(user.memberships.values_list("account", flat=True)) == [other.pk]
    assert apps.get_model("account", "EmailAddress").objects.filter(user=user).exists()


def test_staff_survive_and_who_belongs_to_nothing_else_goes():
    account = make_account(state="closed", closed_at=NOON)
    staff = make_member(account, user=make_user(is_staff=True)).user
    former = make_member(account, left_at=NOON).user
    owner = owner_of(account)
    purge(make_closing(account))

    assert User.objects.filter(pk=staff.pk).exists()
    assert not User.objects.filter(pk__in=[former.pk, owner.pk]).exists()


def test_a_membership_of_an_erased_account_saves_nobody():
    account, erased = (
        make_account(state="closed", closed_at=NOON),
        make_account(state="erased", closed_at=NOON),
    )
    user = owner_of(account)
    Member.objects.create(account=erased, user=user, joined_at=NOON, left_at=NOON)
    going = erasure.leaving_users(account)

    assert going == [user.pk]


def test_whoever_goes_is_locked_out_before_anything_of_theirs_is_deleted(monkeypatch):
    account = make_leaver()
    seen = []

    def look(step: str) -> None:
        if step == "people" and not seen:
            seen.append(owner_of(account).is_active)
            seen.append(apps.get_model("sessions", "Session").objects.count())

    monkeypatch.setattr(erasure, "committed", look)
    purge(make_closing(account))

    assert seen == [False, 0]


# --- Never early ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "at", "reason"),
    [
        ({}, NOON - dt.timedelta(microseconds=1), "not_due"),
        ({"data_until": NOON + DAY, "waived_retrieval": True, "purge_on": NOON + DAY}, NOON, "not_due"),
        ({"stop_until": NOON + HOUR}, NOON, "can_be_stopped"),
        ({"status": "cancelled"}, NOON, "not_open"),
    ],
)
def test_nothing_is_purged_early_or_while_it_can_be_stopped(columns, at, reason):
    closure = make_closing(**columns)

    with pytest.raises(WrongState, match=reason):
        erasure.purge_account(closure, at=at)
    assert not Erasure.objects.exists()


def test_the_retrieval_window_is_kept_unless_it_was_waived():
    closure = make_closing(data_until=NOON + DAY, waived_retrieval=True)
    waived = erasure.why_not(closure, at=NOON)
    closure.waived_retrieval = False

    assert waived == ""
    assert erasure.why_not(closure, at=NOON) == "retrieval_window"


def test_an_account_that_is_open_again_is_not_purged():
    closure = make_closing(make_account())

    assert erasure.why_not(closure, at=NOON) == "not_closed"


def test_a_hold_of_another_module_keeps_it_and_does_not_hold_the_next_one(monkeypatch):
    held, free = make_closing(), make_closing()
    monkeypatch.setattr(erasure, "_OBJECTIONS", [])
    erasure.object_to_purges(lambda closure, at: "hold" if closure.pk == held.pk else "")
    report = purges.purge_due(at=NOON)

    assert report.left == {held.account.public_id: "hold"}
    assert report.purged == [free.account.public_id] or report.waiting == [free.account.public_id]


def test_it_catches_up_after_days_off_and_twice_changes_nothing():
    closure = make_closing()
    first = purge(closure, at=NOON + 5 * DAY)
    events = Event.objects.count()
    closure.refresh_from_db()

    assert first == erasure.DONE
    with pytest.raises(WrongState):
        erasure.purge_account(closure, at=NOON + 6 * DAY)
    assert Event.objects.count() == events


# --- The last mail and the provider -----------------------------------------------------------------


def test_the_last_mail_leaves_before_the_address_goes(mailoutbox):
    account = make_leaver()
    address = owner_of(account).email
    purge(make_closing(account))

    assert [mail.to for mail in mailoutbox] == [[address]]
    assert "deleted today" in mailoutbox[0].subject


def test_what_was_owed_before_does_not_leave_any_more():
    account = make_leaver()
    erasure.begin_erasure(make_closing(account), at=NOON, by=SYSTEM)
    owed = Notice.objects.filter(account=account, status="owed").values_list("kind", flat=True)

    assert set(owed) == {retention.DELETED}


def test_a_mail_that_cannot_leave_holds_the_purge_for_two_hours_only(monkeypatch):
    from accounts import mail

    def fails(*args, **kwargs):
        raise mail.MailFailed("down")

    monkeypatch.setattr(mail, "send_message", fails)
    closure = make_closing()
    first = erasure.purge_account(closure, at=NOON)
    still = User.objects.filter(memberships__account=closure.account).exists()

    assert (first, still) == (erasure.WAITING, True)
    assert purge(closure, at=NOON + 2 * HOUR) == erasure.DONE


def test_the_provider_is_told_once_and_content_does_not_wait_for_it():
    account = make_leaver()
    closure = make_closing(account)
    outcomes = [erasure.purge_account(closure, at=NOON + n * HOUR) for n in range(3)]

    assert outcomes == [erasure.WAITING] * 3
    assert Instruction.objects.filter(kind="delete_customer").count() == 1
    assert find_canaries() - ALLOWED <= {("accounts_account", "name"), ("billing_instruction", "desired")}


def test_a_dead_letter_waits_for_a_person_and_the_purge_does_not():
    account = make_leaver()
    closure = make_closing(account)
    erasure.purge_account(closure, at=NOON)
    Instruction.objects.open().update(status="dead")
    outcome = erasure.purge_account(closure, at=NOON + HOUR)

    assert outcome == erasure.DONE
    assert Instruction.objects.filter(kind="delete_customer", status="dead").exists()
    assert Customer.objects.get().deleted_at is None


def test_what_is_on_its_way_to_the_provider_is_waited_for():
    account = make_leaver()
    Instruction.objects.filter(kind="refund").update(status="unknown")
    closure = make_closing(account)
    erasure.purge_account(closure, at=NOON)

    assert not Instruction.objects.filter(kind="delete_customer").exists()


def test_files_are_deleted_with_what_a_killed_worker_left():
    account = make_leaver()
    export = account.exports.get()
    (export_files.folder() / f"{export.public_id}.abc.part").write_text("half")
    purge(make_closing(account))

    assert list(export_files.folder().iterdir()) == []


# --- Killed anywhere --------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a kill: nothing of the product catches it."""


def test_killed_at_every_commit_it_goes_on_and_ends_the_same(monkeypatch):
    """Each run is killed in its first transaction, the next after its first commit, and so on to the end."""
    account = make_leaver()
    closure = make_closing(account)
    monkeypatch.setattr(erasure, "CHUNK", 1)
    hold = erasure.Purge._hold
    mode = {"kill": "before"}

    def before(self, step, **columns):
        hold(self, step, **columns)
        if mode["kill"] == "before":
            raise Killed

    def after(step):
        if mode["kill"] == "after":
            raise Killed

    monkeypatch.setattr(erasure.Purge, "_hold", before)
    monkeypatch.setattr(erasure, "committed", after)
    moment, kills = NOON, 0
    while kills < 2000:
        mode["kill"] = "before" if kills % 2 else "after"
        moment += 11 * dt.timedelta(minutes=1)
        answer_for_the_provider()
        closure.refresh_from_db()
        try:
            if erasure.purge_account(closure, at=moment) == erasure.DONE:
                break
        except Killed:
            kills += 1

    assert kills > 150
    assert find_canaries() - ALLOWED == set()
    assert Event.objects.filter(kind="data.purged").count() == 1
    assert Erasure.objects.get().counts["accounts.Member"] == 2


def test_the_record_is_there_before_the_first_row_goes(monkeypatch):
    account = make_leaver()

    def die(step):
        raise Killed

    monkeypatch.setattr(erasure, "committed", die)
    before = find_canaries()
    with pytest.raises(Killed):
        erasure.purge_account(make_closing(account), at=NOON)

    assert Erasure.objects.get().finished_at is None
    assert {table for table, _ in before} - {table for table, _ in find_canaries()} <= {"django_session"}


def test_two_workers_never_work_on_the_same_account():
    closure = make_closing(make_leaver())
    erasure.begin_erasure(closure, at=NOON, by=SYSTEM)
    Erasure.objects.update(lease_until=NOON + HOUR, lease_token="somebody")

    assert erasure.purge_account(closure, at=NOON) == erasure.BUSY
    assert owner_of(closure.account).is_active


def test_a_worker_that_lost_its_lease_changes_nothing_more(monkeypatch):
    account = make_leaver()

    def steal(step):
        Erasure.objects.update(lease_token="somebody else")

    monkeypatch.setattr(erasure, "committed", steal)
    with pytest.raises(erasure.LeaseLost):
        erasure.purge_account(make_closing(account), at=NOON)

    assert Member.objects.filter(account=account).count() == 2


# --- The job: measure, brake, dry run ---------------------------------------------------------------


def test_more_than_the_measure_of_a_day_needs_a_person():
    closures = [make_closing() for _ in range(purges.FLOOR + 3)]
    report = purges.purge_due(at=NOON)
    begun = Erasure.objects.count()
    again = purges.purge_due(at=NOON + HOUR)
    purges.allow_today(len(closures), at=NOON)
    purges.purge_due(at=NOON + HOUR)

    assert begun == purges.FLOOR
    assert list(report.left.values()) == list(again.left.values()) == ["breaker"] * 3
    assert Erasure.objects.count() == len(closures)


def test_tomorrow_has_its_own_measure():
    for _ in range(purges.FLOOR + 3):
        make_closing()
    purges.purge_due(at=NOON)
    purges.purge_due(at=NOON + DAY)

    assert Erasure.objects.count() == purges.FLOOR + 3


def test_the_brake_stops_everything_and_its_release_catches_up():
    make_closing()
    purges.pull_brake(by=SYSTEM, at=NOON, reason="looking into it")
    stopped = purges.purge_due(at=NOON)
    begun = Erasure.objects.count()
    purges.release_brake(by=SYSTEM, at=NOON, reason="found")
    purges.purge_due(at=NOON + DAY)

    assert (stopped.is_stopped, begun) == (True, 0)
    assert Erasure.objects.count() == 1


def test_a_dry_run_says_what_would_go_and_changes_nothing(capsys, clock):
    from django.core.management import call_command

    closure = make_closing(make_leaver())
    before = find_canaries()
    clock.turn_to(NOON + HOUR)
    call_command("purge", "--dry-run")

    assert f"{closure.account.public_id} would be purged" in capsys.readouterr().out
    assert find_canaries() == before
    assert not Erasure.objects.exists()


def test_one_that_fails_does_not_hold_the_next_one_back(monkeypatch):
    bad, good = make_closing(), make_closing()
    purge_account = erasure.purge_account

    def fails(closure, **kwargs):
        if closure.pk == bad.pk:
            raise OSError("disk")
        return purge_account(closure, **kwargs)

    monkeypatch.setattr(erasure, "purge_account", fails)
    report = purges.purge_due(at=NOON)

    assert report.left == {bad.account.public_id: "OSError"}
    assert good.account.public_id in report.purged


def test_a_card_that_was_taken_off_is_emptied_too():
    """Its mirror names no customer any more: it is reached only through the charges that it paid."""
    account = make_leaver()
    cards = apps.get_model("djstripe", "PaymentMethod").objects
    cards.update(customer=None)
    purge(make_closing(account))

    assert cards.get().stripe_data == {}
    assert find_canaries() - ALLOWED == set()


def test_a_deletion_under_way_is_no_declaration_without_its_mail():
    from offboarding.audit_checks import declared_without_proof

    closure = make_closing(make_leaver())
    Notice.objects.filter(account=closure.account).delete()
    missing = list(declared_without_proof(NOON))
    Closure.objects.filter(pk=closure.pk).update(status=Closure.Status.PURGING)

    assert missing, "control: the mail is missed while nothing is being deleted"
    assert list(declared_without_proof(NOON)) == []
