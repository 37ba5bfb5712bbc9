"""The deletion map in words, the card on the account's page, and what the history says about data."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import calendar, history
from accounts.calendar import CalendarEntry
from accounts.classification import ANONYMISE, DELETE, KEEP, Entry, registry
from accounts.models import Account, Member
from accounts.panels import Panel, register
from accounts.sharing import shared
from offboarding import retention
from offboarding.completions import kept_until
from offboarding.dates import data_and_the_step
from offboarding.leaving_panel import latest_leaving
from offboarding.models import Closure, Ending
from offboarding.standing import is_last_step_open


@dataclass(frozen=True)
class Held:
    """Types of data that share a fate: their names, what deleting does to them, and why."""

    fate: str
    because: str
    names: list[str]


def held_data() -> list[Held]:
    """What is held about an account, as the deletion map says; the provider's copies are one name."""
    groups: dict[tuple[str, str], list[str]] = {}
    for entry in registry:
        if entry.name and not entry.is_mirror:
            because = _(entry.because) if entry.because else ""
            name = capfirst(str(entry.model._meta.verbose_name_plural))
            groups.setdefault((_fate(entry), because), []).append(name)
    for (fate, _why), names in groups.items():
        if fate == _("Deleted"):
            names.append(_("Our copies of what the payment provider holds"))
    return [Held(fate, because, names) for (fate, because), names in groups.items()]


def _fate(entry: Entry) -> str:
    if entry.fate is DELETE:
        return _("Deleted")
    if entry.fate is KEEP and entry.anonymise:
        return _("Kept for some years, without what leads to a person")
    if entry.fate is KEEP:
        return _("Kept for some years")
    return _("Emptied of what leads to a person") if entry.fate is ANONYMISE else _("Kept: it names nobody")


def data_facts(account: Account, member: Member, at: dt.datetime) -> dict[str, Any]:
    """The card: until when data is kept. Two queries, of which a page makes each once."""
    closure = _closure(account)
    leaving = None if closure else latest_leaving(account)
    if leaving is None or not leaving.is_open:
        return {"closure": closure}
    can_step = member.is_owner or (member.may_pay and leaving.ending != Ending.CLOSE_DELETE)
    step = data_and_the_step(leaving) if can_step and is_last_step_open(leaving, at=at) else ""
    return {"closure": closure, "kept_until": kept_until(leaving), "data_and_step": step}


def _closure(account: Account) -> Closure | None:
    return shared(account, "offboarding.closure", lambda: retention.open_closure(account))


def data_to_come(account: Account, member: Member, at: dt.datetime) -> Iterable[CalendarEntry]:
    """The day on which the data goes, where there is one. One query."""
    closure = _closure(account)
    return end_of_data(closure, reverse("exports", args=[account.public_id])) if closure else []


def end_of_data(closure: Closure, url: str = "") -> list[CalendarEntry]:
    """The day of deletion as an entry of what comes next; none once it has begun."""
    if closure.status != Closure.Status.SCHEDULED:
        return []
    text, why = (
        _("The data of this account is deleted."),
        _("As the terms say for an account that was closed."),
    )
    return [CalendarEntry(at=closure.purge_on, text=text, why=why, url=url)]


def register_words() -> None:
    """Called from `AppConfig.ready`."""
    register(Panel(code="offboarding.data", order=60, template="data/panel.html", context=data_facts))
    calendar.register("offboarding.data", data_to_come)
    said = history.register
    until = history.day("purge_on")
    said("data.closing", gettext_lazy("The data is kept until %(day)s and then deleted."), day=until)
    said("data.closing_postponed", gettext_lazy("The data is kept until %(day)s instead."), day=until)
    said("data.closing_called_off", gettext_lazy("The data stays: deleting it was called off."))
    said("data.purge_started", gettext_lazy("Deleting the data began."))
    said("data.purged", gettext_lazy("The data was deleted."))
    said("data.books_purged", gettext_lazy("The books, kept because the law asks for it, were deleted."))
    said("export.requested", gettext_lazy("A download of the data was asked for."))
    said("export.ready", gettext_lazy("The download was ready."))
    said("export.failed", gettext_lazy("The download could not be made."))
    said("export.expired", gettext_lazy("The download expired and its file was deleted."))
