"""The one place where CSV is written: RFC 4180, UTF-8, and safe to open in a spreadsheet.

A cell whose text begins like a formula would be run by the program that opens it
(https://owasp.org/www-community/attacks/CSV_Injection): it gets an apostrophe before it. Numbers
are left alone, minus signs included.
"""

import csv
from collections.abc import Iterable
from typing import IO, Any

#: What spreadsheets take for the beginning of a formula.
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def safe_cell(value: Any) -> Any:
    """The cell as it may be opened anywhere: text that looks like a formula gets an apostrophe."""
    if isinstance(value, str) and value.startswith(DANGEROUS):
        return f"'{value}"
    return "" if value is None else value


class SafeWriter:
    """Writes rows of cells to a text stream, each made safe."""

    def __init__(self, stream: IO[str]) -> None:
        self._writer = csv.writer(stream, lineterminator="\r\n")

    def write_row(self, cells: Iterable[Any]) -> None:
        """One line."""
        self._writer.writerow([safe_cell(cell) for cell in cells])
