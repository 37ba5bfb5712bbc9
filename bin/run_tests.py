"""What `bin/test` runs once .venv is ready: each phase by itself, and a loud account of what was not run.

Without arguments: lint, types, import rules, migrations, then all tests on SQLite and on PostgreSQL with
Redis. With pytest arguments: those tests on SQLite (and on PostgreSQL too with `--pg` as the first one).
TEST_DATABASE_URL and TEST_REDIS_URL name servers to use; else the system's programs, else wheels, are
started on private data. REQUIRE_ALL=1 (CI) makes anything that was not run a failure.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from config.demo.browser import find_chromium  # noqa: E402
from config.demo.errors import StartFailed  # noqa: E402
from config.demo.processes import stop_all  # noqa: E402
from config.demo.servers import postgres_programs, redis_program, start_postgres, start_redis  # noqa: E402

APPS = ["accounts", "billing", "offboarding", "config", "sandbox"]
OUT = ROOT / "var" / "test"
BIN = Path(sys.executable).parent
ALL_REQUIRED = os.environ.get("REQUIRE_ALL") == "1"


@dataclass
class Report:
    """How each phase went, and which tests ran nowhere."""

    phases: list[tuple[str, bool, float]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ran: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, command: list[str], env: dict[str, str] | None = None) -> bool:
        """Run one phase, showing its output; a failure does not stop the others."""
        print(f"\n=== {name}", flush=True)
        started = time.monotonic()
        env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings.test", **(env or {})}
        code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
        self.phases.append((name, code == 0, time.monotonic() - started))
        return code == 0

    def read(self, results: Path) -> None:
        """Note from a JUnit file which tests ran and which were skipped, and why."""
        if not results.exists():
            return
        for case in ElementTree.parse(results).iter("testcase"):  # noqa: S314 (pytest wrote it)
            name = f"{case.get('classname')}::{case.get('name')}"
            skip = case.find("skipped")
            if skip is None:
                self.ran.add(name)
            else:
                self.skipped[name] = skip.get("message") or "no reason given"

    def not_run(self) -> list[str]:
        """Reasons with the number of tests that ran in no phase, and what was missing altogether."""
        reasons: dict[str, list[str]] = {}
        for name, reason in self.skipped.items():
            if name not in self.ran:
                reasons.setdefault(reason, []).append(name)
        lines = [f"{len(names)} tests: {reason}" for reason, names in sorted(reasons.items())]
        return self.missing + lines

    def finish(self) -> int:
        """Print the account; 0 when all that ran passed and nothing required was left out."""
        print("\n" + "=" * 78)
        for name, passed, seconds in self.phases:
            print(f"  {'ok    ' if passed else 'FAILED'}  {seconds:6.1f} s  {name}")
        print(f"  {'':6}  {sum(phase[2] for phase in self.phases):6.1f} s  together")
        left_out = self.not_run()
        if left_out:
            print("\n  NOT RUN" + (" (and REQUIRE_ALL=1 makes that a failure)" if ALL_REQUIRED else ""))
            for line in left_out:
                print(f"    ! {line}")
        else:
            print("\n  Nothing was left out.")
        failed = [name for name, passed, _ in self.phases if not passed]
        good = not failed and not (left_out and ALL_REQUIRED)
        print("\n  " + ("PASSED" if good else "FAILED: " + (", ".join(failed) or "something was not run")))
        return 0 if good else 1


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; the exit code says whether all of it passed."""
    OUT.mkdir(parents=True, exist_ok=True)
    report = Report()
    with_servers = not arguments
    if arguments[:1] == ["--pg"]:
        with_servers, arguments = True, arguments[1:]
    if not arguments:
        static_phases(report)
    run_pytest(report, "tests on SQLite", arguments, {"DATABASE_URL": sqlite_url()})
    if with_servers:
        tests_with_servers(report, arguments)
    return report.finish()


def static_phases(report: Report) -> None:
    """Everything that reads the code without running it."""
    present = [app for app in APPS if (ROOT / app / "__init__.py").exists()]
    report.run("lint", [str(BIN / "ruff"), "check", "."])
    report.run("format", [str(BIN / "ruff"), "format", "--check", "."])
    report.run("types", [str(BIN / "mypy"), *present, "bin"])
    report.run("import rules", [str(BIN / "lint-imports"), "--no-cache"])
    manage = [sys.executable, "manage.py"]
    settings = {"DATABASE_URL": sqlite_url()}
    report.run("system checks", [*manage, "check", "--fail-level", "WARNING"], settings)
    report.run(
        "migrations complete", [*manage, "makemigrations", "--check", "--dry-run", *APPS[:3]], settings
    )


def sqlite_url() -> str:
    return f"sqlite:///{OUT / 'db.sqlite3'}"


def run_pytest(
    report: Report, name: str, arguments: list[str], env: dict[str, str], *, again: bool = False
) -> None:
    """One run on two workers, or as the arguments say; `again` leaves out what the first run settled."""
    results = OUT / f"{name.replace(' ', '-')}.xml"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", f"--junitxml={results}", "-q"]
    if not arguments:
        command += ["-n", "2", "--dist", "loadfile", "--durations", "8"]
        if again:
            command += ["-m", "not once", "--ignore", "sandbox"]
    report.run(name, command + arguments, env)
    report.read(results)
    if find_chromium() is None and not report.missing:
        report.missing.append(
            "browser tests: no Chromium. Type: sudo apt-get install -y chromium (or: "
            ".venv/bin/playwright install chromium), or set CHROMIUM=/path"
        )


def tests_with_servers(report: Report, arguments: list[str]) -> None:
    """The same tests on PostgreSQL and Redis, wherever they come from."""
    try:
        with servers() as env:
            run_pytest(report, "tests on PostgreSQL and Redis", arguments, env, again=True)
            if ALL_REQUIRED and not arguments:
                report.run("the mirror's real migrations", [sys.executable, "bin/check_migrations.py"], env)
    except StartFailed as error:
        report.missing.append(
            f"all tests on PostgreSQL and Redis: {error}\n      Type: sudo apt-get install -y "
            "--no-install-recommends postgresql redis-server, or set TEST_DATABASE_URL and TEST_REDIS_URL"
        )


@contextlib.contextmanager
def servers() -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL of servers: the named ones, else private ones that end with this block."""
    started = []
    env = {"DATABASE_URL": os.environ.get("TEST_DATABASE_URL", "")}
    env["REDIS_URL"] = os.environ.get("TEST_REDIS_URL", "")
    with tempfile.TemporaryDirectory(prefix="good-terms-test-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user where we are root: that user must be able to pass.
        folder.chmod(0o755)
        try:
            if not env["DATABASE_URL"]:
                programs = postgres_programs()
                if programs is None:
                    raise StartFailed("no PostgreSQL was found")
                process, env["DATABASE_URL"] = start_postgres(programs, folder)
                started.append(process)
                print(f"\n  PostgreSQL: {programs}")
            if not env["REDIS_URL"]:
                program = redis_program()
                if program is None:
                    raise StartFailed("no Redis was found")
                process, env["REDIS_URL"] = start_redis(program, folder / "redis.log")
                started.append(process)
                print(f"  Redis: {program}", flush=True)
            yield env
        finally:
            stop_all(started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
