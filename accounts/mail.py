"""The only door through which mail leaves."""

import datetime as dt
import smtplib
import socket
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
    """The mail service did not take the message, or did not say whether it did.

    `code` is safe to store; `is_unanswered` means that the message may have left all the same.
    """

    def __init__(self, code: str, *, is_unanswered: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_unanswered = is_unanswered


#: Nothing was handed over: there was no connection yet, or the service said no in so many words.
NOT_TAKEN = (
    ConnectionRefusedError,
    FileNotFoundError,
    PermissionError,
    socket.gaierror,
    requests.ConnectTimeout,
    smtplib.SMTPResponseException,
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPNotSupportedError,
)


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
    except (AnymailError, OSError) as error:  # those of smtplib and requests are OSErrors
        raise MailFailed(type(error).__name__, is_unanswered=is_answer_lost(error)) from error
    status = getattr(email, "anymail_status", None)
    return (status.message_id if status and status.message_id else "") or ""


def is_answer_lost(error: BaseException) -> bool:
    """Whether the message may have been taken although this error came instead of an answer.

    A refusal (4xx, an SMTP reply) and a connection that was never made are answers; a time-out, a
    reset and a 5xx are not. What nobody foresaw counts as lost, so that it is tried once more only.
    """
    if isinstance(error, NOT_TAKEN):
        return False
    if isinstance(error, AnymailError):
        if error.status_code is not None:
            return bool(error.status_code >= 500)
        return error.__cause__ is not None and is_answer_lost(error.__cause__)
    return True
