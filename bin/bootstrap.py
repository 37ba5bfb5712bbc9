"""Prepare .venv with the locked requirements and compile the translations. Standard library only.

Works on a fresh machine: with uv on the PATH, with pip, or with neither (Debian splits both off its
Python): then uv's wheel is fetched and believed by the checksums of requirements-uv.txt only.
A stamp with the locks' hash makes every later start instant.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

ROOT = Path(__file__).resolve().parent.parent
UV_LOCK = ROOT / "requirements-uv.txt"


class SetupFailed(SystemExit):
    """The set-up cannot go on; the message says why and what to type next."""


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Bring .venv and the translations up to date, saying each step that takes time."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dev", action="store_true", help="the tools of the tests too")
    options.add_argument("--venv", type=Path, default=ROOT / ".venv")
    chosen = options.parse_args(arguments)
    locks = [ROOT / "requirements.txt", *([ROOT / "requirements-dev.txt"] if chosen.dev else [])]
    with one_at_a_time(chosen.venv):
        install(chosen.venv, locks)
        compile_translations(chosen.venv)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Two starts at once: the second waits for the first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprint(locks: list[Path]) -> str:
    """What an environment depends on: the locks and the place (scripts hold absolute paths)."""
    digest = hashlib.sha256(str(ROOT).encode())
    for lock in locks:
        digest.update(lock.read_bytes())
    return digest.hexdigest()


def install(folder: Path, locks: list[Path]) -> None:
    """Install the locked requirements into `folder` unless its stamp says that they are there."""
    wanted = {lock.name: fingerprint([lock]) for lock in locks}
    stamp = folder / "good-terms.json"
    done = read_stamp(stamp)
    if wanted.items() <= done.items() and (folder / "bin" / "python").exists():
        return
    started = time.monotonic()
    if not usable(folder):
        say(f"making {folder.name} with Python {platform.python_version()}")
        make_environment(folder)
        done = {}
    count = sum(len(re.findall(r"^[\w.\[\]-]+==", lock.read_text(), re.MULTILINE)) for lock in locks)
    say(f"installing {count} pinned packages (the first time this takes 10 to 60 s)")
    run_installer(folder, locks)
    stamp.write_text(json.dumps(done | wanted))
    say(f"installed in {time.monotonic() - started:.0f} s")


def read_stamp(stamp: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return {}
    return found


def usable(folder: Path) -> bool:
    """True when the environment there runs a Python that is new enough."""
    test = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([folder / "bin" / "python", "-c", test], check=False).returncode == 0
    except OSError:
        return False


def make_environment(folder: Path) -> None:
    """An environment without pip: the one thing that works on every Python, Debian's included."""
    try:
        import venv
    except ImportError as error:
        raise SetupFailed("This Python has no venv. Type: sudo apt-get install -y python3-venv") from error
    if folder.exists():
        if not (folder / "pyvenv.cfg").exists():
            raise SetupFailed(
                f"{folder} is in the way and is no virtual environment. Move it, then start again."
            )
        shutil.rmtree(folder)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)


def run_installer(folder: Path, locks: list[Path]) -> None:
    requirements = [part for lock in locks for part in ("-r", str(lock))]
    uv = find_uv(folder)
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        str(folder / "bin" / "python"),
        "--require-hashes",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    # The second try believes the system's certificates: behind a company's proxy only they are right.
    for trust in ({}, {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}):
        tried = subprocess.run(
            [*command, *requirements], env=environment | trust, stderr=subprocess.PIPE, text=True, check=False
        )
        if tried.returncode == 0:
            return
    raise SetupFailed(
        f"{tried.stderr}\nThe requirements could not be installed. Is the package index reachable?\n"
        "Behind a proxy set HTTPS_PROXY; for a mirror set UV_INDEX_URL; then start again."
    )


def find_uv(folder: Path) -> str:
    """uv from the PATH, from this environment, from pip, or as a wheel; pip alone is several times slower."""
    own = folder / "bin" / "uv"
    for candidate in (shutil.which("uv"), str(own)):
        if candidate and works(candidate):
            return candidate
    say("fetching the installer uv")
    if not install_uv_with_pip(folder) or not works(str(own)):
        fetch_uv(own)
    return str(own)


def works(program: str) -> bool:
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install_uv_with_pip(folder: Path) -> bool:
    """True when some pip of this Python could install uv into the environment."""
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    command += ["--disable-pip-version-check", "--require-hashes", "-r", str(UV_LOCK)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fetch_uv(target: Path) -> None:
    """Put uv's program from its wheel at `target`; a file with another checksum is refused."""
    allowed = set(re.findall(r"sha256:([0-9a-f]{64})", UV_LOCK.read_text()))
    version = re.search(r"^uv==([\d.]+)", UV_LOCK.read_text(), re.MULTILINE)
    assert version
    index = os.environ.get("UV_INDEX_URL") or os.environ.get("PIP_INDEX_URL") or ""
    if not index:
        raise SetupFailed(
            "This Python has neither uv nor pip, and no index is named. Install pip, then start again:\n"
            "    sudo apt-get install -y python3-pip    (or set UV_INDEX_URL to your package index)"
        )
    try:
        address = wheel_address(index.rstrip("/") + "/uv/", version.group(1))
        wheel = read(address)
    except OSError as error:
        raise SetupFailed(
            f"The installer uv could not be fetched ({error}). Install it, then start again:\n"
            "    sudo apt-get install -y python3-pip    (or your system's pip, or uv itself)"
        ) from error
    if hashlib.sha256(wheel).hexdigest() not in allowed:
        raise SetupFailed("The fetched uv has an unknown checksum; it was not used.")
    with zipfile.ZipFile(BytesIO(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        target.write_bytes(archive.read(name))
    target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


class Links(HTMLParser):
    """Every href of a page of the index."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "a" and name == "href" and value]


def read(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as response:
        body: bytes = response.read()
    return body


def wheel_address(page: str, version: str) -> str:
    """The address of uv's wheel for this machine on a page of a package index (PEP 503)."""
    for link in Links(read(page).decode()).found:
        address = urldefrag(urljoin(page, link)).url
        name = unquote(address.rpartition("/")[2])
        if name.startswith(f"uv-{version}-") and name.endswith(".whl") and fits(name):
            return address
    raise SetupFailed(
        f"There is no uv {version} for this machine ({platform.platform()}). Install pip or uv."
    )


def fits(name: str) -> bool:
    """True when a wheel's platform tag names this system and processor."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform == "darwin":
        return "macosx" in name and name.endswith(f"{'arm64' if machine == 'aarch64' else machine}.whl")
    libc = "musllinux" if "musl" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "") else "manylinux"
    return libc in name and name.endswith(f"{machine}.whl")


def compile_translations(folder: Path) -> None:
    """Compile each locale's messages that changed, with Babel: no gettext is needed."""
    for source in sorted(ROOT.glob("locale/*/LC_MESSAGES/django.po")):
        compiled = source.with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime:
            continue
        language = source.parent.parent.name
        pybabel = str(folder / "bin" / "pybabel")
        command = [pybabel, "compile", "-l", language, "-i", str(source), "-o", str(compiled)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise SetupFailed(
                f"The translation {source.relative_to(ROOT)} does not compile:\n{result.stderr}"
            )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
