"""The house: one sandbox, one parent process, worlds prepared once and copied for every run."""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config.demo.stripe_sandbox import PULL_URL, ROOT, SandboxAccount, start_sandbox
from config.tests.crash.copies import copy_database, drop_database, make_database
from config.tests.crash.journeys import JOURNEYS

TABLES = ("objects", "settings", "deliveries", "idempotency")


class House:
    """Journeys on copies of prepared worlds; `database_url` says on which kind of database."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self._mark = secrets.token_hex(6)
        self._url = database_url if database_url.startswith("postgres") else ""
        self._file = folder / "sandbox.sqlite3"
        self._number = 0
        self._databases: list[str] = []
        self._worlds: dict[str, SandboxAccount] = {}
        self._moments: dict[str, str] = {}
        self._spare: dict[str, list[SandboxAccount]] = {}
        env = os.environ | {"DATABASE_URL": self._url or f"sqlite:///{folder / 'none.sqlite3'}"}
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "config.tests.crash.parent"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "children.log").open("w"),
            text=True,
        )
        self._start_sandbox()
        self._empty = self._database("empty")
        self.tell("migrate", self.folder / "empty", self._empty, self._open())

    def close(self) -> None:
        """End everything that was started."""
        self._parent.stdin.close()
        self._parent.wait(20)
        self._sandbox.stop()
        if self._url:
            for database in self._databases:
                drop_database(self._url, database)

    def travel(self, journey: str, **more: Any) -> "Run":
        """One journey on a fresh copy of its world."""
        run = Run(self, journey)
        more |= {"journey": journey, "moment": self._moments[run.world]}
        run.result = self.tell("travel", run.folder, run.database, run.account, **more)
        return run

    def tell(self, do: str, folder: Path, database: str, account: SandboxAccount, **more: Any) -> Any:
        """Have one command carried out in a child of its own; returns how it ended."""
        folder.mkdir(parents=True, exist_ok=True)
        command = {"do": do, "folder": str(folder), "database": database, "account": asdict(account)} | more
        self._parent.stdin.write(json.dumps(command) + "\n")
        self._parent.stdin.flush()
        line = self._parent.stdout.readline()
        assert line, "the parent process has ended"
        result = json.loads(line)
        failed = (result["answer"] or {}).get("failed")
        assert not failed, f"{do} {more}: {failed}"
        return result

    # --- Worlds and their copies

    def prepare(self, world: str) -> None:
        """Make a world once."""
        if world in self._worlds:
            return
        folder, account = self.folder / world, self._open(webhook_url=PULL_URL)
        folder.mkdir()
        database = self._database(world, source=self._empty)
        made = self.tell("prepare", folder, database, account, world=world)
        self._moments[world] = made["answer"]["moment"]
        self._worlds[world] = account

    def stock(self, world: str, copies: int) -> None:
        """Have at least so many copies of a world's Stripe account: made while the sandbox stands still."""
        self.prepare(world)
        spare = self._spare.setdefault(world, [])
        names = {key: self._account_id(key) for key in (self._open() for _ in range(copies - len(spare)))}
        if not names:
            return
        original = self._worlds[world]
        source = self._account_id(original)
        self._sandbox.stop()
        with sqlite3.connect(self._file) as file:
            for table in TABLES:
                for target in names.values():
                    _copy_rows(file, table, source, target)
        file.close()
        self._start_sandbox()
        spare += [
            SandboxAccount("", key.secret_key, key.publishable_key, original.webhook_secret) for key in names
        ]

    def copy(self, world: str) -> tuple[Path, str, SandboxAccount]:
        """Folder, database and Stripe account of one more copy."""
        self.stock(world, 1)
        self._number += 1
        folder = self.folder / f"run{self._number}"
        folder.mkdir()
        for name in ("clock", "mails"):
            if (self.folder / world / name).exists():
                shutil.copy(self.folder / world / name, folder / name)
        key = self._spare[world].pop()
        account = SandboxAccount(self._sandbox_url, key.secret_key, key.publishable_key, key.webhook_secret)
        return folder, self._database(f"run{self._number}", source=self._source(world)), account

    def _source(self, world: str) -> str:
        return self._name(world)

    def _name(self, name: str) -> str:
        if self._url:
            return f"house_{self._mark}_{name}"
        return str(self.folder / f"{name}.sqlite3")

    def _database(self, name: str, *, source: str = "") -> str:
        target = self._name(name)
        self._databases.append(target)
        if source:
            copy_database(self._url, source, target)
        else:
            make_database(self._url, target)
        return target

    def forget(self, run: "Run") -> None:
        """A run that ended well needs no more room."""
        shutil.rmtree(run.folder, ignore_errors=True)
        drop_database(self._url, run.database)
        self._databases.remove(run.database)

    def _open(self, **more: str) -> SandboxAccount:
        return SandboxAccount.open(self._sandbox_url, **more)

    def _account_id(self, account: SandboxAccount) -> str:
        known = SandboxAccount(self._sandbox_url, account.secret_key, account.publishable_key)
        return str(known.control("GET", "/_sandbox/health")["account"])

    def _start_sandbox(self) -> None:
        port = urlsplit(self._sandbox_url).port or 0 if hasattr(self, "_sandbox_url") else 0
        self._sandbox, self._sandbox_url = start_sandbox(
            port=port, database=str(self._file), log=self.folder / "sandbox.log"
        )


class Run:
    """One journey on one copy."""

    def __init__(self, house: House, journey: str) -> None:
        self.house, self.journey = house, journey
        self.world = JOURNEYS[journey].world
        self.folder, self.database, self.account = house.copy(self.world)
        self.result: Any = None

    @property
    def was_killed(self) -> bool:
        """Whether the child ended by SIGKILL."""
        return bool(self.result["code"] == -9)

    @property
    def outcome(self) -> Any:
        """What was left; None where it was killed."""
        return self.result["answer"]

    def points(self) -> list[str]:
        """The moments that were reached, in order."""
        return (self.folder / "points").read_text().splitlines()

    def recover(self, **more: Any) -> Any:
        """A fresh process takes over; returns what is left when it is at rest."""
        self.result = self.house.tell(
            "recover", self.folder, self.database, self.account, journey=self.journey, **more
        )
        return self.outcome


def differences(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where two outcomes differ, as readable lines."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = sorted(expected.keys() | found.keys())
        return [
            line
            for name in names
            for line in differences(expected.get(name), found.get(name), f"{path}/{name}")
        ]
    return [] if expected == found else [f"{path}: expected {expected}, found {found}"]


def _copy_rows(file: sqlite3.Connection, table: str, source: str, target: str) -> None:
    """All rows of one Stripe account for another one; its own id may stand in the documents too."""
    names = [
        row[1] for row in file.execute(f"PRAGMA table_info({table})") if row[1] not in ("seq", "account")
    ]
    picked = ", ".join("replace(doc, ?, ?)" if name == "doc" else name for name in names)
    values = [source, target] if "doc" in names else []
    file.execute(
        f"INSERT INTO {table} (account, {', '.join(names)}) "
        f"SELECT ?, {picked} FROM {table} WHERE account = ? ORDER BY rowid",
        [target, *values, source],
    )
