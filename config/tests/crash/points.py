"""The moments at which a process can die and it matters: around every commit, provider call and mail."""

import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import requests
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

WRITE = re.compile(r"(INSERT|UPDATE|DELETE)\b(?:\s+(?:OR\s+IGNORE|INTO|FROM))*\s+\"?(\w+)", re.IGNORECASE)


class Points:
    """Counts the moments, writes each down, and ends the process by SIGKILL at the chosen one."""

    def __init__(self, log: Path, kill_at: int = 0) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._kill_at = kill_at
        self._count = 0
        self._is_over = False
        self._written: list[str] = []

    def reach(self, what: str) -> None:
        """One such moment; for the chosen one nothing comes after it."""
        if self._is_over:
            return
        self._count += 1
        os.write(self._log, f"{what}\n".encode())
        if self._count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        """The journey is over; what is done now only looks."""
        self._is_over = True

    def watch(self) -> None:
        """From here on this process counts."""
        self._watch_commits()
        self._watch_statements()
        self._watch_calls()

    def _watch_commits(self) -> None:
        commit = BaseDatabaseWrapper.commit

        def watched(wrapper):
            what = " ".join(dict.fromkeys(self._written))
            self._written.clear()
            if what:
                self.reach(f"before commit: {what}")
            commit(wrapper)
            if what:
                self.reach(f"after commit: {what}")

        BaseDatabaseWrapper.commit = watched

    def _watch_statements(self) -> None:
        """A statement outside a transaction is a commit of its own; one inside is part of the next."""

        def watched(execute, sql, params, many, context):
            found = WRITE.match(sql)
            if found is None:
                return execute(sql, params, many, context)
            what = f"{found[1].lower()} {found[2]}"
            if context["connection"].in_atomic_block:
                self._written.append(what)
                return execute(sql, params, many, context)
            self.reach(f"before {what}")
            result = execute(sql, params, many, context)
            self.reach(f"after {what}")
            return result

        connection.execute_wrappers.append(watched)

    def _watch_calls(self) -> None:
        send = requests.Session.send

        def watched(session, request, **kwargs):
            path = urlsplit(request.url).path
            if not path.startswith("/v1/"):
                return send(session, request, **kwargs)
            self.reach(f"before call: {request.method} {path}")
            answer = send(session, request, **kwargs)
            self.reach(f"after call: {request.method} {path}")
            return answer

        requests.Session.send = watched
