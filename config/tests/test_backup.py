"""A backup can be restored: the same rows, the same files; a damaged one or a full target is refused."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from config.demo.servers import postgres_programs

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL only: backups are pg_dump's"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def files(tmp_path) -> Path:
    folder = tmp_path / "private"
    (folder / "exports").mkdir(parents=True)
    (folder / "exports" / "ana.zip").write_bytes(b"PK not really")
    return folder


def source_url() -> str:
    """The test database itself: what the tests' own migrations made, with all its tables."""
    at = connection.settings_dict
    where = f"{at['HOST']}:{at['PORT']}" if at["PORT"] else at["HOST"]
    secret = f":{at['PASSWORD']}" if at["PASSWORD"] else ""
    return f"postgres://{at['USER']}{secret}@{where}/{at['NAME']}"


def run(command: str, argument: Path, *, database: str, private: Path) -> subprocess.CompletedProcess[str]:
    programs = postgres_programs()
    tools = str(programs) if programs and (programs / "pg_dump").exists() else ""
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "DATABASE_URL": database, "PRIVATE_FILES": str(private)}
    script = ["sh", str(ROOT / "bin" / command), str(argument)]
    return subprocess.run(script, env=env, capture_output=True, text=True, check=False)


def backed_up(tmp_path: Path, files: Path) -> Path:
    done = run("backup", tmp_path / "backups", database=source_url(), private=files)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as database:
        names = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in names}


def test_what_was_backed_up_is_there_after_a_restore(tmp_path, files, own_database_url, django_user_model):
    for number in range(3):
        django_user_model.objects.create_user(f"person{number}@backup.test")
    backup = backed_up(tmp_path, files)
    done = run("restore", backup, database=own_database_url, private=tmp_path / "new")

    assert done.returncode == 0, done.stderr
    assert counts(own_database_url) == counts(source_url())
    assert counts(own_database_url)["accounts_user"] == 3
    assert (tmp_path / "new" / "exports" / "ana.zip").read_bytes() == b"PK not really"
    assert [path.name for path in backup.parent.iterdir()] == [backup.name], "no partial backup stays"


def test_a_restored_database_needs_no_migration_and_keeps_its_triggers(tmp_path, files, own_database_url):
    run("restore", backed_up(tmp_path, files), database=own_database_url, private=tmp_path / "new")
    triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"
    with psycopg.connect(own_database_url) as new, psycopg.connect(source_url()) as old:
        found = new.execute(triggers).fetchone(), old.execute(triggers).fetchone()
    call_command("migrate", check_unapplied=True, verbosity=0)

    assert found[0] == found[1]


def test_a_damaged_backup_is_refused(tmp_path, files, own_database_url):
    backup = backed_up(tmp_path, files)
    with (backup / "database.dump").open("r+b") as dump:
        dump.seek(200)
        dump.write(b"\x00\xff\x00\xff")
    done = run("restore", backup, database=own_database_url, private=tmp_path / "new")

    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert counts(own_database_url) == {}


def test_a_database_in_use_is_never_overwritten(tmp_path, files):
    before = counts(source_url())
    done = run("restore", backed_up(tmp_path, files), database=source_url(), private=tmp_path / "new")

    assert done.returncode == 1
    assert "Restore into an empty one" in done.stderr
    assert counts(source_url()) == before


def test_a_folder_in_use_is_never_overwritten(tmp_path, files, own_database_url):
    done = run("restore", backed_up(tmp_path, files), database=own_database_url, private=files)

    assert done.returncode == 1
    assert "is not empty" in done.stderr


def test_a_backup_is_for_its_owner_only(tmp_path, files):
    backup = backed_up(tmp_path, files)

    assert (backup.stat().st_mode & 0o077, (backup / "database.dump").stat().st_mode & 0o077) == (0, 0)


def test_a_backup_that_breaks_off_leaves_nothing(tmp_path, files):
    broken = urlsplit(source_url())._replace(path="/no_such_database").geturl()
    done = run("backup", tmp_path / "backups", database=broken, private=files)
    left = list((tmp_path / "backups").iterdir())
    shutil.rmtree(tmp_path / "backups")

    assert done.returncode != 0
    assert left == []
