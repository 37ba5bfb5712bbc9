"""Where a Chromium for the browser tests is found."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = ("/usr/bin/chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome: CHROMIUM, the PATH, the usual places, then playwright's own."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    for path in [shutil.which(name) for name in NAMES] + list(PLACES):
        if path and Path(path).exists():
            return path
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH", Path.home() / ".cache" / "ms-playwright"))
    own = [
        path for name in ("headless_shell", "chrome") for path in sorted(cache.glob(f"chromium*/*/{name}"))
    ]
    return str(own[-1]) if own else None
