"""The only door through which mail leaves."""

import datetime as dt
import zoneinfo
from dataclasses import dataclass
from typing import Any

import requests
from anymail.exceptions import AnymailError
from anymail.message import AnymailMessage
from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone


class MailFailed(Exception):
    """The mail service did not take the message; `code` is safe to store."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Message:
    """A rendered mail."""

    to: str
    subject: str
    text: str
    html: str
    language: str


def render_message(
    kind: str, context: dict[str, Any], *, to: str, language: str, zone: zoneinfo.ZoneInfo | dt.tzinfo
) -> Message:
    """Render `mail/<kind>.html` three times: as subject, as text, as HTML. One template, one truth."""
    context = context | {
        "company": settings.COMPANY_NAME,
        "site": settings.SITE_URL,
        "support": settings.SUPPORT_EMAIL,
    }
    with timezone.override(zone):
        subject, text, html = (
            render_to_string(f"mail/{kind}.html", context | {"layout": f"mail/layout.{form}"})
            for form in ("subject", "txt", "html")
        )
    return Message(to=to, subject=" ".join(subject.split()), text=_tidy(text), html=html, language=language)


def _tidy(text: str) -> str:
    """Strip each line and fold runs of blank lines, which template tags leave behind."""
    lines = [line.strip() for line in text.strip().splitlines()]
    kept = [line for index, line in enumerate(lines) if line or lines[index - 1]]
    return "\n".join(kept) + "\n"


def send_message(message: Message, *, tag: str) -> str:
    """Hand one message to the mail service. Returns its id there; raises `MailFailed`."""
    email = AnymailMessage(
        subject=message.subject,
        body=message.text,
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[message.to],
        headers={"Auto-Submitted": "auto-generated", "Content-Language": message.language},
    )
    email.attach_alternative(message.html, "text/html")
    email.tags = [tag]
    try:
        email.send()
    except AnymailError as error:
        raise MailFailed(type(error).__name__) from error
    except (OSError, requests.RequestException) as error:
        raise MailFailed(type(error).__name__) from error
    status = getattr(email, "anymail_status", None)
    return (status.message_id if status and status.message_id else "") or ""
