"""Where someone is signed in, in words that they know."""

import pytest
from django.utils import translation

from accounts.templatetags.browser_name import browser_name

pytestmark = pytest.mark.once

MOZILLA = "Mozilla/5.0 "
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{MOZILLA}(Windows NT 10.0; Win64; x64) {CHROME}Safari/537.36 Edg/126.0.0.0", "Edge on Windows"),
        (f"{MOZILLA}(X11; Linux x86_64) {CHROME}Safari/537.36", "Chrome on Linux"),
        (f"{MOZILLA}(Linux; Android 14; Pixel 8) {CHROME}Mobile Safari/537.36", "Chrome on Android"),
        (
            f"{MOZILLA}(iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605 Version/17.5 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            f"{MOZILLA}(Macintosh; Intel Mac OS X 14.5; rv:127.0) Gecko/20100101 Firefox/127.0",
            "Firefox on macOS",
        ),
        ("curl/8.6.0", "curl/8.6.0"),
        ("x" * 300, "x" * 60),
        ("", "an unknown browser"),
    ],
)
def test_a_browser_is_called_by_its_name(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


def test_it_has_a_name_in_spanish_too() -> None:
    with translation.override("es"):
        assert browser_name(f"{MOZILLA}(X11; Linux x86_64) {CHROME}Safari/537.36") == "Chrome en Linux"
