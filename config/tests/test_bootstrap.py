"""The set-up works on a fresh machine, and says what to type where it cannot."""

import hashlib
import http.server
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.once


def load():
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "bin" / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bootstrap = load()


@pytest.mark.parametrize("script", ["demo", "test"])
def test_without_python_it_says_the_line_to_type(tmp_path, script):
    for name in ("sh", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name))
    # An old Python is no Python: this one refuses whatever it is asked.
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "apt-get").chmod(0o755)
    done = subprocess.run(
        [str(ROOT / "bin" / script)], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "sudo apt-get install -y python3" in done.stderr


def test_the_starters_are_plain_posix_shell():
    shell = shutil.which("dash") or shutil.which("sh")
    for name in ("python.sh", "demo", "test", "backup", "restore"):
        done = subprocess.run([shell, "-n", str(ROOT / "bin" / name)], capture_output=True, check=False)

        assert done.returncode == 0, name


def test_the_bootstrap_needs_the_standard_library_only():
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(ROOT / "bin" / "bootstrap.py"), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_a_stamp_makes_the_second_set_up_instant_and_a_new_lock_undoes_it(tmp_path, monkeypatch):
    lock, runs = tmp_path / "requirements.txt", []
    lock.write_text("six==1.0\n")
    monkeypatch.setattr(bootstrap, "run_installer", lambda folder, locks: runs.append(locks))
    folder = tmp_path / "env"
    bootstrap.install(folder, [lock])
    bootstrap.install(folder, [lock])
    once = len(runs)
    lock.write_text("six==1.1\n")
    bootstrap.install(folder, [lock])

    assert (once, len(runs)) == (1, 2)


def test_a_folder_that_is_no_environment_is_not_removed(tmp_path):
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "thesis.txt").write_text("precious")

    with pytest.raises(SystemExit, match="in the way"):
        bootstrap.make_environment(tmp_path / "env")
    assert (tmp_path / "env" / "thesis.txt").read_text() == "precious"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index on loopback with one wheel of uv for this machine."""
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-9.9.9.data/scripts/uv", "#!/bin/sh\necho uv 9.9.9\n")
    name = f"uv-9.9.9-py3-none-{platform_tag()}.whl"
    folder = tmp_path / "index" / "uv"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(wheel.getvalue())
    (folder / "index.html").write_text(f'<a href="other-1.whl">x</a><a href="{name}#sha256=0">uv</a>')
    lock = tmp_path / "requirements-uv.txt"
    lock.write_text(f"uv==9.9.9 \\\n    --hash=sha256:{hashlib.sha256(wheel.getvalue()).hexdigest()}\n")
    monkeypatch.setattr(bootstrap, "UV_LOCK", lock)
    handler = type(
        "Quiet",
        (http.server.SimpleHTTPRequestHandler,),
        {
            "log_message": lambda *a: None,
            "__init__": lambda s, *a: http.server.SimpleHTTPRequestHandler.__init__(
                s, *a, directory=str(tmp_path / "index")
            ),
        },
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("UV_INDEX_URL", f"http://127.0.0.1:{server.server_port}")
    yield lock
    server.shutdown()


def platform_tag() -> str:
    machine = os.uname().machine
    return f"macosx_11_0_{machine}" if sys.platform == "darwin" else f"manylinux_2_17_{machine}"


def test_without_uv_and_pip_the_wheel_is_fetched(index, tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap, "install_uv_with_pip", lambda folder: False)
    (tmp_path / "env" / "bin").mkdir(parents=True)

    assert bootstrap.works(bootstrap.find_uv(tmp_path / "env"))


def test_a_wheel_with_another_checksum_is_refused(index, tmp_path):
    index.write_text(f"uv==9.9.9 \\\n    --hash=sha256:{'0' * 64}\n")

    with pytest.raises(SystemExit, match="checksum"):
        bootstrap.fetch_uv(tmp_path / "uv")
    assert not (tmp_path / "uv").exists()


def test_without_pip_and_index_it_says_what_to_type(tmp_path, monkeypatch):
    for name in ("UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(bootstrap.SetupFailed, match="python3-pip"):
        bootstrap.fetch_uv(tmp_path / "uv")


def test_an_index_out_of_reach_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:1")

    with pytest.raises(SystemExit, match="apt-get install -y python3-pip"):
        bootstrap.fetch_uv(tmp_path / "uv")


def test_translations_are_compiled_without_gettext(tmp_path, monkeypatch):
    source = tmp_path / "locale" / "es" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    source.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "Leave"\nmsgstr "Salir"\n'
    )
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    bootstrap.compile_translations(Path(sys.prefix))
    made = source.with_suffix(".mo")
    first = made.stat().st_mtime_ns
    bootstrap.compile_translations(Path(sys.prefix))

    assert b"Salir" in made.read_bytes()
    assert made.stat().st_mtime_ns == first


def test_a_broken_translation_is_named(tmp_path, monkeypatch):
    source = tmp_path / "locale" / "es" / "LC_MESSAGES" / "django.po"
    source.parent.mkdir(parents=True)
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
    source.write_text(head + '#, python-format\nmsgid "%(days)s days"\nmsgstr "%(dias)s días"\n')
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)

    with pytest.raises(SystemExit, match=r"locale/es/LC_MESSAGES/django\.po"):
        bootstrap.compile_translations(Path(sys.prefix))
