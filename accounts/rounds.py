"""A round of mail: what the arbiter has to know about a batch, asked in a few queries, and kept up."""

import datetime as dt
from collections.abc import Iterable
from typing import Final, NamedTuple

from django.conf import settings

from accounts.arbiter import Category, Circumstances, Hours, Letter, Newer
from accounts.kinds import kinds
from accounts.models import Hold, Notice

#: Who reads it: the account and the recipient's key.
Reader = tuple[int, str]
#: What a topic is about: the reader, the topic, the subject.
Thread = tuple[int, str, str, str]
Order = tuple[dt.datetime, dt.datetime, int]


class Word(NamedTuple):
    """One notice of a thread, newest by `order`."""

    order: Order
    is_sent: bool
    next_attempt_at: dt.datetime


#: Words that may still be said, or were.
STANDING: Final = (Notice.Status.SENT, Notice.Status.OWED, Notice.Status.SENDING)


def mail_hours() -> Hours:
    """When reminders and news may arrive, as the operator set it."""
    return Hours(*settings.MAIL_HOURS)


def letter_of(notice: Notice) -> Letter:
    """A notice as the arbiter sees it; one whose kind is gone is treated as what happened."""
    kind = kinds().get(notice.kind)
    return Letter(
        category=kind.category if kind else Category.TRANSACTIONAL,
        window_from=notice.window_from,
        window_to=notice.window_to,
        despite_hold=kind.despite_hold if kind else False,
    )


def local_day(notice: Notice, at: dt.datetime) -> dt.date:
    """The account's own day."""
    return at.astimezone(notice.account.zone).date()


def order_of(notice: Notice) -> Order:
    """Which of two words on one subject is the newer one."""
    return (notice.window_from, notice.created_at, notice.pk)


def thread_of(notice: Notice) -> Thread | None:
    """What it is about, if its kind has a topic."""
    kind = kinds().get(notice.kind)
    if kind is None or not kind.topic:
        return None
    return (notice.account_id, notice.recipient, kind.topic, notice.subject)


class Round:
    """The circumstances of each notice of a batch; three queries at most, whatever its size."""

    def __init__(self, notices: Iterable[Notice], *, at: dt.datetime) -> None:
        self.at = at
        self.hours = mail_hours()
        rows = list(notices)
        gentle = {row.account_id for row in rows if letter_of(row).category.is_gentle}
        self.taken = self._days_taken(gentle)
        self.held = self._holds(gentle)
        self.words = self._read_words([row for row in rows if thread_of(row)])

    def _days_taken(self, accounts: set[int]) -> dict[Reader, dict[dt.date, int]]:
        """The days of today and later (anywhere on earth) that a reminder has taken, with which."""
        found: dict[Reader, dict[dt.date, int]] = {}
        if accounts:
            rows = Notice.objects.filter(
                account__in=accounts, gentle_day__gte=self.at.date() - dt.timedelta(days=1)
            )
            for account, reader, day, pk in rows.values_list("account_id", "recipient", "gentle_day", "pk"):
                if day is not None:
                    found.setdefault((account, reader), {})[day] = pk
        return found

    def _holds(self, accounts: set[int]) -> dict[int, dt.datetime]:
        if not accounts:
            return {}
        rows = Hold.objects.open_at(self.at).filter(account__in=accounts)
        return dict(rows.values_list("account_id", "ends_at"))

    def _read_words(self, rows: list[Notice]) -> dict[Thread, dict[int, Word]]:
        found: dict[Thread, dict[int, Word]] = {}
        if not rows:
            return found
        mates = Notice.objects.filter(
            kind__in=[code for code, kind in kinds().items() if kind.topic],
            account__in={row.account_id for row in rows},
            status__in=STANDING,
            window_from__gte=min(row.window_from for row in rows),
            window_from__lte=self.at,
        )
        for mate in mates.defer("facts", "rule_ids"):
            thread = thread_of(mate)
            if thread:
                found.setdefault(thread, {})[mate.pk] = _word(mate)
        return found

    def circumstances(self, notice: Notice, fact: str = "") -> Circumstances:
        """What else is so for this notice, by all that happened in this round so far."""
        days = self.taken.get((notice.account_id, notice.recipient), {})
        return Circumstances(
            zone=notice.account.zone,
            hours=self.hours,
            fact=fact,
            newer=self._newer(notice),
            taken=[day for day, pk in days.items() if pk != notice.pk],
            held_until=self.held.get(notice.account_id),
        )

    def _newer(self, notice: Notice) -> Newer | None:
        thread = thread_of(notice)
        words = self.words.get(thread, {}).values() if thread else ()
        newer = [word for word in words if word.order > order_of(notice)]
        if not newer:
            return None
        return Newer(any(word.is_sent for word in newer), min(word.next_attempt_at for word in newer))

    def note(self, notice: Notice, status: str, next_attempt_at: dt.datetime | None = None) -> None:
        """What became of it, for those that come after it in this round."""
        is_sent = status == Notice.Status.SENT
        if is_sent and letter_of(notice).category.is_gentle:
            days = self.taken.setdefault((notice.account_id, notice.recipient), {})
            days[local_day(notice, self.at)] = notice.pk
        thread = thread_of(notice)
        if thread is None:
            return
        words = self.words.setdefault(thread, {})
        words.pop(notice.pk, None)
        if status in STANDING:
            words[notice.pk] = Word(order_of(notice), is_sent, next_attempt_at or notice.next_attempt_at)


def _word(notice: Notice) -> Word:
    return Word(order_of(notice), notice.status == Notice.Status.SENT, notice.next_attempt_at)


def in_order(notices: Iterable[Notice]) -> list[Notice]:
    """What happened first, then reminders by their deadline; of one thread the newest word first."""
    newest_first = sorted(notices, key=order_of, reverse=True)
    ranks: dict[tuple[bool, Thread], dt.datetime] = {}
    keys: dict[int, tuple[bool, Thread]] = {}
    for notice in newest_first:
        is_gentle = letter_of(notice).category.is_gentle
        thread = thread_of(notice) or (notice.account_id, notice.recipient, "", str(notice.pk))
        rank = notice.window_to if is_gentle else notice.next_attempt_at
        key = keys[notice.pk] = (is_gentle, thread)
        ranks[key] = min(rank, ranks.get(key, rank))
    return sorted(newest_first, key=lambda one: (keys[one.pk][0], ranks[keys[one.pk]], keys[one.pk][1]))
