"""axe-core, which finds what people with assistive technology cannot use; fetched once, never shipped."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from config.demo.stripe_sandbox import ROOT

PACKAGE = "axe-core@4.14.1"
FOLDER = ROOT / "var" / "axe"
HOW = "no axe-core: install npm (it fetches the package once), or set AXE to the path of axe.min.js"
#: WCAG 2.2 at level AA. On our own pages also what axe recommends; the desk's landmarks are its theme's.
RUN = """async () => {
  const wcag = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
  const found = await axe.run(document, {
    runOnly: location.pathname.startsWith("/admin/") ? wcag : [...wcag, "best-practice"],
    resultTypes: ["violations"],
  });
  return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
}"""


def find_axe() -> str | None:
    """The source of axe: AXE, else what was fetched before, else fetched with npm; None where none works."""
    named = os.environ.get("AXE")
    if named:
        return Path(named).read_text()
    kept = FOLDER / "package" / "axe.min.js"
    if not kept.exists() and not _fetch():
        return None
    return kept.read_text()


def _fetch() -> bool:
    npm = shutil.which("npm")
    if npm is None:
        return False
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", PACKAGE, "--pack-destination", str(FOLDER)]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, check=False, timeout=120)
    packed = sorted(FOLDER.glob("axe-core-*.tgz"))
    if done.returncode or not packed:
        return False
    with tarfile.open(packed[-1]) as archive:
        archive.extract("package/axe.min.js", FOLDER, filter="data")
    return True


def violations(page: Any, source: str) -> list[str]:
    """What axe finds on the page that is shown, one line for each rule."""
    page.evaluate(source)
    return [str(line) for line in page.evaluate(RUN)]
