"""How a download is written: one ZIP of JSON Lines and CSV per type, streamed from one snapshot.

Generated from the deletion map. Memory stays flat: rows come through a cursor, CSV goes through a
scratch file, and nothing is held but the row at hand. Formats: docs of JSON Lines (jsonlines.org)
and RFC 4180; the manifest holds the count of rows and the SHA-256 of every file.
"""

import datetime as dt
import hashlib
import io
import json
import os
import secrets
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.template.loader import render_to_string

from accounts.classification import Entry, Rows, Subject, concrete_fields, registry
from accounts.spreadsheet import SafeWriter

FORMAT = 1
CHUNK = 1000


@dataclass(frozen=True)
class Part:
    """One type of data in the file: its name, its columns as (header, ORM path), its rows."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: Rows


@dataclass(frozen=True)
class Written:
    """What was written for one file, for the manifest."""

    name: str
    rows: int
    size: int
    sha256: str


def folder() -> Path:
    """Where downloads lie: readable by the product's own user alone, never under a served folder."""
    path = Path(settings.PRIVATE_FILES) / "exports"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    path.chmod(0o700)
    return path


@contextmanager
def snapshot() -> Iterator[str]:
    """A connection of its own that sees one moment of the database; yields its alias (D5).

    REPEATABLE READ on PostgreSQL; on SQLite a read transaction in WAL, which no writer waits for.
    A second connection, so that progress can be written meanwhile.
    """
    own = _second_connection(f"snapshot-{secrets.token_hex(4)}")
    connections[own.alias] = own
    try:
        with transaction.atomic(using=own.alias):
            if own.vendor == "postgresql":
                with own.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield own.alias
    finally:
        own.close()
        del connections[own.alias]


def _second_connection(alias: str) -> BaseDatabaseWrapper:
    own = connections["default"].copy(alias)
    options = own.settings_dict["OPTIONS"]
    options.pop("pool", None)
    if own.vendor == "sqlite":
        # Reading must not take the one lock for writing, which is what the product's own does.
        options["transaction_mode"] = "DEFERRED"
    return own


def parts_of(subject: Subject, *, own_only: bool, using: str) -> list[Part]:
    """Every exported type of the map that has a file, with the rows of this subject."""
    found = []
    for entry in registry:
        if not entry.exported or not entry.name or (own_only and not entry.own):
            continue
        rows = entry.own_rows(subject) if own_only else entry.rows_to_export(subject)
        found.append(Part(entry.name, tuple(columns_of(entry)), rows.using(using).order_by("pk")))
    return found


def columns_of(entry: Entry) -> list[tuple[str, str]]:
    """(header, ORM path) of each exported field; a foreign key gives what its target is known by."""
    keys = {each.label.lower(): each.key for each in registry if each.key}
    found = []
    fields = concrete_fields(entry.model)
    for name in entry.exported:
        column = fields[name]
        target = column.related_model._meta.label_lower if column.is_relation else ""  # type: ignore[union-attr]
        key = keys.get(target, "")
        found.append((name, f"{name}__{key}" if key else name))
    return found


def _add(progress: Callable[[int], None], before: int, rows: int) -> None:
    progress(before + rows)


class _Hashing:
    """A binary stream that counts and hashes what passes through."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self._hash.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


def write_archive(
    target: Path, parts: list[Part], *, about: dict[str, Any], progress: Callable[[int], None]
) -> list[Written]:
    """Write the whole archive to `target` (created 0600). `progress` hears how many rows are done."""
    written: list[Written] = []
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
            done = 0
            for part in parts:
                written += _write_part(archive, part, partial(_add, progress, done))
                done += written[-1].rows
            _write_text(archive, "README.txt", render_to_string("data/readme.txt", about | {"parts": parts}))
            _write_text(archive, "manifest.json", _manifest(written, about))
        raw.flush()
        os.fsync(raw.fileno())
    return written


def _write_part(archive: zipfile.ZipFile, part: Part, progress: Callable[[int], None]) -> list[Written]:
    """`<name>.jsonl` and `<name>.csv` from one reading of the rows."""
    headers = [header for header, _path in part.columns]
    count = 0
    with tempfile.TemporaryFile(dir=folder()) as scratch:
        text = io.TextIOWrapper(scratch, encoding="utf-8", newline="", write_through=True)
        sheet = SafeWriter(text)
        sheet.write_row(headers)
        with archive.open(f"{part.name}.jsonl", "w", force_zip64=True) as entry:
            lines = _Hashing(entry)
            for values in part.rows.values_list(*(path for _, path in part.columns)).iterator(CHUNK):
                lines.write(json_line(dict(zip(headers, values, strict=True))))
                sheet.write_row(as_cell(value) for value in values)
                count += 1
                if count % CHUNK == 0:
                    progress(count)
        first = Written(f"{part.name}.jsonl", count, lines.size, lines.sha256)
        text.flush()
        scratch.seek(0)
        with archive.open(f"{part.name}.csv", "w", force_zip64=True) as entry:
            cells = _Hashing(entry)
            shutil.copyfileobj(scratch, cells)
        text.detach()
    progress(count)
    return [first, Written(f"{part.name}.csv", count, cells.size, cells.sha256)]


def _write_text(archive: zipfile.ZipFile, name: str, text: str) -> None:
    archive.writestr(name, text.encode())


def _manifest(written: list[Written], about: dict[str, Any]) -> str:
    files = [{"name": w.name, "rows": w.rows, "bytes": w.size, "sha256": w.sha256} for w in written]
    head = {
        "format": FORMAT,
        "account": about["account"].public_id,
        "made_at": about["at"].isoformat(),
        "scope": "own" if about["own_only"] else "account",
    }
    return json.dumps(head | {"files": files}, indent=2, ensure_ascii=False) + "\n"


def json_line(row: dict[str, Any]) -> bytes:
    """One line of JSON Lines: keys in the order of the columns, moments in ISO 8601 with their zone."""
    return json.dumps(row, default=_plain, ensure_ascii=False).encode() + b"\n"


def as_cell(value: Any) -> Any:
    """The same value as one cell of CSV; nested values stay JSON."""
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _plain(value) if isinstance(value, (dt.date, Decimal, UUID)) else value


def _plain(value: Any) -> str:
    if isinstance(value, (dt.datetime, dt.date)):
        return value.isoformat()
    return str(value)
