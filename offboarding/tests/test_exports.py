"""Downloads: complete, consistent, for their owner alone, and gone when their days are over (D5)."""

import csv
import datetime as dt
import hashlib
import io
import json
import stat
import zipfile

import pytest
from django.db import connection
from django.db.backends.signals import connection_created

from accounts.errors import NotAllowed, WrongState
from accounts.events import By
from accounts.models import Event, Invitation, Member, Notice
from accounts.spreadsheet import safe_cell
from accounts.tests.worlds import NOON, make_account, make_member
from billing.models import Invoice
from offboarding import export_files, exports
from offboarding.models import Closure, Export

pytestmark = pytest.mark.django_db(transaction=True)
DAY = dt.timedelta(days=1)


def _read_past_locks(connection, **_) -> None:
    """The in-memory database of the tests locks whole tables where the real one (WAL) locks none."""
    if connection.alias.startswith("snapshot") and "mode=memory" in str(connection.settings_dict["NAME"]):
        connection.connection.execute("PRAGMA read_uncommitted = 1")


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.PRIVATE_FILES = tmp_path / "private"
    connection_created.connect(_read_past_locks)
    yield
    connection_created.disconnect(_read_past_locks)


def make_export(member: Member, *, own_only=False, at=NOON) -> Export:
    asked = exports.request_export(member, own_only=own_only, by=By.customer(member.user), at=at)
    exports.make_due_exports(at=at)
    asked.refresh_from_db()
    return asked


def owner(**columns) -> Member:
    return make_account(**columns).members.get()


def opened(export: Export) -> zipfile.ZipFile:
    return zipfile.ZipFile(exports.path_of(export))


def lines(archive: zipfile.ZipFile, name: str) -> list[dict]:
    return [json.loads(line) for line in archive.read(f"{name}.jsonl").splitlines()]


def test_an_export_holds_every_type_twice_with_counts_and_checksums():
    export = make_export(owner())
    archive = opened(export)
    manifest = json.loads(archive.read("manifest.json"))

    assert export.status == "ready"
    names = {file["name"] for file in manifest["files"]}
    assert {"people.csv", "people.jsonl", "invoices.csv", "history.jsonl"} <= names
    assert set(archive.namelist()) == names | {"manifest.json", "README.txt"}
    for file in manifest["files"]:
        content = archive.read(file["name"])
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file["bytes"], file["sha256"])


def test_counts_equal_the_database_and_the_progress_reaches_its_end():
    member = owner()
    for number in range(3):
        make_invoice(member.account, number)
    export = make_export(member)
    counts = {
        file["name"]: file["rows"] for file in json.loads(opened(export).read("manifest.json"))["files"]
    }

    assert counts["invoices.jsonl"] == counts["invoices.csv"] == Invoice.objects.count() == 3
    assert export.rows_done == export.rows_total > 3


def make_invoice(account, number: int, **columns) -> Invoice:
    defaults = {"status": "open", "currency": "EUR", "created_at": NOON, "synced_at": NOON}
    return Invoice.objects.create(account=account, provider_id=f"in_{number}", **(defaults | columns))


def test_both_forms_say_the_same():
    member = owner(name="Ferretería «Sol»")
    archive = opened(make_export(member))
    sheet = list(csv.DictReader(io.StringIO(archive.read("account.csv").decode())))

    assert lines(archive, "account")[0]["name"] == sheet[0]["name"] == "Ferretería «Sol»"
    assert lines(archive, "members")[0]["user"] == sheet_value(archive, "people", "public_id")


def sheet_value(archive, name: str, column: str) -> str:
    return next(csv.DictReader(io.StringIO(archive.read(f"{name}.csv").decode())))[column]


def test_a_formula_is_text_in_the_spreadsheet_and_itself_in_json():
    member = owner(name='=HYPERLINK("http://x")')
    archive = opened(make_export(member))

    assert sheet_value(archive, "account", "name") == '\'=HYPERLINK("http://x")'
    assert lines(archive, "account")[0]["name"] == '=HYPERLINK("http://x")'


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\tx", "\rx"])
def test_every_beginning_of_a_formula_is_guarded(cell):
    assert safe_cell(cell) == f"'{cell}"


def test_numbers_are_left_alone():
    assert (safe_cell(-5), safe_cell(None), safe_cell("a=b")) == (-5, "", "a=b")


def test_nothing_of_another_account_and_no_secret_is_in_it():
    make_account(name="Somebody else")
    member = owner(name="Mine")
    archive = opened(make_export(member))
    everything = b"".join(archive.read(name) for name in archive.namelist())

    assert b"Mine" in everything
    assert b"Somebody else" not in everything
    assert member.user.password.encode() not in everything


def test_a_member_gets_their_own_and_nothing_of_others():
    member = make_member(owner().account)
    archive = opened(make_export(member, own_only=True))

    assert [person["email"] for person in lines(archive, "people")] == [member.user.email]
    assert [row["user"] for row in lines(archive, "members")] == [member.user.public_id]
    assert "invoices.jsonl" not in archive.namelist()
    assert json.loads(archive.read("manifest.json"))["scope"] == "own"


def test_a_member_may_not_have_the_whole_account_but_a_payer_may():
    account = owner().account
    payer = make_member(account, Member.Role.BILLING)

    with pytest.raises(NotAllowed):
        make_export(make_member(account))
    assert make_export(payer).status == "ready"


def test_somebody_elses_download_cannot_be_found():
    account = owner().account
    mine, other = make_member(account), make_member(account)
    own = make_export(mine, own_only=True)
    whole = make_export(account.members.owners().get())

    assert exports.find_export(mine, own.public_id) == own
    assert exports.find_export(other, own.public_id) is None
    assert exports.find_export(other, whole.public_id) is None
    assert exports.find_export(owner(), whole.public_id) is None
    assert exports.exports_of(other, at=NOON) == []


def test_asking_twice_makes_one():
    member = owner()
    by = By.customer(member.user)
    first = exports.request_export(member, own_only=False, by=by, at=NOON)

    assert exports.request_export(member, own_only=False, by=by, at=NOON) == first
    assert Event.objects.filter(kind="export.requested").count() == 1


def test_the_reader_is_told_where_it_is_and_the_file_is_private():
    export = make_export(owner())
    path = exports.path_of(export)

    assert Notice.objects.get(kind="export_ready").subject == export.ref
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert export.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert export.expires_at == NOON + 7 * DAY


def test_it_expires_with_its_file_and_not_a_moment_earlier():
    export = make_export(owner())
    path = exports.path_of(export)
    early = exports.remove_expired(at=export.expires_at - dt.timedelta(microseconds=1))
    was_there = path.exists()
    late = exports.remove_expired(at=export.expires_at + 3 * DAY)
    export.refresh_from_db()

    assert (early, was_there, late) == (0, True, 1)
    assert (export.status, export.file_name, path.exists()) == ("expired", "", False)


def test_one_snapshot_even_while_rows_are_written(monkeypatch):
    """Rows added while the file is written are in none of it; counts agree with the total said first."""
    if connection.vendor == "sqlite":
        pytest.skip("the in-memory database of the tests has no snapshots; PostgreSQL's run shows it")
    member = owner()
    make_invoice(member.account, 1)
    write_part = export_files._write_part

    def late_rows(archive, part, progress):
        if part.name == "account":
            make_invoice(member.account, 2)
        return write_part(archive, part, progress)

    monkeypatch.setattr(export_files, "_write_part", late_rows)
    export = make_export(member)

    assert len(lines(opened(export), "invoices")) == 1
    assert Invoice.objects.count() == 2
    assert export.rows_total == sum(
        f["rows"]
        for f in json.loads(opened(export).read("manifest.json"))["files"]
        if f["name"].endswith("l")
    )


class Killed(BaseException):
    """Stands for a kill: nothing of the product catches it."""


@pytest.mark.parametrize("where", ["_write_part", "_write_text", "fsync"])
def test_a_killed_worker_leaves_nothing_that_counts_and_the_next_one_finishes(monkeypatch, where):
    member = owner()
    asked = exports.request_export(member, own_only=False, by=By.customer(member.user), at=NOON)

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(export_files.os if where == "fsync" else export_files, where, die)
        with pytest.raises(Killed):
            exports.make_due_exports(at=NOON)
    asked.refresh_from_db()
    assert asked.status == "running"
    assert exports.make_due_exports(at=NOON + dt.timedelta(minutes=1)) == 0

    assert exports.make_due_exports(at=NOON + dt.timedelta(hours=1)) == 1
    asked.refresh_from_db()
    assert (asked.status, asked.attempts) == ("ready", 2)
    assert Notice.objects.filter(kind="export_ready").count() == 1


def test_after_three_attempts_it_has_failed_and_can_be_asked_for_again(monkeypatch):
    member = owner()

    def broken(*args, **kwargs):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(export_files, "write_archive", broken)
        export = make_export(member)
        for hours in (1, 2, 3, 4):
            exports.make_due_exports(at=NOON + dt.timedelta(hours=hours))
    export.refresh_from_db()
    again = make_export(member, at=NOON + DAY)

    assert (export.status, export.attempts) == ("failed", 3)
    assert Notice.objects.filter(kind="export_failed").count() == 1
    assert (again.status, again.pk != export.pk) == ("ready", True)


def test_a_worker_that_lost_its_lease_stops_and_changes_nothing(monkeypatch):
    member = owner()
    write_archive = export_files.write_archive

    def robbed(*args, **kwargs):
        Export.objects.update(lease_token="somebody else")
        return write_archive(*args, **kwargs)

    monkeypatch.setattr(export_files, "write_archive", robbed)
    export = make_export(member)

    assert export.status == "running"
    assert list(export_files.folder().iterdir()) == []


def test_it_works_after_the_end_until_deleting_begins():
    member = owner(state="closed", closed_at=NOON)
    dates = {"data_until": NOON, "purge_on": NOON + DAY, "created_at": NOON}
    closure = Closure.objects.create(account=member.account, **dates)
    made = make_export(member)
    Closure.objects.filter(pk=closure.pk).update(status="purging")

    assert made.status == "ready"
    with pytest.raises(WrongState):
        make_export(member)


def test_memory_stays_flat_however_many_rows(monkeypatch):
    """Rows come through a cursor: 20,000 more of them cost no more memory than a few."""
    import tracemalloc

    member = owner()
    rows = [
        Invitation(
            account=member.account,
            email=f"{n}@example.com",
            created_at=NOON,
            expires_at=NOON,
            accepted_at=NOON,
        )
        for n in range(20_000)
    ]
    Invitation.objects.bulk_create(rows, batch_size=2000)
    del rows
    tracemalloc.start()
    export = make_export(member)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert export.rows_total > 20_000
    assert peak < 12_000_000
