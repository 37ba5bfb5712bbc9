"""The image and the compose file are valid, and say what a server needs."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.once
BIN = Path(sys.executable).parent


def compose() -> dict:
    return YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())


def check(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_compose_file_follows_the_specification(tmp_path):
    schema = (str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec")
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("interval: 30s", "intervall: 30s"))

    assert check(*schema, "docker-compose.yml").returncode == 0
    assert check(*schema, str(broken)).returncode != 0


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    done = check(str(BIN / "hadolint"), "Dockerfile")

    assert done.returncode == 0, done.stdout


def test_each_service_is_watched_and_restarted():
    services = compose()["services"]

    assert set(services) == {"web", "worker", "beat", "migrate", "db", "redis"}
    for name, service in services.items():
        if name != "migrate":
            assert "test" in service["healthcheck"], name
            assert service["restart"] == "unless-stopped", name


def test_nothing_starts_before_the_database_is_migrated():
    for name in ("web", "worker", "beat"):
        needs = compose()["services"][name]["depends_on"]

        assert needs["migrate"] == {"condition": "service_completed_successfully"}


def test_the_image_runs_as_nobody_in_particular_and_without_demo_or_tests():
    dockerfile = (ROOT / "Dockerfile").read_text()
    left_out = (ROOT / ".dockerignore").read_text().splitlines()

    assert "\nUSER 10001\n" in dockerfile
    assert {"**/tests", "config/demo", "config/settings/demo.py"} <= set(left_out)
    assert "!sandbox" not in left_out
    assert "sandbox" not in dockerfile


def test_every_folder_that_the_image_copies_is_there_and_let_through():
    sources = [
        line.split()[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")
    ]
    left_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {name for name in sources if not name.startswith("--")} - {"requirements-uv.txt"} <= left_in
    assert all((ROOT / name).exists() for name in left_in)
