"""Measure one thing: `bin/bench NAME [--size N] [--rounds R] [--json]`.

Makes its data in a database of its own, takes turns between ours and the references, prints the medians of
the rounds' ratios and, with `--json`, one JSON object as the last line. The database is PostgreSQL, started
on private data and gone afterwards; `--sqlite` takes a file instead, BENCH_DATABASE_URL names a server.
"""

import argparse
import contextlib
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOT_BENCHES = {"__init__", "__main__", "harness", "settings", "refund_properties"}


def benches() -> list[str]:
    """Every measurement there is."""
    names = {path.stem for path in HERE.glob("*.py")}
    return sorted(name for name in names - NOT_BENCHES if not name.startswith("_"))


@contextlib.contextmanager
def database(*, sqlite: bool) -> Iterator[str]:
    """The address of an empty database that ends with this block."""
    from config.demo.processes import stop_all
    from config.demo.servers import postgres_programs, start_postgres

    with tempfile.TemporaryDirectory(prefix="good-terms-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where we are root
        if sqlite:
            yield f"sqlite:///{folder / 'bench.sqlite3'}"
            return
        programs = postgres_programs()
        if programs is None:
            sys.exit("No PostgreSQL was found. Type: sudo apt-get install -y postgresql, or use --sqlite.")
        process, url = start_postgres(programs, folder)
        try:
            yield url
        finally:
            stop_all([process])


def measure(name: str, *, size: int | None, rounds: int | None, growth: bool) -> Any:
    """Make the tables on DATABASE_URL and run it; with `growth` at a tenth of the size before."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    bench = importlib.import_module(f"bench.{name}")
    size, rounds = size or bench.SIZE, rounds or bench.ROUNDS
    tenth = None
    if growth:
        tenth = bench.run(max(1, size // 10), rounds)
        call_command("flush", interactive=False, verbosity=0)
    result = bench.run(size, rounds)
    if tenth is not None and tenth.seconds_per_row and result.seconds_per_row:
        more = result.seconds_per_row / tenth.seconds_per_row - 1
        result.notes.append(f"time per row against a tenth of the size: {more:+.0%}")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run it; 2 for a measurement that does not exist."""
    options = argparse.ArgumentParser(prog="bin/bench", description=__doc__.splitlines()[0])
    options.add_argument("name", metavar="NAME", choices=benches(), help=", ".join(benches()))
    options.add_argument("--size", type=int, help="rows; each measurement has its own default")
    options.add_argument("--rounds", type=int, help="how often everybody has a turn")
    options.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options.add_argument("--sqlite", action="store_true", help="on SQLite instead of PostgreSQL")
    options.add_argument("--growth", action="store_true", help="at a tenth of the size before, too")
    chosen = options.parse_args(arguments)
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    given = os.environ.get("BENCH_DATABASE_URL", "")
    with contextlib.nullcontext(given) if given else database(sqlite=chosen.sqlite) as url:
        os.environ["DATABASE_URL"] = url
        result = measure(chosen.name, size=chosen.size, rounds=chosen.rounds, growth=chosen.growth)
        _close()
    for line in result.notes:
        print(f"  {line}")
    for name, value in result.ratios.items():
        print(f"  {value:8.2f} x {name}")
    if chosen.json:
        print(json.dumps(result.as_json()))
    return 0


def _close() -> None:
    """Let go of the database before its server ends."""
    from django.db import connection

    pool = getattr(connection, "pool", None) if connection.vendor == "postgresql" else None
    connection.close()
    if pool is not None:
        connection.close_pool()


if __name__ == "__main__":
    sys.exit(main())
