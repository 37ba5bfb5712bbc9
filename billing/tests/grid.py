"""Where and when the lives by the clock take place: zones, dates, days without beat, one beat or two.

By default each test takes a diagonal, in which every case, zone, date and outage is met. `GRID=all` takes
every cell, `GRID=100` a hundred of them, spread evenly: docs/proofs.md says how long that lasts.
"""

import datetime as dt
import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

DAY = dt.timedelta(days=1)
SIZE = os.environ.get("GRID", "")

#: Zones that change their clocks on different days, in both hemispheres, by an hour, by half of one, at
#: midnight, never.
ZONES = (
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "America/Sao_Paulo",
)
#: What falls on which day of a life: a month's end, 29 February, clocks put forward and back.
DATES = (
    ("ordinary", 0),
    ("31 January", 0),
    ("30 April", 7),
    ("29 February", 0),
    ("29 February", 7),
    ("forward", 0),
    ("forward", 7),
    ("back", 3),
    ("back", 7),
)
#: Local times of day, in the small hours, before nine, by day, late in the evening.
TIMES = (dt.time(14), dt.time(0, 20), dt.time(23, 20), dt.time(8, 50))
FIXED = {
    "ordinary": dt.date(2026, 5, 13),
    "31 January": dt.date(2027, 1, 31),
    "30 April": dt.date(2027, 4, 30),
    "29 February": dt.date(2028, 2, 29),
}


def day_of(name: str, zone: str) -> dt.date:
    """The day of this name there; a zone that never changes its clocks takes the days of Madrid."""
    return FIXED.get(name) or clock_changes(zone)[name] or clock_changes("Europe/Madrid")[name]


@lru_cache
def clock_changes(zone: str) -> dict[str, dt.date | None]:
    """The first days after February 2026 on which the clocks there are put forward, and back."""
    found: dict[str, dt.date | None] = {"forward": None, "back": None}
    place, day = ZoneInfo(zone), dt.date(2026, 3, 1)
    for _ in range(366):
        # From noon to noon: a clock that is put forward at midnight changes on the day that begins then.
        noons = [dt.datetime.combine(d, dt.time(12), place).utcoffset() for d in (day - DAY, day)]
        change = (noons[1] or dt.timedelta()) - (noons[0] or dt.timedelta())
        name = "forward" if change > dt.timedelta() else "back"
        if change and found[name] is None:
            found[name] = day
        day += DAY
    return found


def moment_on(date: tuple[str, int], zone: str, time: dt.time) -> dt.datetime:
    """The moment with which a life begins of which the named day is that many days after."""
    name, number = date
    return dt.datetime.combine(day_of(name, zone) - number * DAY, time, ZoneInfo(zone)).astimezone(dt.UTC)


def cells(cases: Sequence[str], outages: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Case, zone, date, time of day, outage and beats: the diagonal, or as many cells as `GRID` says."""
    if SIZE:
        rows = _every_cell(cases, outages)
        return rows if SIZE == "all" else rows[: int(SIZE)]
    number = max(map(len, (cases, outages, ZONES, DATES)))
    return [
        tuple(axis[n % len(axis)] for axis in (cases, ZONES, DATES, TIMES, outages, (1, 2)))
        for n in range(number)
    ]


def _every_cell(cases: Sequence[str], outages: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Each case in every zone on every date, mixed, so that any part of them is a sample of all.

    Outages, times and beats take turns, shifted from case to case, from zone to zone and from date to date,
    so that every case meets each of them in several zones and on several dates.
    """
    found = []
    for (c, case), (z, zone), (d, date) in product(enumerate(cases), enumerate(ZONES), enumerate(DATES)):
        turn = c + z * len(DATES) + d
        time, outage = TIMES[(turn // 2 + z) % len(TIMES)], outages[turn % len(outages)]
        found.append((case, zone, date, time, outage, 1 + (turn + z) % 2))
    return sorted(found, key=lambda cell: hashlib.sha256(repr(cell).encode()).digest())
