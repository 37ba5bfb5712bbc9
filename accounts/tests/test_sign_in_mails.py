"""allauth's mails and messages, in our words and our layout."""

import datetime as dt
import re
from pathlib import Path

import allauth
import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone, translation

SHIPPED = Path(allauth.__file__).parent / "templates"
PREFIXES = sorted(
    f"{app}/email/{path.name.removesuffix('_subject.txt')}"
    for app in ("account", "mfa")
    for path in (SHIPPED / app / "email").glob("*_subject.txt")
)
FACTS = {
    "code": "QX7-K2P",
    "email": "ana@example.com",
    "from_email": "old@example.com",
    "to_email": "new@example.com",
    "deleted_email": "gone@example.com",
    "password_reset_url": "https://example.com/reset/?a=1&b=2",
    "signup_url": "https://example.com/signup/",
    "activate_url": "https://example.com/confirm/",
    "ip": "192.0.2.1",
    "user_agent": "Browser <3>",
    "timestamp": dt.datetime(2026, 3, 11, 12, 5, tzinfo=dt.UTC),
}


def render(prefix: str, part: str, **facts: object) -> str:
    return render_to_string(f"{prefix}_{part}", FACTS | facts)


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_each_mail_is_ours_in_three_forms(prefix: str, language: str) -> None:
    with translation.override(language):
        subject = render(prefix, "subject.txt").strip()
        text = render(prefix, "message.txt")
        html = render(prefix, "message.html")

    assert subject
    assert "\n" not in subject
    assert "support@example.com" in text
    assert "<" not in text.replace("Browser <3>", "")
    assert f'<html lang="{language}">' in html
    assert "Browser <3>" not in html


@pytest.mark.parametrize(
    "prefix",
    ["account/email/login_code", "account/email/password_reset_code", "account/email/email_confirmation"],
)
def test_a_code_stands_alone_on_its_line(prefix: str) -> None:
    text = render(prefix, "message.txt")

    assert re.search(r"\n\nQX7-K2P\n\n", text)
    assert "QX7-K2P" not in render(prefix, "subject.txt")


def test_a_confirmation_without_a_code_leads_to_the_page() -> None:
    text = render("account/email/email_confirmation", "message.txt", code=None)

    assert "https://example.com/confirm/" in text
    assert "QX7-K2P" not in text


def test_a_change_says_when_and_from_where() -> None:
    text = render("account/email/password_changed", "message.txt")

    assert "When: 11 March 2026, 12:05 UTC" in text
    assert "From the address: 192.0.2.1" in text


def test_the_moment_of_a_change_is_told_in_the_readers_zone() -> None:
    with timezone.override(dt.timezone(dt.timedelta(hours=2))):
        text = render("account/email/password_changed", "message.txt")

    assert "11 March 2026, 14:05" in text


@pytest.mark.parametrize("app", ["account", "mfa", "usersessions"])
def test_each_message_of_the_sign_in_pages_is_ours(app: str) -> None:
    ours = Path(settings.BASE_DIR) / "templates" / app / "messages"
    shipped = {path.name for path in (SHIPPED / app / "messages").glob("*.txt")}
    phones = {"phone_verification_sent.txt", "phone_verified.txt"}

    assert shipped - phones == {path.name for path in ours.glob("*.txt")}
    for name in shipped - phones:
        assert render_to_string(f"{app}/messages/{name}", FACTS).strip()
