"""One run of the demo's clock: what was asked for, how far it is, and what happened, kept in a file.

It is written after every hop, so that the page can show it while it goes on and be reloaded afterwards.
Only numbers and codes are kept: names and words are looked up when it is shown.
"""

import datetime as dt
import fcntl
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from accounts import clock
from accounts.access import decide_access
from accounts.models import Account
from config.demo.turning import Happened, Watch, turn, work

logger = logging.getLogger(__name__)


class AlreadyTurning(Exception):
    """Time goes one way at a time: somebody turns the clock at this moment."""


@dataclass
class Step:
    """One hop in which something happened."""

    at: str
    events: list[int] = field(default_factory=list)
    #: Number, address, subject and language of each mail.
    mails: list[list[str]] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass
class Chapter:
    """Steps under one headline of a story; a plain turn is one chapter without."""

    code: str = ""
    days: int = 0
    at: str = ""
    steps: list[Step] = field(default_factory=list)
    #: How the story's account stood at the end of it.
    stands: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """What is kept of one run."""

    code: str
    began: str
    until: str = ""
    state: str = "running"
    account: str = ""
    email: str = ""
    total: int = 0
    chapters: list[Chapter] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    error: str = ""
    #: Where time has got to, and how many hops that took.
    now: str = ""
    hops: int = 0


Story = Callable[["Teller"], None]


class Teller:
    """Tells a run as it goes: opens chapters, turns time, keeps what happened."""

    def __init__(self, run: Run) -> None:
        self.run, self._watch = run, Watch()

    @property
    def now(self) -> dt.datetime:
        """What the product believes it is."""
        return clock.now()

    def about(self, account: Account, email: str) -> None:
        """The account that the story is about."""
        self.run.account, self.run.email = account.public_id, email

    def chapter(self, code: str, *, days: int = 0) -> None:
        """A new headline; the account's state before it is noted under the one that ends."""
        self.run.chapters.append(Chapter(code=code, days=days, at=self.now.isoformat()))
        self.save()

    def settle(self) -> None:
        """Let the jobs do what this moment asks for."""
        self.keep(work(self._watch))

    def turn_to(self, moment: dt.datetime) -> None:
        """Turn time, a day at a hop."""
        for happened in turn(moment, self._watch):
            self.run.hops += 1
            self.keep(happened)

    def keep(self, happened: Happened) -> None:
        """Note a hop in which something happened under the present headline."""
        chapter, run = self.run.chapters[-1], self.run
        mails = [[mail.number, mail.to, mail.subject, mail.language] for mail in happened.mails]
        if happened.events or mails or happened.failed:
            at = happened.at.isoformat()
            chapter.steps.append(Step(at, happened.events, mails, happened.done, happened.failed))
        for name, number in happened.done.items():
            run.done[name] = run.done.get(name, 0) + number
        chapter.at = happened.at.isoformat()
        chapter.stands = self._stands()
        self.save()

    def _stands(self) -> dict[str, Any]:
        account = Account.objects.filter(public_id=self.run.account).first()
        if account is None:
            return {}
        access = decide_access(state=account.state, access_ends_at=account.access_ends_at, at=self.now)
        until = access.until.isoformat() if access.until else ""
        return {"state": account.state, "is_open": access.is_open, "until": until}

    def save(self) -> None:
        """Write it down in one go: whoever reads sees it whole."""
        self.run.now = self.now.isoformat()
        path = file_of_run()
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self.run)))
        scratch.replace(path)


# --- Where it is kept, and one at a time ----------------------------------------------------------


def file_of_run() -> Path:
    """Beside the file that turns the clock."""
    path = Path(settings.CLOCK_FILE).with_name("clock-run.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_run() -> Run | None:
    """The newest run, or None; one whose process ended under way is told as broken off."""
    try:
        kept = json.loads(file_of_run().read_text())
    except FileNotFoundError:
        return None
    chapters = [
        Chapter(**chapter | {"steps": [Step(**step) for step in chapter["steps"]]})
        for chapter in kept.pop("chapters")
    ]
    run = Run(**kept, chapters=chapters)
    if run.state == "running" and not is_turning():
        run.state, run.error = "failed", "broken off"
    return run


@contextmanager
def alone() -> Iterator[None]:
    """Hold the clock; raises `AlreadyTurning`. Let go by the system where the process dies."""
    with file_of_run().with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyTurning from None
        yield


def is_turning() -> bool:
    """Whether somebody turns the clock at this moment."""
    try:
        with alone():
            return False
    except AlreadyTurning:
        return True


def tell(code: str, story: Story, *, until: str = "", total: int = 0) -> Run:
    """Run it here and now; returns what is kept of it. An error ends it, is kept, and is raised."""
    with alone():
        return _tell(code, story, until=until, total=total)


def start_telling(code: str, story: Story, *, until: str = "", total: int = 0) -> None:
    """Run it in a thread of this process, so that a page can show how far it is; raises `AlreadyTurning`."""
    started: list[bool] = []
    ready = threading.Event()

    def run() -> None:
        try:
            with alone():
                started.append(True)
                Teller(Run(code, clock.now().isoformat(), until=until, total=total)).save()
                ready.set()
                _tell(code, story, until=until, total=total)
        except AlreadyTurning:
            pass
        except Exception:
            logger.exception("the clock was not turned to the end")
        finally:
            ready.set()
            connection.close()

    threading.Thread(target=run, name="clock", daemon=True).start()
    ready.wait()
    if not started:
        raise AlreadyTurning


def _tell(code: str, story: Story, *, until: str, total: int) -> Run:
    teller = Teller(Run(code, clock.now().isoformat(), until=until, total=total))
    try:
        story(teller)
    except Exception as error:
        teller.run.state, teller.run.error = "failed", type(error).__name__
        raise
    else:
        teller.run.state = "done"
    finally:
        teller.save()
    return teller.run
