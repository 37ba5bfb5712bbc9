"""Ask every refund property of very many seeded worlds, on every core, with progress.

    python -m bench.refund_properties --cases 1000000 [--seed 1] [--workers 2]

Ends non-zero on the first world that breaks a property and prints its seed. The properties are those of
billing/tests/test_refund_rules_properties.py.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing import Pool

from billing.tests.test_refund_rules_properties import PROPERTIES, check_seeds

CHUNK = 1000


def chunks(first: int, cases: int) -> Iterator[range]:
    """The seeds to try, in ranges of at most CHUNK."""
    for start in range(first, first + cases, CHUNK):
        yield range(start, min(start + CHUNK, first + cases))


def check_chunk(seeds: range) -> tuple[int, str]:
    """How many worlds held, and what broke ("" if nothing did)."""
    try:
        check_seeds(PROPERTIES, seeds)
    except AssertionError as broken:
        return 0, str(broken)
    return len(seeds), ""


def main() -> int:
    """Run the worlds and report; 0 when every property held in each of them."""
    parser = argparse.ArgumentParser(description="Property test of the refund rules in very many worlds")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    began, done = time.monotonic(), 0
    with Pool(options.workers) as pool:
        for held, broken in pool.imap_unordered(check_chunk, chunks(options.seed * 10**9, options.cases)):
            if broken:
                sys.stdout.write(f"\n{broken}\n")
                return 1
            done += held
            rate = done / (time.monotonic() - began)
            sys.stdout.write(f"\r{done:,} of {options.cases:,} worlds, {rate:,.0f} a second")
            sys.stdout.flush()
    sys.stdout.write(f"\n{len(PROPERTIES)} properties held in {done:,} worlds\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
