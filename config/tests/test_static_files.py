"""What the image collects is complete: every file that a template names is there, under its hashed name."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.once
COLLECT = """
import sys, django
from config.settings import build
build.STATIC_ROOT = sys.argv[1]
django.setup()
from django.core.management import call_command
call_command("collectstatic", interactive=False, verbosity=0)
"""


def test_every_static_file_that_a_template_names_is_collected(tmp_path):
    env = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "config.settings.build"}
    done = subprocess.run(
        [sys.executable, "-c", COLLECT, str(tmp_path)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    collected = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    named = {
        name
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r"{% static ['\"]([^'\"]+)['\"]", path.read_text())
    }

    assert named - set(collected) == set()
    assert named, "the pages have a style sheet"
    assert all((tmp_path / hashed).exists() for hashed in collected.values())
