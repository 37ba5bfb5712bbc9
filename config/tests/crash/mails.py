"""A mail service of this proof: each message is one line of a file, so that it survives its sender."""

import json
import os

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

#: Set where the moments around a mail are counted.
watching = None


class LineBackend(BaseEmailBackend):
    """Appends kind and recipient of each message; a message is handed over when its line is written."""

    def send_messages(self, email_messages):
        for message in email_messages:
            kind = next(iter(getattr(message, "tags", [])), "")
            line = json.dumps({"kind": kind, "to": message.to})
            if watching:
                watching.reach(f"before mail: {kind}")
            handle = os.open(settings.EMAIL_FILE_PATH, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(handle, f"{line}\n".encode())
            os.close(handle)
            if watching:
                watching.reach(f"after mail: {kind}")
        return len(email_messages)
