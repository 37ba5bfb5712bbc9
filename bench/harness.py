"""What every measurement shares: turns, medians of ratios, memory, statements, the longest transaction.

A measurement is a module `bench/NAME.py` with `SIZE`, `ROUNDS` and `run(size, rounds) -> Result`. Ours and
its references run in turns in the same process on the same data, and only ratios inside one round are
compared: a noisy machine is as noisy for all of them.
"""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection, transaction


@dataclass
class Result:
    """What came out; `ratios` are speeds, ours divided by the reference's: 2.0 is twice as fast."""

    name: str
    size: int
    rounds: int
    ratios: dict[str, float]
    peak_mb: float | None = None
    base_mb: float | None = None
    longest_tx_ms: float | None = None
    first_byte_ms: float | None = None
    statements: int | None = None
    #: For people, and for the comparison with a tenth of the size; not part of the JSON.
    seconds_per_row: float | None = None
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The object of the last line: keys that do not apply are left out."""
        facts = asdict(self)
        del facts["seconds_per_row"], facts["notes"]
        return {name: _short(value) for name, value in facts.items() if value is not None}


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {name: _short(each) for name, each in value.items()}
    return value


@dataclass(frozen=True)
class Run:
    """One way to do the work. `prepare` is not measured; `work` is, unless it returns its own seconds."""

    work: Callable[[], float | None]
    prepare: Callable[[], object] = lambda: None

    def seconds(self) -> float:
        """Do it once."""
        self.prepare()
        gc.collect()
        started = time.perf_counter()
        own = self.work()
        return own if own is not None else time.perf_counter() - started


def take_turns(
    runs: Mapping[str, Run], rounds: int, *, say: Callable[[str], None] = print
) -> dict[str, list[float]]:
    """Seconds of each run in each round; the order turns with every round, so that nobody is always first."""
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            seconds[name].append(runs[name].seconds())
        say(f"  round {number + 1}: " + "  ".join(f"{name} {seconds[name][-1]:.3f} s" for name in names))
    return seconds


def ratio(seconds: Mapping[str, list[float]], ours: str, reference: str) -> float:
    """The median over the rounds of how fast ours was, measured by the reference of the same round."""
    pairs = zip(seconds[reference], seconds[ours], strict=True)
    return statistics.median(theirs / mine for theirs, mine in pairs)


def ratios(seconds: Mapping[str, list[float]], ours: str = "ours") -> dict[str, float]:
    """The same for every other run."""
    return {name: ratio(seconds, ours, name) for name in seconds if name != ours}


@dataclass
class Watch:
    """What happened in the database during a block."""

    statements: int = 0
    longest_tx_ms: float = 0.0


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Count statements, and time the longest outermost transaction (a statement alone is one, too)."""
    seen = Watch()

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.statements += 1
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            if not connection.in_atomic_block:
                seen.longest_tx_ms = max(seen.longest_tx_ms, (time.perf_counter() - started) * 1000)

    enter, leave = transaction.Atomic.__enter__, transaction.Atomic.__exit__
    begun: list[float] = []

    def timed_enter(self: Any) -> None:
        begun.append(time.perf_counter())
        enter(self)

    def timed_exit(self: Any, *error: Any) -> None:
        leave(self, *error)
        started = begun.pop()
        if not begun:
            seen.longest_tx_ms = max(seen.longest_tx_ms, (time.perf_counter() - started) * 1000)

    transaction.Atomic.__enter__, transaction.Atomic.__exit__ = timed_enter, timed_exit
    try:
        with connection.execute_wrapper(count):
            yield seen
    finally:
        transaction.Atomic.__enter__, transaction.Atomic.__exit__ = enter, leave


@dataclass
class Memory:
    """Resident memory before a block and at its highest inside it, in MB."""

    base_mb: float = 0.0
    peak_mb: float = 0.0


@contextlib.contextmanager
def weighing() -> Iterator[Memory]:
    """How much memory a block takes at most (Linux only; elsewhere it says 0)."""
    seen, proc = Memory(), Path("/proc/self")
    gc.collect()
    if proc.exists():
        (proc / "clear_refs").write_text("5")  # the high-water mark begins anew
        seen.base_mb = _status("VmRSS")
    yield seen
    if proc.exists():
        seen.peak_mb = _status("VmHWM")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024
