"""`bin/demo`: start everything, print where it is and who can sign in, stop on Ctrl-C."""

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from config.demo.errors import StartFailed
from config.demo.processes import listens
from config.demo.stack import Stack
from config.demo.stripe_sandbox import ROOT

STATE = Path(os.environ.get("DEMO_DIR", ROOT / "var" / "demo"))
PORT = 8000


class Stopped(BaseException):
    """Ctrl-C or SIGTERM; not an error, so nothing on the way may take it for one."""


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def main() -> int:
    """Parse, start, watch; the exit code is 0 for a wanted end and a passed check."""
    options = argparse.ArgumentParser(prog="bin/demo", description=__doc__)
    options.add_argument(
        "--port", type=int, help=f"port of the web pages (default: {PORT}, or the next free)"
    )
    options.add_argument("--reset", action="store_true", help="forget everything and start afresh")
    options.add_argument("--empty", action="store_true", help="no example customers")
    options.add_argument("--check", action="store_true", help="drive the main journey on free ports and stop")
    chosen = options.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        if chosen.check:
            return check(chosen.port)
        return run(chosen.port, reset=chosen.reset, empty=chosen.empty)
    except Stopped:
        print("\n  stopped", flush=True)
        return 0
    except StartFailed as error:
        print(f"\n{error}", file=sys.stderr, flush=True)
        return 1


def _stop(number: int, frame: FrameType | None) -> None:
    # A second Ctrl-C while children end must not leave some of them running.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Stopped


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the demo's folder: a second demo on the same database would be confusing, so it is refused."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartFailed(
                "A demo is running from this folder already. Stop it with Ctrl-C there."
            ) from None
        yield


def run(port: int | None, *, reset: bool, empty: bool) -> int:
    """The demo until Ctrl-C, or until a process crashes (then 1, with the end of its log)."""
    started = time.monotonic()
    with only_one(STATE):
        print("Good Terms, the demo", flush=True)
        if reset or (STATE.exists() and not empty and not Stack(STATE).seeded):
            # A first start that was broken off half-way begins again: half of the examples would mislead.
            shutil.rmtree(STATE, ignore_errors=True)
        stack = make_stack(STATE, chosen_port(port))
        try:
            stack.start((lambda: None) if empty else (lambda: seed(stack)))
            show(stack, time.monotonic() - started)
            return watch(stack)
        finally:
            stack.stop()


def make_stack(folder: Path, port: int) -> Stack:
    """A stack as the environment says: SANDBOX_PORT, STRIPE_API_BASE, REDIS_URL."""
    return Stack(
        folder,
        port=port,
        sandbox_port=int(os.environ.get("SANDBOX_PORT", "0")),
        api_base=os.environ.get("STRIPE_API_BASE", ""),
        redis_url=os.environ.get("REDIS_URL", ""),
        say=say,
    )


def chosen_port(wanted: int | None) -> int:
    """The port asked for, which must be free, else the first free one from 8000."""
    if wanted is not None:
        if listens(wanted):
            raise StartFailed(f"Port {wanted} is in use. Choose another: bin/demo --port {wanted + 1}")
        return wanted
    return next(port for port in range(PORT, PORT + 100) if not listens(port))


def seed(stack: Stack) -> None:
    """Make the example customers, once."""
    if stack.seeded:
        return
    say("making example customers (about a minute, only the first time)")
    stack.manage("seed_demo", show=True)
    stack.mark_seeded()


def show(stack: Stack, seconds: float) -> None:
    """Print addresses and logins."""
    print(f"\nReady after {seconds:.0f} s.\n")
    places = {
        "The product": f"{stack.url}/",
        "Mails that were sent": f"{stack.url}/demo/mail/",
        "The clock, to turn": f"{stack.url}/demo/clock/",
        "Support and finance": f"{stack.url}/admin/",
        "The Stripe sandbox": stack.sandbox_url,
    }
    for name, address in places.items():
        print(f"  {name:<24}{address}")
    for line in login_lines(stack.folder / "logins.json"):
        print(line)
    print(f"\n  Logs: {stack.folder / 'log'}   Stop: Ctrl-C   Afresh: bin/demo --reset\n", flush=True)


def login_lines(file: Path) -> list[str]:
    """A table of who can sign in, from what `seed_demo` wrote."""
    try:
        found: Any = json.loads(file.read_text())
    except FileNotFoundError:
        return []
    rows = [
        (str(row.get("email", "")), str(row.get("password", "")), str(row.get("about", row.get("state", ""))))
        for row in (found.get("logins", []) if isinstance(found, dict) else found)
    ]
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = ["\n  Sign in as:"]
    lines += [
        f"    {email:<{widths[0]}}  {password:<{widths[1]}}  {about}" for email, password, about in rows
    ]
    return lines


def watch(stack: Stack) -> int:
    """Wait until a signal ends it; a process that ends by itself is reported and ends it too."""
    pause = threading.Event()
    while not pause.wait(0.5):
        process = stack.crashed()
        if process is not None:
            print(
                f"\n{process.name} ended with code {process.returncode}:\n{process.tail()}", file=sys.stderr
            )
            return 1
    return 0


def check(port: int | None) -> int:
    """The main journey over HTTP and the audit, on a database of its own; 0 when all holds."""
    folder = Path(tempfile.mkdtemp(prefix="good-terms-check-"))
    stack = make_stack(folder, port or 0)
    print("Good Terms, checking the main journey", flush=True)
    try:
        stack.start(lambda: seed(stack))
        stack.manage("demo_check", "--base-url", stack.url, show=True)
        stack.manage("audit", show=True)
        if (crashed := stack.crashed()) is not None:
            raise StartFailed(f"{crashed.name} ended on its own.\n{crashed.tail()}")
    except StartFailed:
        print(f"  logs are kept in {folder / 'log'}", file=sys.stderr)
        stack.stop()
        raise
    finally:
        stack.stop()
    shutil.rmtree(folder)
    print("  all of it holds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
