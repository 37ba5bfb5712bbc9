"""`bin/demo` starts everything, says where it is, and leaves nothing running behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.demo.__main__ import login_lines
from config.demo.processes import free_port, listens

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.once,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for orphans in /proc (Linux)"),
]


class Demo:
    """A demo in a folder of its own, without example customers."""

    def __init__(self, folder: Path, port: int, *arguments: str) -> None:
        self.folder, self.port, self.output = folder, port, folder.parent / f"{folder.name}.out"
        env = {**os.environ, "DEMO_DIR": str(folder), "REDIS_URL": "", "SANDBOX_PORT": "0"}
        env.pop("PYTEST_VERSION", None)
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "config.demo", "--empty", "--port", str(port), *arguments],
            cwd=ROOT,
            env=env,
            stdout=self.output.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for(self, text: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while text not in self.output.read_text():
            assert self.popen.poll() is None, self.output.read_text()
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.1)

    def children(self) -> set[int]:
        """Every process that has this demo's folder in its command or environment."""
        found = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                facts = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(self.folder).encode() in facts:
                    found.add(int(entry.name))
        return found - {os.getpid()}

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()
        self.popen.wait(10)
        end = time.monotonic() + 10
        while self.children() and time.monotonic() < end:
            time.sleep(0.1)
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo") / "state"


@pytest.fixture
def demo(folder) -> Iterator[Demo]:
    started = Demo(folder, free_port())
    yield started
    started.end()


def test_it_prints_its_addresses_answers_there_and_ends_on_ctrl_c(demo):
    demo.wait_for("Stop: Ctrl-C")
    with urllib.request.urlopen(f"http://localhost:{demo.port}/readyz") as answer:
        ready = answer.status
    running = demo.children()
    demo.popen.send_signal(signal.SIGINT)
    demo.popen.send_signal(signal.SIGINT)
    code = demo.popen.wait(20)

    assert ready == 200
    assert len(running) >= 5, "the demo, broker, sandbox, web, worker"
    assert code == 0
    assert demo.children() == set()
    assert not listens(demo.port)
    assert f"http://localhost:{demo.port}/demo/mail/" in demo.output.read_text()


def seconds_of_work() -> float:
    """How long a second's work takes now: more than a second on a machine that others use too."""
    started, worked = time.monotonic(), time.process_time()
    while time.process_time() - worked < 1:
        sum(range(1000))
    return time.monotonic() - started


def test_a_second_start_takes_less_than_ten_seconds_and_a_crash_is_reported(demo):
    started = time.monotonic()
    demo.wait_for("Stop: Ctrl-C")
    seconds = (time.monotonic() - started) / seconds_of_work()
    # The lowest id: those that it forked have the same command.
    worker = min(
        pid for pid in demo.children() if b"--beat" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
    )
    os.kill(worker, signal.SIGKILL)
    code = demo.popen.wait(20)

    assert seconds < 10
    assert code == 1
    assert "worker ended with code -9" in demo.output.read_text()
    assert demo.children() == set()


def test_killing_it_leaves_no_orphans(demo):
    demo.wait_for("Stop: Ctrl-C")
    demo.popen.kill()
    demo.popen.wait(10)
    end = time.monotonic() + 60
    while demo.children() and time.monotonic() < end:
        time.sleep(0.1)

    assert demo.children() == set()


def test_a_port_in_use_is_said_with_the_way_out(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        demo = Demo(tmp_path / "state", port)
        code = demo.popen.wait(30)

    assert code == 1
    assert f"Port {port} is in use. Choose another: bin/demo --port {port + 1}" in demo.output.read_text()


def test_two_demos_in_one_folder_are_refused(demo, folder):
    demo.wait_for("Stop: Ctrl-C")
    other = subprocess.run(
        [sys.executable, "-m", "config.demo", "--empty"],
        cwd=ROOT,
        env={**os.environ, "DEMO_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert other.returncode == 1
    assert "running from this folder already" in other.stderr


def test_logins_are_printed_as_a_table(tmp_path):
    file = tmp_path / "logins.json"
    file.write_text('[{"email": "ana@demo.test", "password": "pw", "about": "active, monthly"}]')

    assert login_lines(file)[1].split() == ["ana@demo.test", "pw", "active,", "monthly"]
    assert login_lines(tmp_path / "none.json") == []
