"""The whole product on one machine: broker, sandbox, database, web, worker with beat; for demo and tests."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.demo.errors import StartFailed
from config.demo.processes import Process, answers, end_with_parent, free_port, stop_all
from config.demo.servers import redis_program, start_redis
from config.demo.stripe_sandbox import ROOT, SandboxAccount, start_sandbox

Say = Callable[[str], None]
#: What a start hands on from the environment; the rest of a person's settings must not leak into the demo.
KEPT = {
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE"),
    *("COMPANY_NAME", "COMPANY_TIME_ZONE", "LOG_LEVEL"),
}


@dataclass
class Stack:
    """Starts everything in `folder`, which holds all of its state, and stops it again."""

    folder: Path
    port: int = 0
    sandbox_port: int = 0
    #: SQLite in `folder` where none is given.
    database_url: str = ""
    #: The address that the product calls; the sandbox itself where none is given.
    api_base: str = ""
    redis_url: str = ""
    settings: str = "config.settings.demo"
    say: Say = lambda text: None
    extra: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list, init=False)
    account: SandboxAccount = field(init=False)
    sandbox_url: str = field(default="", init=False)

    @property
    def url(self) -> str:
        """Where a browser opens the product."""
        return f"http://localhost:{self.port}"

    # --- start and stop -------------------------------------------------------------------------

    def start(self, before_worker: Callable[[], None] = lambda: None) -> None:
        """Start all of it and return when it answers; on any failure stop what runs and raise StartFailed.

        `before_worker` is done when all but the worker answers: example customers are made as of
        moments of the past, which a worker that lives in the present would take for work left lying.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        try:
            self._start_broker()
            self._start_sandbox()
            self.create_database()
            web = self._start_web()
            web.wait_until(lambda: answers(f"{self.url}/healthz"), seconds=60)
            before_worker()
            worker = self._start_worker()
            worker.wait_until(lambda: "ready." in worker.output(), seconds=60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process, in the order in which they can do without each other."""
        for process in self.processes:
            if process.name in {"web", "worker"}:
                process.ask_to_end()
        stop_all(self.processes)
        self.processes.clear()

    def crashed(self) -> Process | None:
        """A process that ended though nobody asked it to."""
        return next((process for process in self.processes if process.returncode is not None), None)

    def process(self, name: str) -> Process:
        """One of "broker", "sandbox", "web", "worker"."""
        return next(process for process in self.processes if process.name == name)

    def restart_broker(self) -> Process:
        """Start the same broker at the same address, empty, after it was killed."""
        former = self.process("broker")
        self.processes.remove(former)
        broker = Process("broker", former.command, former.log)
        self.processes.insert(0, broker)
        broker.wait_until(lambda: "eady to accept connections" in broker.output(), seconds=10)
        return broker

    def restart_worker(self) -> Process:
        """Start the worker again after it was killed or stopped."""
        self.processes = [process for process in self.processes if process.name != "worker"]
        worker = self._start_worker()
        worker.wait_until(lambda: "ready." in worker.output(), seconds=60)
        return worker

    # --- the parts --------------------------------------------------------------------------------

    def _log(self, name: str) -> Path:
        return self.folder / "log" / f"{name}.log"

    def _start_broker(self) -> None:
        if self.redis_url:
            return
        program = redis_program()
        if program is None:
            self.say("no Redis can be had here: folders carry the jobs' bell")
            return
        try:
            process, self.redis_url = start_redis(program, self._log("broker"))
        except StartFailed as error:
            self.say(
                f"{program} does not run here, folders carry the jobs' bell ({str(error).splitlines()[0]})"
            )
            return
        self.processes.append(process)

    def _start_sandbox(self) -> None:
        database = str(self.folder / "sandbox.sqlite3")
        self.say("starting the Stripe sandbox")
        process, self.sandbox_url = start_sandbox(
            port=self.sandbox_port, database=database, log=self._log("sandbox")
        )
        self.processes.append(process)
        kept = self._kept()
        self.account = SandboxAccount.open(self.sandbox_url, suffix=kept["stripe_suffix"])
        self.account = self._registered(kept)

    def _registered(self, kept: dict[str, str]) -> SandboxAccount:
        """The account with its webhook endpoint: the former one, moved to today's port, else a new one."""
        url = f"http://127.0.0.1:{self.port}/webhooks/stripe/"
        if kept.get("endpoint"):
            try:
                self.account.call("POST", f"/v1/webhook_endpoints/{kept['endpoint']}", {"url": url})
            except RuntimeError:
                kept.pop("endpoint")
        if not kept.get("endpoint"):
            made = self.account.call("POST", "/v1/webhook_endpoints", {"url": url, "enabled_events[0]": "*"})
            kept |= {"endpoint": str(made["id"]), "webhook_secret": str(made["secret"])}
            self._keep(kept)
        account = self.account
        return SandboxAccount(
            account.url, account.secret_key, account.publishable_key, kept["webhook_secret"]
        )

    def create_database(self) -> None:
        """Migrate, unless nothing that a migration depends on has changed since the last start."""
        kept = self._kept()
        fingerprint = schema_fingerprint()
        if kept.get("schema") == f"{fingerprint}|{self._database_url()}" and self._database_there():
            return
        self.say("creating the database" if not kept.get("schema") else "upgrading the database")
        self.manage("migrate", "--noinput", "--skip-checks", "-v", "0")
        self._keep(self._kept() | {"schema": f"{fingerprint}|{self._database_url()}"})

    def _start_web(self) -> Process:
        self.say("starting the web server")
        command = [sys.executable, "-m", "gunicorn", "config.wsgi:application"]
        command += ["--bind", f"127.0.0.1:{self.port}", "--workers", "1", "--threads", "8"]
        command += [
            "--log-level",
            "warning",
            "--graceful-timeout",
            "3",
            "--timeout",
            "120",
            "--no-control-socket",
        ]
        return self._run("web", command)

    def _start_worker(self) -> Process:
        self.say("starting the worker and its timetable")
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "--beat"]
        command += ["--schedule", str(self.folder / "beat-schedule"), "--concurrency", "2"]
        command += [
            "--loglevel",
            "INFO",
            "--without-gossip",
            "--without-mingle",
            "--hostname",
            f"gt{self.port}@%h",
        ]
        return self._run("worker", command)

    def _run(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, self._log(name), env=self.environment(), cwd=ROOT)
        self.processes.append(process)
        return process

    # --- what the processes are told ------------------------------------------------------------------

    def environment(self) -> dict[str, str]:
        """The environment of every process of this stack."""
        stripe = {
            "STRIPE_SECRET_KEY": self.account.secret_key,
            "STRIPE_PUBLISHABLE_KEY": self.account.publishable_key,
            "STRIPE_WEBHOOK_SECRET": self.account.webhook_secret,
            "STRIPE_API_BASE": self.api_base or self.sandbox_url,
            "STRIPE_JS_URL": f"{self.sandbox_url}/v3/",
        }
        own = {
            "DJANGO_SETTINGS_MODULE": self.settings,
            "DEMO_DIR": str(self.folder),
            "DATABASE_URL": self._database_url(),
            "REDIS_URL": self.redis_url,
            "SITE_URL": self.url,
            "SECRET_KEY": self._kept()["secret_key"],
            "SANDBOX_URL": self.sandbox_url,
            "PYTHONUNBUFFERED": "1",
        }
        return {name: os.environ[name] for name in KEPT if name in os.environ} | own | stripe | self.extra

    def manage(self, *arguments: str, show: bool = False) -> str:
        """Run `manage.py` as the stack's processes run; returns what it printed, raises when it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.STDOUT,
            text=True,
            check=False,
            # Ctrl-C is for the demo alone, which then ends this child too.
            start_new_session=True,
            preexec_fn=end_with_parent if sys.platform.startswith("linux") else None,
        )
        if done.returncode:
            tail = "" if show else "\n".join((done.stdout or "").splitlines()[-25:])
            raise StartFailed(f"manage.py {arguments[0]} ended with code {done.returncode}.\n{tail}")
        return done.stdout or ""

    def _database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'db.sqlite3'}"

    def _database_there(self) -> bool:
        return bool(self.database_url) or (self.folder / "db.sqlite3").exists()

    # --- what is kept from one start to the next ------------------------------------------------------

    def _kept(self) -> dict[str, str]:
        file = self.folder / "kept.json"
        try:
            found: dict[str, str] = json.loads(file.read_text())
        except FileNotFoundError:
            found = {"stripe_suffix": secrets.token_hex(16), "secret_key": secrets.token_urlsafe(50)}
            self._keep(found)
        return found

    def _keep(self, facts: dict[str, Any]) -> None:
        file = self.folder / "kept.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(facts, indent=1))

    @property
    def seeded(self) -> bool:
        """True once the example customers are complete."""
        return self._kept().get("seeded") == "yes"

    def mark_seeded(self) -> None:
        self._keep(self._kept() | {"seeded": "yes"})


def schema_fingerprint() -> str:
    """Changes with any migration and any locked package (theirs have migrations too)."""
    digest = hashlib.sha256((ROOT / "requirements.txt").read_bytes())
    for path in sorted([*ROOT.glob("*/migrations/*.py"), *ROOT.glob("config/mirror_tables/*.py")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
