"""Child processes with a log, a readiness test and a sure end."""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from config.demo.errors import StartFailed

PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A TCP port on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_parent() -> None:
    """Ask Linux to stop this child when its parent dies, even by SIGKILL."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def as_user(name: str | None) -> dict[str, Any]:
    """Arguments of Popen that start a child as this user and its group, with no other group."""
    if name is None:
        return {}
    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


class Process:
    """One child in a session of its own, so that it and all it started end together."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        end: int = signal.SIGTERM,
    ) -> None:
        self.name, self.command, self.log, self.end = name, list(command), log, end
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            # The offset of this start, so that a tail never shows a former run.
            self.log_start = output.tell()
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform.startswith("linux") else None,
                **as_user(user),
            )

    @property
    def pid(self) -> int:
        return int(self._popen.pid)

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        code: int | None = self._popen.poll()
        return code

    def output(self) -> str:
        """What this start has written so far."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def tail(self, lines: int = 25) -> str:
        """The last lines of the log, for a report of a failure."""
        return "\n".join(self.output().splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 30) -> None:
        """Return when `ready()` holds; raise StartFailed with the log's end on exit or after `seconds`."""
        end = time.monotonic() + seconds
        while not ready():
            if self.returncode is not None:
                raise StartFailed(f"{self.name} ended with code {self.returncode}.\n{self.tail()}")
            if time.monotonic() > end:
                raise StartFailed(f"{self.name} was not ready after {seconds:.0f} s.\n{self.tail()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._signal(signal.SIGKILL)
        self._popen.wait(5)

    def ask_to_end(self) -> None:
        """Send the signal on which it ends in good order, without waiting."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, self.end)

    def stop(self, *, seconds: float = 8) -> None:
        """Ask it to end, then end its whole group by force."""
        self.ask_to_end()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        self._signal(signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(5)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def stop_all(processes: Sequence[Process], *, seconds: float = 8) -> None:
    """End them, last started first, so that nobody loses a server that it still needs."""
    for process in reversed(processes):
        process.stop(seconds=seconds)


def answers(url: str, *, timeout: float = 2) -> bool:
    """True when a GET of `url` is answered with a status below 500."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return int(response.status) < 500
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def listens(port: int) -> bool:
    """True when something accepts connections on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
