"""What the image collects is complete: every file that a template names is there, under its hashed name."""

import json
import re
from pathlib import Path

from django.core.management import call_command

from config.settings import base

ROOT = Path(__file__).resolve().parents[2]


def test_every_static_file_that_a_template_names_is_collected(settings, tmp_path):
    settings.STATIC_ROOT = str(tmp_path)
    settings.STORAGES = base.STORAGES
    call_command("collectstatic", interactive=False, verbosity=0)
    collected = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    templates = [
        path for folder in ("templates", "accounts", "billing") for path in (ROOT / folder).rglob("*.html")
    ]
    named = {
        name for path in templates for name in re.findall(r"{% static ['\"]([^'\"]+)['\"]", path.read_text())
    }

    assert named - set(collected) == set()
    assert named, "the pages have a style sheet"
    assert all((tmp_path / hashed).exists() for hashed in collected.values())
