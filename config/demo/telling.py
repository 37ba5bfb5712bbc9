"""A run of the clock in words, in the reader's language: its headlines, what happened, to whom."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from accounts import clock, history, jobs
from accounts.models import Account, Event, Member, User
from config.demo.runs import Chapter, Run, Step

#: Lines of one account in one hop that are shown; a busy month of many accounts stays readable.
SHOWN: Final = 40
HEADLINES: "Final[dict[str, Any]]" = {
    "": "",
    "trial_begins": gettext_lazy("Someone begins a trial, without a card"),
    "trial_before": ngettext_lazy(
        "%(days)d day before the trial ends", "%(days)d days before the trial ends", "days"
    ),
    "trial_ends": gettext_lazy("The trial is over"),
    "trial_after": ngettext_lazy("%(days)d day after the trial", "%(days)d days after the trial", "days"),
    "card_pays": gettext_lazy("Someone pays by card, month by month"),
    "card_breaks": gettext_lazy("The bank will refuse the next charge, and nobody knows yet"),
    "card_refused": gettext_lazy("The renewal: the bank refuses"),
    "card_unpaid": ngettext_lazy(
        "%(days)d day after the renewal, and nobody reacts",
        "%(days)d days after the renewal, and nobody reacts",
        "days",
    ),
    "card_blocked": ngettext_lazy(
        "%(days)d day after the renewal, still unpaid",
        "%(days)d days after the renewal, still unpaid",
        "days",
    ),
    "card_recovers": gettext_lazy("A new card, and the invoice is paid"),
    "card_after": gettext_lazy("The day after"),
    "leave_pays": gettext_lazy("Someone pays by card, month by month"),
    "leave_used": ngettext_lazy("%(days)d day of use", "%(days)d days of use", "days"),
    "leave_declares": gettext_lazy("“Close and delete”: on record at once"),
    "leave_confirms": gettext_lazy("The last step: what was quoted is confirmed"),
    "leave_waits": gettext_lazy("The days until the data goes"),
    "leave_gone": gettext_lazy("The day on which the data goes"),
}


@dataclass(frozen=True)
class Line:
    """One thing that happened, in words; a mail leads into the viewer."""

    kind: str
    text: str
    url: str = ""
    language: str = ""
    to: str = ""


@dataclass
class Group:
    """What happened to one account in one hop."""

    name: str
    is_of_story: bool = False
    lines: list[Line] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True)
class ShownStep:
    """One hop."""

    at: dt.datetime
    groups: list[Group]
    failed: list[tuple[str, str]]


@dataclass(frozen=True)
class ShownChapter:
    """One headline and the hops under it."""

    title: str
    at: dt.datetime
    steps: list[ShownStep]
    state: str = ""
    is_open: bool = False
    until: dt.datetime | None = None

    @property
    def tone(self) -> str:
        """The colour of the account's state."""
        return ("warn" if self.state == Account.State.GRACE else "success") if self.is_open else "danger"


def read_chapters(run: Run) -> list[ShownChapter]:
    """The run as it is told, in the active language: a handful of queries, however long it was."""
    return list(Telling(run).chapters())


class Telling:
    """Looks up the words of a run: its events, the accounts and the people in them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        wanted = [pk for chapter in run.chapters for step in chapter.steps for pk in step.events]
        self.events = {event.pk: event for event in _by_chunks(wanted)}
        mailed = {
            mail[1].lower() for chapter in run.chapters for step in chapter.steps for mail in step.mails
        }
        seats = Member.objects.filter(user__email__in=mailed).order_by("-pk")
        self.of_address = dict(seats.values_list("user__email", "account__public_id"))
        self.of_address[run.email.lower()] = run.account
        refs = {event.account_ref for event in self.events.values()} | set(self.of_address.values())
        accounts = Account.objects.filter(public_id__in=refs).exclude(state=Account.State.ERASED)
        self.accounts = {account.public_id: account.name for account in accounts}
        people = {ref for event in self.events.values() for ref in (event.actor_ref, event.subject) if ref}
        users = User.objects.filter(public_id__in=people)
        self.names = {user.public_id: user.get_full_name() or user.email for user in users}

    def chapters(self) -> Iterator[ShownChapter]:
        """Every headline with its hops."""
        for chapter in self.run.chapters:
            stands = chapter.stands
            steps = [shown for step in chapter.steps if (shown := self._step(step)).groups or shown.failed]
            yield ShownChapter(
                title=self._title(chapter),
                at=moment_of_text(chapter.at) or clock.now(),
                steps=steps,
                state=str(stands.get("state", "")),
                is_open=bool(stands.get("is_open")),
                until=moment_of_text(stands.get("until", "")),
            )

    def _title(self, chapter: Chapter) -> str:
        headline = HEADLINES.get(chapter.code, "")
        return str(headline % {"days": chapter.days} if chapter.days else headline)

    def _step(self, step: Step) -> ShownStep:
        groups: dict[str, Group] = {}
        for ref, line in [*self._events(step), *self._mails(step)]:
            name = self.accounts.get(ref) or (_("An account that was erased") if ref else line.to)
            group = groups.setdefault(ref, Group(name, is_of_story=bool(ref) and ref == self.run.account))
            if len(group.lines) < SHOWN:
                group.lines.append(line)
            else:
                group.more += 1
        ordered = sorted(groups.values(), key=lambda group: (not group.is_of_story, group.name))
        known = jobs.jobs()
        failed = [(str(known[name].title), why) for name, why in step.failed.items() if name in known]
        return ShownStep(moment_of_text(step.at) or clock.now(), ordered, failed)

    def _events(self, step: Step) -> Iterator[tuple[str, Line]]:
        for pk in step.events:
            event = self.events.get(pk)
            # Our orders to the provider are not what happened: what came of them has a line of its own.
            if event is not None and not event.kind.startswith("instruction."):
                yield event.account_ref, Line(_kind(event), history.in_words(event, self.names))

    def _mails(self, step: Step) -> Iterator[tuple[str, Line]]:
        for mail, to, subject, language in step.mails:
            url = reverse("demo_message", args=[mail])
            yield self.of_address.get(to.lower(), ""), Line("mail", subject, url, language, to)


def _kind(event: Event) -> str:
    """Money, access, or something else: what the line's mark says."""
    topic = event.kind.partition(".")[0]
    if topic in ("payment", "invoice", "refund", "dispute"):
        return "money"
    return "state" if topic in ("account", "subscription", "closure", "erasure") else "other"


def _by_chunks(wanted: list[int], size: int = 500) -> Iterator[Event]:
    for start in range(0, len(wanted), size):
        yield from Event.objects.filter(pk__in=wanted[start : start + size])


def moment_of_text(stored: str) -> dt.datetime | None:
    return dt.datetime.fromisoformat(stored) if stored else None
