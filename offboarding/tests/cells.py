"""What each ending means from each starting point: the table of docs/lifecycle.md, proved cell by cell.

`python -m offboarding.tests.cells` prints the table for the page; `test_lifecycle_matrix` holds the
product to the cells and the page to the table.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One ending from one starting point; amounts in minor units, `access` and `data` as codes below."""

    access: str
    refund: int = 0
    kept: int = 0
    owed: int | None = None
    data: str = "kept"
    undo: bool = False


ACCESS = {
    "now": "ends once confirmed",
    "today": "to the end of the day",
    "paid": "to the end of what is paid",
    "trial": "to the end of the trial",
    "grace": "to the day that the mails about the failure say, 7 days after it",
    "trial grace": "to the end of the days of grace",
    "trial grace+14": "to the end of the days of grace, and 14 days more",
    "resume": "none in the pause; closes when it would end",
    "paid+14": "to the end of what is paid, and 14 days more",
    "trial+14": "to the end of the trial, and 14 days more",
    "72 h": "72 hours more",
    "over": "over already",
}
DATA = {
    "kept": "yours to fetch until it is deleted, after 180 days",
    "deleted": "deleted after 30 days, or after 3 where the days to fetch it are given up",
    "held": "deleted 30 days after those 72 hours, or at their end where the days to fetch it are given up",
}

STOP_RENEWING, STOP_NOW, FREE_DAYS, CLOSE_DELETE = ENDINGS = (
    "stop_renewing",
    "stop_now",
    "free_days",
    "close_delete",
)
TITLES = {
    STOP_RENEWING: "Stop renewing",
    STOP_NOW: "Stop now",
    FREE_DAYS: "Free days first",
    CLOSE_DELETE: "Close and delete",
}


def _undone(access: str, **more: int) -> Cell:
    return Cell(access, undo=True, **more)


def _deleted(access: str = "now", data: str = "deleted", **more: int) -> Cell:
    return Cell(access, data=data, **more)


#: Starting point and ending; None: it is not offered from there.
CELLS: dict[tuple[str, str], Cell | None] = {
    (start, ending): cell
    for start, row in {
        "free plan": (_undone("today"), Cell("now"), None, _deleted()),
        "trial without a card": (_undone("trial"), Cell("now"), _undone("trial+14"), _deleted()),
        "trial over, in the days of grace": (
            _undone("trial grace"),
            Cell("now"),
            _undone("trial grace+14"),
            _deleted(),
        ),
        "trial that froze": (None, None, None, _deleted("over")),
        "trial with a card": (_undone("trial"), Cell("now"), _undone("trial+14"), _deleted()),
        "paid 3 days ago": (
            _undone("paid"),
            Cell("paid", refund=2900),
            _undone("paid+14", kept=2900),
            _deleted(refund=2900),
        ),
        "paid 20 days ago": (
            _undone("paid"),
            Cell("now", refund=1030),
            _undone("paid+14", kept=1030),
            _deleted(refund=1030),
        ),
        "a year, paid 100 days ago": (
            _undone("paid"),
            Cell("now", refund=21055),
            _undone("paid+14", kept=21055),
            _deleted(refund=21055),
        ),
        "past due, terms cancel it": (
            _undone("grace", owed=0),
            Cell("now", owed=0),
            None,
            _deleted(owed=0),
        ),
        "past due, terms reduce it": (
            _undone("grace", owed=193),
            Cell("now", owed=193),
            None,
            _deleted(owed=193),
        ),
        "past due, terms keep it": (
            _undone("grace", owed=2900),
            Cell("now", owed=2900),
            None,
            _deleted(owed=2900),
        ),
        "pause agreed": (_undone("paid"), Cell("now", refund=1030), None, _deleted(refund=1030)),
        "pause begun": (_undone("resume"), Cell("now"), None, _deleted()),
        "teammates at work": (
            _undone("paid"),
            Cell("now", refund=1030),
            _undone("paid+14", kept=1030),
            _deleted("72 h", "held", refund=1030),
        ),
        "ended": (None, None, None, _deleted("over")),
    }.items()
    for ending, cell in zip(ENDINGS, row, strict=True)
}


def money(amount: int) -> str:
    """Minor units of EUR as the table writes them."""
    return f"{amount / 100:.2f}"


def columns(cell: Cell | None) -> list[str]:
    """Access, money, open invoice, data, undo."""
    if cell is None:
        return ["not offered", "", "", "", ""]
    paid = f"{money(cell.refund)} back" if cell.refund else "nothing"
    kept = f"{money(cell.kept)} kept, to be claimed for 28 days" if cell.kept else paid
    unpaid = {None: "none", 0: "cancelled"}.get(cell.owed, f"{money(cell.owed or 0)} of 29.00 stays owed")
    undo = "to the last moment of access" if cell.undo else "until confirmed"
    if cell.data != "kept":
        undo = "money until confirmed; the deletion until it begins"
    return [ACCESS[cell.access], kept, unpaid, DATA[cell.data], undo]


def render() -> str:
    """The tables, in Markdown."""
    lines: list[str] = []
    for ending in ENDINGS:
        lines += [f"### {TITLES[ending]}", ""]
        lines += ["| from | access | money | open invoice | data | undo |", "|---|---|---|---|---|---|"]
        for (start, of), cell in CELLS.items():
            if of == ending:
                lines.append(f"| {start} | {' | '.join(columns(cell))} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(render(), end="")
