"""One voice, for any letters in any order, with outages and holds: the arbiter's promises as properties."""

import datetime as dt
import zoneinfo
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.arbiter import (
    Category,
    Circumstances,
    Hours,
    Letter,
    Newer,
    Planned,
    decide,
    foresee,
    good_moment,
)
from accounts.tests.worlds import NOON

pytestmark = pytest.mark.once

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
MADRID = zoneinfo.ZoneInfo("Europe/Madrid")
OFFICE = Hours(dt.time(8), dt.time(20), frozenset(range(5)))
ZONES = ("UTC", "Europe/Madrid", "America/St_Johns", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Apia")
GENTLE = (Category.REMINDER, Category.COMMERCIAL)


@dataclass
class Mail:
    """A letter in the simulated post room."""

    number: int
    letter: Letter
    thread: int
    next_at: dt.datetime = NOON
    end: str = ""
    sent_at: dt.datetime | None = None

    @property
    def order(self):
        return (self.letter.window_from, self.number)


@dataclass
class Room:
    """Decides and sends letters as the sender does, one reader, in whatever order they come."""

    mails: list[Mail]
    zone: zoneinfo.ZoneInfo
    hours: Hours
    outage: tuple[dt.datetime, dt.datetime]
    hold: tuple[dt.datetime, dt.datetime]
    taken: dict = field(default_factory=dict)

    def run(self):
        at, rounds = NOON - DAY, 0
        while waiting := [mail for mail in self.mails if not mail.end]:
            rounds += 1
            assert rounds < 300, "it does not end"
            at = max(min(mail.next_at for mail in waiting), at + MINUTE / 2)
            if self.outage[0] <= at < self.outage[1]:
                at = self.outage[1]
            for mail in waiting:
                if mail.next_at <= at:
                    self.judge(mail, at)

    def judge(self, mail, at):
        verdict = decide(mail.letter, self.around(mail, at), at=at)
        if verdict.what == "later":
            assert at < verdict.at <= mail.letter.window_to, "later, and in time"
            mail.next_at = verdict.at
            return
        mail.end = verdict.what
        if verdict.what == "send":
            mail.sent_at = at
            if mail.letter.category in GENTLE:
                self.taken[at.astimezone(self.zone).date()] = mail.number

    def around(self, mail, at):
        newer = [
            other
            for other in self.mails
            if mail.thread and other.thread == mail.thread and other.order > mail.order
        ]
        due = [other for other in newer if not other.end and other.letter.window_from <= at]
        said = any(other.sent_at for other in newer)
        start, end = self.hold
        return Circumstances(
            zone=self.zone,
            hours=self.hours,
            newer=Newer(said, min((o.next_at for o in due), default=at)) if said or due else None,
            taken=list(self.taken),
            held_until=end if start <= at < end else None,
        )


minutes = st.one_of(
    st.integers(0, 12 * 24 * 60).map(lambda n: n * MINUTE), st.integers(0, 9).map(lambda n: n * DAY)
)
stretches = st.tuples(minutes, minutes).map(
    lambda pair: (NOON + pair[0] / 2, NOON + pair[0] / 2 + pair[1] / 2)
)
hours = st.tuples(
    st.integers(0, 12), st.integers(2, 11), st.sets(st.integers(0, 6), min_size=1).map(frozenset)
).map(lambda drawn: Hours(dt.time(drawn[0]), dt.time(drawn[0] + drawn[1]), drawn[2]))


@st.composite
def rooms(draw):
    mails = []
    for number in range(draw(st.integers(1, 7))):
        start = NOON + draw(minutes)
        letter = Letter(
            category=draw(st.sampled_from(Category)),
            window_from=start,
            window_to=start + draw(minutes) / 2,
            despite_hold=draw(st.booleans()),
        )
        mails.append(Mail(number, letter, draw(st.integers(0, 2)), next_at=start))
    return Room(
        draw(st.permutations(mails)),
        zoneinfo.ZoneInfo(draw(st.sampled_from(ZONES))),
        draw(st.one_of(st.just(OFFICE), hours)),
        draw(stretches),
        draw(stretches),
    )


@settings(max_examples=300, deadline=None)
@given(rooms())
def test_whatever_is_owed_one_voice_speaks(room):
    room.run()

    sent = [mail for mail in room.mails if mail.sent_at]
    gentle = [mail for mail in sent if mail.letter.category in GENTLE]
    local = [mail.sent_at.astimezone(room.zone) for mail in gentle]
    assert all(mail.letter.window_from <= mail.sent_at <= mail.letter.window_to for mail in sent)
    assert all(room.hours.opens <= moment.time() < room.hours.closes for moment in local)
    assert len({moment.date() for moment in local}) == len(local)
    for mail, moment in zip(gentle, local, strict=True):
        held = room.hold[0] <= mail.sent_at < room.hold[1] and not mail.letter.despite_hold
        assert not held
        assert moment.weekday() in room.hours.workdays or not has_working_hour_after(mail, room)
    for mail in room.mails:
        is_legal = mail.letter.category == Category.LEGAL
        assert not (is_legal and mail.end == "drop")
        # Only a worker that was away makes us miss what the law demands, or what just happened.
        if mail.end == "miss" and mail.letter.category not in GENTLE:
            assert room.outage[0] <= mail.letter.window_to < room.outage[1] + HOUR
        if is_legal and mail.sent_at:
            assert (
                mail.sent_at - mail.letter.window_from <= MINUTE or room.outage[1] >= mail.letter.window_from
            )
        for newer in sent:
            is_same = mail.thread and mail.thread == newer.thread and mail.order < newer.order
            if is_same and mail.sent_at and not is_legal:
                assert mail.sent_at < newer.sent_at


def has_working_hour_after(mail, room):
    """Whether a working day was free when this reminder left on another day."""
    now = Circumstances(zone=room.zone, hours=room.hours, taken=[*room.taken])
    moment = good_moment(mail.sent_at, mail.letter.window_to, now)
    return moment is not None and moment.astimezone(room.zone).weekday() in room.hours.workdays


def letter(category=Category.REMINDER, *, start=NOON, days=3, **more):
    return Letter(category=category, window_from=start, window_to=start + days * DAY, **more)


def around(**columns):
    return Circumstances(**({"zone": MADRID, "hours": OFFICE} | columns))


def at(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=MADRID)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-11T07:59", "2026-03-11T08:00"),
        ("2026-03-11T08:00", "2026-03-11T08:00"),
        ("2026-03-11T19:59", "2026-03-11T19:59"),
        ("2026-03-11T20:00", "2026-03-12T08:00"),
        ("2026-03-13T20:00", "2026-03-16T08:00"),  # Friday evening: Monday
        ("2026-03-14T12:00", "2026-03-16T08:00"),
        ("2026-03-28T23:30", "2026-03-30T08:00"),  # the clocks go forward on Sunday
    ],
)
def test_a_reminder_comes_by_day_on_a_working_day(moment, expected):
    found = decide(letter(start=at(moment)), around(), at=at(moment))

    assert (found.at or at(moment)) == at(expected)


def test_a_weekend_is_better_than_never_and_night_is_not():
    saturday = at("2026-03-14T12:00")

    assert decide(letter(start=saturday, days=1), around(), at=saturday).what == "send"
    night = decide(letter(start=at("2026-03-14T21:00"), days=0.1), around(), at=at("2026-03-14T21:00"))
    assert night == ("miss", "no_good_moment", None)


def test_the_second_reminder_of_a_day_comes_the_next_morning():
    today = NOON.astimezone(MADRID).date()

    assert decide(letter(), around(taken=[today]), at=NOON).at == at("2026-03-12T08:00")
    tomorrow = today + DAY
    assert decide(letter(), around(taken=[today, tomorrow]), at=NOON).at == at("2026-03-13T08:00")


@pytest.mark.parametrize("category", [Category.LEGAL, Category.TRANSACTIONAL])
def test_what_happened_and_what_the_law_demands_leaves_at_any_hour(category):
    night = at("2026-03-15T03:00")
    busy = around(taken=[night.date()], held_until=night + DAY)

    assert decide(letter(category, start=night), busy, at=night).what == "send"


@pytest.mark.parametrize(
    ("category", "fact", "what"),
    [
        (Category.LEGAL, "no_longer_true", "drop"),
        (Category.LEGAL, "suppressed", "miss"),
        (Category.REMINDER, "suppressed", "drop"),
        (Category.TRANSACTIONAL, "erased", "drop"),
    ],
)
def test_the_facts_come_first(category, fact, what):
    late = NOON + 9 * DAY

    assert decide(letter(category), around(fact=fact), at=late) == (what, fact, None)


def test_a_newer_word_silences_the_older_but_not_the_law():
    said = around(newer=Newer(True, NOON))
    coming = around(newer=Newer(False, NOON + HOUR))

    assert decide(letter(), said, at=NOON) == ("drop", "superseded", None)
    assert decide(letter(), coming, at=NOON) == ("later", "newer_first", NOON + HOUR)
    assert decide(letter(Category.LEGAL), said, at=NOON).what == "send"


def test_a_hold_lets_no_reminder_leave_until_it_ends():
    held = around(held_until=NOON + DAY)

    assert decide(letter(), held, at=NOON) == ("later", "held", NOON + DAY)
    assert decide(letter(despite_hold=True), held, at=NOON).what == "send"
    assert decide(letter(days=0), held, at=NOON) == ("drop", "held", None)


def test_the_calendar_foresees_what_the_arbiter_will_decide():
    letters = [
        Planned(1, "ana", letter(start=at("2026-03-13T21:00"), days=9), at("2026-03-13T21:00")),
        Planned(2, "ana", letter(start=at("2026-03-13T22:00"), days=9), at("2026-03-13T22:00")),
        Planned(3, "bea", letter(start=at("2026-03-13T22:00"), days=9), at("2026-03-13T22:00")),
        Planned(4, "ana", letter(Category.LEGAL, start=at("2026-03-14T03:00")), at("2026-03-14T03:00")),
        Planned(5, "ana", letter(start=at("2026-03-10T21:00"), days=0.1), at("2026-03-10T21:00")),
    ]

    found = foresee(letters, around(), at=NOON, taken=[("bea", dt.date(2026, 3, 16))])

    assert found == {
        1: at("2026-03-16T08:00"),
        2: at("2026-03-17T08:00"),
        3: at("2026-03-17T08:00"),
        4: at("2026-03-14T03:00"),
    }
