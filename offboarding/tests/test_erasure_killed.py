"""A real worker process, really killed (SIGKILL), and the next one (D4)."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from offboarding.tests.canaries import CANARY, make_leaver
from offboarding.tests.test_erasure import ALLOWED, NOON, make_closing

WORKER = """
import datetime as dt, os, signal, sys
import django
django.setup()
from django.conf import settings
from pathlib import Path
settings.PRIVATE_FILES = Path(sys.argv[1])
from billing.models import Instruction
from offboarding import erasure, purges
left = int(sys.argv[2])
def kill(step):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
erasure.committed = kill
at = dt.datetime.fromisoformat(sys.argv[3])
purges.purge_due(at=at)
Instruction.objects.open().update(status="done", done_at=at)
purges.purge_due(at=at + dt.timedelta(minutes=1))
"""


def work(url: str, files: Path, *, kill_at: int, hours: int) -> int:
    """Run the job in a process of its own that dies at this commit; its exit code."""
    import datetime as dt

    at = (NOON + dt.timedelta(hours=hours)).isoformat()
    environment = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings.test"}
    command = [sys.executable, "-c", WORKER, str(files), str(kill_at), at]
    return subprocess.run(command, env=environment, cwd=settings.BASE_DIR, timeout=120).returncode


def database_url(folder: Path) -> str:
    """An address under which another process sees what this test has committed."""
    used = connection.settings_dict
    if connection.vendor == "postgresql":
        password = f":{used['PASSWORD']}" if used["PASSWORD"] else ""
        return f"postgres://{used['USER']}{password}@{used['HOST']}:{used['PORT']}/{used['NAME']}"
    target = folder / "killed.sqlite3"
    with sqlite3.connect(target) as copy:
        connection.connection.backup(copy)
    return f"sqlite:///{target}"


def texts(url: str) -> set[tuple[str, str]]:
    """(table, column) of every planted value, wherever the other process worked."""
    if not url.startswith("sqlite"):
        from offboarding.tests.canaries import find_canaries

        return find_canaries()
    found = set()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = database.execute(f'SELECT * FROM "{table}"')
            names = [column[0] for column in rows.description]
            found |= {
                (table, name)
                for row in rows
                for name, value in zip(names, row, strict=True)
                if CANARY in repr(value)
            }
    return found


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_really_killed_is_followed_by_one_that_finishes(tmp_path, settings):
    settings.PRIVATE_FILES = files = tmp_path / "private"
    make_closing(make_leaver())
    url = database_url(tmp_path)
    before = len(texts(url))
    codes = [work(url, files, kill_at=n, hours=hour) for hour, n in enumerate((3, 40, 60))]
    between = len(texts(url))
    codes.append(work(url, files, kill_at=0, hours=10))

    assert codes == [-9, -9, -9, 0]
    assert before > between > len(ALLOWED)
    assert texts(url) - ALLOWED == set()
    assert [path for path in files.rglob("*") if path.is_file()] == []
