"""The mails that the demo wrote to disk, to read in a browser (demo, dev and tests only)."""

import email
import email.policy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

#: What Django's file backend writes between two messages of one file.
RULE = b"\n" + b"-" * 79 + b"\n"
SHOWN = 200
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


@dataclass(frozen=True)
class StoredMail:
    """One message with what a list shows of it."""

    number: str
    message: EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"] or _("(no subject)"))

    @property
    def to(self) -> str:
        return str(self.message["To"] or "")

    @property
    def sender(self) -> str:
        return str(self.message["From"] or "")

    @property
    def sent_at(self) -> datetime | None:
        header = self.message["Date"]
        return parsedate_to_datetime(str(header)) if header else None

    @property
    def language(self) -> str:
        return str(self.message["Content-Language"] or "en")

    def body(self, kind: str) -> str:
        """The "plain" or the "html" part, empty where there is none."""
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else ""


def stored_mails(folder: Path) -> Iterator[StoredMail]:
    """Newest first; a file of the backend may hold several messages."""
    for file in sorted(
        folder.glob("*.log"), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True
    ):
        yield from reversed(mails_in(file))


def mails_in(file: Path) -> list[StoredMail]:
    """The messages of one file, in the order in which they were sent."""
    parts = [part for part in file.read_bytes().split(RULE) if part.strip()]
    found = []
    for index, part in enumerate(parts):
        parsed = email.message_from_bytes(part, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        found.append(StoredMail(f"{file.stem}-{index}", parsed))
    return found


def _one(number: str) -> StoredMail:
    for mail in stored_mails(mail_folder()):
        if mail.number == number:
            return mail
    raise Http404


def mail_folder() -> Path:
    """Where the mails are written; a folder that is not there where they go elsewhere."""
    return Path(getattr(settings, "EMAIL_FILE_PATH", None) or "var/no-mail")


@require_safe
@never_cache
def messages(request: HttpRequest) -> HttpResponse:
    """The last 200 mails; `?to=` narrows them to one address."""
    to = request.GET.get("to", "").strip().lower()
    found = []
    for mail in stored_mails(mail_folder()):
        if to in mail.to.lower():
            found.append(mail)
        if len(found) == SHOWN:
            break
    timezone.activate(settings.COMPANY_TIME_ZONE)  # as on the page of the clock
    return render(request, "demo/mail.html", {"mails": found, "to": to})


@require_safe
@never_cache
def message(request: HttpRequest, number: str) -> HttpResponse:
    """One mail: its headers, the HTML part in a frame without rights, the text part below."""
    mail = _one(number)
    timezone.activate(settings.COMPANY_TIME_ZONE)
    parts = {"text": mail.body("plain"), "has_html": bool(mail.body("html"))}
    return render(request, "demo/message.html", {"mail": mail, **parts})


@require_safe
@never_cache
@xframe_options_sameorigin
def message_html(request: HttpRequest, number: str) -> HttpResponse:
    """The HTML part alone, as a mail program shows it: no script runs, links open in the whole window."""
    response = HttpResponse(f'<base target="_top">{_one(number).body("html")}')
    response["Content-Security-Policy"] = FRAME_POLICY
    return response
