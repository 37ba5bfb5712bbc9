"""What an act of support would change: it is done, looked at, and undone before anybody can see it.

So the page that asks "really?" shows the verb's own doing, not a second opinion about it. Verbs never
reach outside (what leaves is a row first), so nothing of a rehearsal is left.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Max, Model
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.holds import open_hold
from accounts.kinds import title_of
from accounts.models import Account, Notice
from accounts.standing import standing
from accounts.templatetags.terms_format import moment

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: Named values of an account as they are, such as the last moment of access.
Reader = Callable[[Account, dt.datetime], dict[str, str]]


@dataclass(frozen=True)
class Change:
    """One value before and after."""

    label: str
    now: str
    then: str


@dataclass(frozen=True)
class NewRows:
    """A sort of rows that verbs write for something to leave the house: what they are, and each in words."""

    title: "StrOrPromise"
    model: type[Model]
    words: Callable[[Any], str]


@dataclass(frozen=True)
class Rehearsal:
    """What would change, and what would leave because of it, by its sort."""

    changes: list[Change]
    leaving: list[tuple[str, list[str]]]


_READERS: dict[str, Reader] = {}
_NEW_ROWS: dict[str, NewRows] = {}


def register_reader(code: str, reader: Reader) -> None:
    """Add values to look at; called from `AppConfig.ready`."""
    _READERS[code] = reader


def register_new_rows(code: str, rows: NewRows) -> None:
    """Add a sort of rows to look for; called from `AppConfig.ready`."""
    _NEW_ROWS[code] = rows


def rehearse(account_id: int, work: Callable[[], object], *, at: dt.datetime) -> Rehearsal:
    """Do `work`, see what is different, and undo it. What `work` raises is raised."""
    before = _read(account_id, at)
    with transaction.atomic():
        newest = {code: _newest(rows.model) for code, rows in _NEW_ROWS.items()}
        work()
        after = _read(account_id, at)
        leaving = [
            (str(rows.title), _new(rows, newest[code], account_id)) for code, rows in _NEW_ROWS.items()
        ]
        transaction.set_rollback(True)
    labels = [*before, *(label for label in after if label not in before)]
    found = (Change(label, before.get(label, "–"), after.get(label, "–")) for label in labels)
    return Rehearsal([change for change in found if change.now != change.then], leaving)


def _read(account_id: int, at: dt.datetime) -> dict[str, str]:
    account = Account.objects.select_related("terms").get(pk=account_id)
    return {label: value for reader in _READERS.values() for label, value in reader(account, at).items()}


def _newest(model: type[Model]) -> int:
    return int(model._default_manager.aggregate(newest=Max("pk"))["newest"] or 0)


def _new(rows: NewRows, newest: int, account_id: int) -> list[str]:
    found = rows.model._default_manager.filter(pk__gt=newest, account=account_id).order_by("pk")
    return list(dict.fromkeys(rows.words(row) for row in found))


def _access(account: Account, at: dt.datetime) -> dict[str, str]:
    hold = open_hold(account, at=at)
    ends = account.access_ends_at
    return {
        _("State"): str(standing(account, at=at).label),
        _("Access until"): moment(ends) if ends else _("no end is set"),
        _("On hold until"): moment(hold.ends_at) if hold else "–",
    }


def _mail(notice: Notice) -> str:
    if notice.status != Notice.Status.OWED:
        return title_of(notice.kind)
    return _("%(mail)s, from %(moment)s on") % {
        "mail": title_of(notice.kind),
        "moment": moment(notice.window_from),
    }


register_reader("accounts.access", _access)
register_new_rows("accounts.mails", NewRows(gettext_lazy("Mails that are sent"), Notice, _mail))
