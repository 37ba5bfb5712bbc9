"""Pictures of every page: `python -m config.demo.screenshots --out DIR`, or of a running demo with `--url`.

Each page at 320 and 1280 px, in light and dark, in both languages, named `language/page-width-scheme.png`.
Prints what a person would have to look for otherwise: pages wider than the window, over 100 KB, or broken;
with `--axe` also what axe-core finds.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from config.demo import gallery
from config.demo.__main__ import seed
from config.demo.axe import HOW, find_axe, violations
from config.demo.browser import FLAGS, find_chromium
from config.demo.errors import StartFailed
from config.demo.gallery import Stop
from config.demo.stack import Stack

WIDTHS = {320: 640, 1280: 800}
SCHEMES = ("light", "dark")
LANGUAGES = ("en", "es")
LIMIT = 100_000
#: As whom, and the pages that they have.
Tour = tuple[str, Callable[[Any, str, str], Iterator[Stop]]]
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Camera:
    """Takes the pictures and notes what is wrong with a page."""

    out: Path
    base_url: str
    only: str = ""
    looks: tuple[str, ...] = ()
    axe: str = ""
    taken: int = 0
    complaints: list[str] = field(default_factory=list)

    def shoot(self, page: Any, stop: Stop, language: str) -> None:
        """One page in both schemes at both widths; loaded anew for a scheme, as scripts choose by it."""
        if self.only not in stop.name:
            return
        for scheme in SCHEMES:
            widths = [w for w in WIDTHS if not self.looks or f"{w}-{scheme}" in self.looks]
            if not widths:
                continue
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": widths[0], "height": WIDTHS[widths[0]]})
            self._judge(stop, language, page.goto(stop.url))
            has_card_form = page.locator("#card-slot").count() > 0
            if has_card_form:
                page.wait_for_selector("#card-button:not([hidden])", timeout=10_000)
            for width in widths:
                page.set_viewport_size({"width": width, "height": WIDTHS[width]})
                if has_card_form:
                    # A frame of another origin is not painted before somebody has scrolled to it.
                    page.locator("#card-slot").scroll_into_view_if_needed()
                    page.wait_for_timeout(300)  # it tells its new height
                self._take(page, stop, f"{language}/{stop.name}-{width}-{scheme}.png")

    def try_to_shoot(self, page: Any, stop: Stop, language: str) -> None:
        """One page that does not open is a complaint, not the end."""
        from playwright.sync_api import Error

        try:
            self.shoot(page, stop, language)
        except Error as error:
            self.complaints.append(f"{language}/{stop.name}: {str(error).splitlines()[0]}")

    def _take(self, page: Any, stop: Stop, name: str) -> None:
        too_wide = int(page.evaluate(OVERFLOW))
        if too_wide > 0:
            self.complaints.append(f"{name}: {too_wide} px wider than the window")
        # A mail shown alone may run no script, not even that one.
        if self.axe and not stop.url.endswith("/html"):
            self.complaints += [f"{name}: {line}" for line in violations(page, self.axe)]
        page.screenshot(path=str(self.out / name), full_page=True)
        self.taken += 1

    def _judge(self, stop: Stop, language: str, answer: Any) -> None:
        if answer is None:
            return
        size = len(answer.body())
        # The desk's lists are its theme's: long-winded, and short once they are compressed.
        if size > LIMIT and "/admin/" not in stop.url:
            self.complaints.append(f"{language}/{stop.name}: {size / 1000:.0f} KB")
        if answer.status >= 500:
            self.complaints.append(f"{language}/{stop.name}: answers {answer.status}")


def take_all(camera: Camera, browser: Any, languages: tuple[str, ...]) -> None:
    """Visit everything as everyone who has a page of their own, in each language."""
    tours: list[Tour] = [("", gallery.stops_of_anyone)]
    tours += [(email, gallery.stops_of_customer) for email in gallery.STATES]
    tours += [(email, gallery.stops_of_staff) for email in gallery.STAFF]
    for email, stops in tours:
        context = browser.new_context(locale="en-GB", timezone_id="Europe/Madrid")
        page, scout = context.new_page(), context.new_page()
        if email:
            gallery.sign_in(page, camera.base_url, email)
        spoken_before = page.locator("html").get_attribute("lang") if email else ""
        for language in languages:
            gallery.speak(page, camera.base_url, language)
            for stop in stops(scout, camera.base_url, email):
                camera.try_to_shoot(page, stop, language)
        if spoken_before:
            gallery.speak(page, camera.base_url, spoken_before)
        context.close()


def _answer(body: str, route: Any) -> None:
    route.fulfill(body=body, content_type="text/html; charset=utf-8")


def take_error_pages(camera: Camera, browser: Any, languages: tuple[str, ...]) -> None:
    """Those that cannot be asked for: rendered here, shown at the demo's address so that styles load."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.test"
    import django
    from django.template.loader import render_to_string
    from django.utils import translation

    django.setup()
    from accounts.models import User

    page, reader = browser.new_page(), User(email="paying@olive.example")
    for language in languages:
        for code in gallery.ALONE:
            with translation.override(language):
                # Who meets a 403 is signed in: so says the page, and so must its header.
                body = render_to_string(f"{code}.html", {"user": reader} if code == "403" else {})
            address = f"{camera.base_url}/shown/{code}/"
            page.route(address, partial(_answer, body))
            camera.shoot(page, Stop(f"error-{code}", address), language)
            page.unroute(address)
    page.close()


@contextmanager
def running_demo() -> Iterator[str]:
    """A demo of its own with the examples, for as long as the pictures take."""
    with tempfile.TemporaryDirectory(prefix="good-terms-pictures-") as folder:
        stack = Stack(Path(folder), say=lambda text: print(f"  {text}", flush=True))
        try:
            stack.start(lambda: seed(stack))
            yield stack.url
        finally:
            stack.stop()


def take(camera: Camera, languages: tuple[str, ...]) -> None:
    """All pictures that this camera is to take."""
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        raise StartFailed("No Chromium was found: install chromium, or set CHROMIUM to its path.")
    # Playwright runs an event loop in this thread; the templates rendered here know nothing of it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        take_error_pages(camera, browser, languages)
        take_all(camera, browser, languages)
        browser.close()


def main() -> int:
    """Take them; ends with 1 where a page is too wide, too heavy or broken."""
    options = argparse.ArgumentParser(prog="python -m config.demo.screenshots", description=__doc__)
    options.add_argument("--out", type=Path, required=True, metavar="DIR")
    options.add_argument("--url", default="", help="of a demo that runs already; else one is started")
    options.add_argument("--language", choices=LANGUAGES, help="one language only")
    options.add_argument("--only", default="", help="only pages with this in their name")
    options.add_argument("--look", action="append", default=[], help="such as 320-dark; repeat for more")
    options.add_argument("--axe", action="store_true", help="also ask axe-core about each of them")
    chosen = options.parse_args()
    camera = Camera(chosen.out, chosen.url.rstrip("/"), chosen.only, tuple(chosen.look))
    if chosen.axe:
        camera.axe = find_axe() or ""
        if not camera.axe:
            print(HOW, file=sys.stderr)
            return 1
    languages = (chosen.language,) if chosen.language else LANGUAGES
    try:
        if camera.base_url:
            take(camera, languages)
        else:
            with running_demo() as camera.base_url:
                take(camera, languages)
    except StartFailed as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{camera.taken} pictures in {chosen.out}")
    for line in camera.complaints:
        print(f"  {line}")
    return 1 if camera.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
