"""The deletion map: what becomes of every field of every model, declared once beside its app.

`classify` says for one model whether its rows are deleted, kept until a date because of a rule,
kept for good without what leads to a person, or hold nothing personal; and for each field whether
it is exported. Exports and erasures are both generated from it, so neither can forget a table. A
system check fails on a field that nobody classified (D3); what it finds says what to type next.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register
from django.db.models import Field, ForeignKey, Model, Q, QuerySet


class Fate(Enum):
    """What an erasure does to the rows of a model."""

    DELETE = "delete"
    #: The rows stay, dated, because a rule says so; `anonymise` empties what the rule does not need.
    KEEP = "keep"
    #: The rows stay for good; `anonymise` empties what leads to a person.
    ANONYMISE = "anonymise"
    #: Nothing in it concerns a person, or only ids and codes that lead to nobody after the erasure.
    NOT_PERSONAL = "not_personal"


DELETE, KEEP, ANONYMISE, NOT_PERSONAL = Fate.DELETE, Fate.KEEP, Fate.ANONYMISE, Fate.NOT_PERSONAL


@dataclass(frozen=True)
class Subject:
    """Whose rows are meant: an account, and the people who go with it (or the one who asks)."""

    account: int
    account_ref: str
    users: tuple[int, ...] = ()


Rows = QuerySet[Any]
Find = Callable[[Subject], Q]


@dataclass(frozen=True)
class Entry:
    """The classification of one model; `classify` describes each part."""

    label: str
    fate: Fate
    name: str
    path: str | Find
    own: str
    find: Find | None
    exported: tuple[str, ...]
    hidden: tuple[str, ...]
    anonymise: Mapping[str, Any]
    because: str
    only: Callable[[], Q] | None
    key: str
    is_mirror: bool
    apart: tuple[str, ...]
    ways: tuple[str, ...]

    @property
    def model(self) -> type[Model]:
        """The model; raises LookupError where it is gone."""
        return find_model(self.label)

    @property
    def is_personal(self) -> bool:
        """Whether an erasure has anything to do here."""
        return self.fate is not NOT_PERSONAL

    def rows(self, subject: Subject) -> Rows:
        """Every row of an erased subject that this entry speaks of."""
        return self._all(self.find(subject) if self.find else self._whole(subject))

    def doomed(self, subject: Subject) -> Rows:
        """Those of them that are deleted: all, or what `only` does not keep."""
        rows = self.rows(subject)
        if self.fate is DELETE:
            return rows
        return rows.exclude(self.only()) if self.only else rows.none()

    def rows_to_export(self, subject: Subject) -> Rows:
        """What an export of the whole account holds of this model."""
        if self.path or self.own:
            return self._all(self._whole(subject))
        return self._all(self.find(subject)) if self.find else self._all(Q()).none()

    def own_rows(self, subject: Subject) -> Rows:
        """What belongs to the one person who asks for their own data."""
        return self._all(Q(**{f"{self.own}__in": subject.users})) if self.own else self._all(Q()).none()

    @property
    def leads(self) -> frozenset[str]:
        """Fields by which the rows are found: an erasure may not empty them before the rows are gone."""
        paths = [self.own, *self.ways, *([self.path] if isinstance(self.path, str) else [])]
        return frozenset(path.partition("__")[0] for path in paths)

    def _whole(self, subject: Subject) -> Q:
        if callable(self.path):
            return self.path(subject)
        if self.path:
            return Q(**{self.path: subject.account})
        return Q(**{f"{self.own}__in": subject.users})

    def _all(self, condition: Q) -> Rows:
        rows: Rows = self.model._base_manager.filter(condition)
        return rows.order_by()


class Registry:
    """The entries of all apps, in the order in which they were declared."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def get(self, label: str) -> Entry:
        """The entry of one model; raises KeyError."""
        for entry in self._entries:
            if entry.label.lower() == label.lower():
                return entry
        raise KeyError(label)


registry = Registry()


def classify(
    label: str,
    fate: Fate,
    *,
    name: str = "",
    path: str | Find = "",
    own: str = "",
    find: Find | None = None,
    exported: str = "",
    hidden: str = "",
    anonymise: Mapping[str, Any] | None = None,
    because: str = "",
    only: Callable[[], Q] | None = None,
    key: str = "",
    is_mirror: bool = False,
    apart: str = "",
    ways: tuple[str, ...] = (),
    into: Registry = registry,
) -> None:
    """Say what becomes of one model.

    `path` leads from its rows to the account, `own` to one user; `find` finds them where neither
    does (or where an erasure means other rows than an export). `exported` and `hidden` together
    name every concrete field once. `anonymise` gives the value that a field of a kept row is set to
    (of a row to be deleted: before anything is deleted). `only` narrows KEEP to some rows, the
    others are deleted. `because` is the reason for keeping. `name` is the file's name in an export,
    `key` the field by which other rows refer to this one there. `is_mirror` marks the provider's
    copies, which are deleted a second time after the provider confirmed. `apart` names foreign keys
    that never lead to a customer's rows, `ways` the ORM paths that a function in `path` or `find`
    goes.
    """
    into.add(
        Entry(
            label=label,
            fate=fate,
            name=name,
            path=path,
            own=own,
            find=find,
            exported=tuple(exported.split()),
            hidden=tuple(hidden.split()),
            anonymise=anonymise or {},
            because=because,
            only=only,
            key=key,
            is_mirror=is_mirror,
            apart=tuple(apart.split()),
            ways=ways,
        )
    )


def find_model(label: str) -> type[Model]:
    """The model of a label, auto-created join tables included; raises LookupError."""
    app_label, _, name = label.partition(".")
    return apps.get_app_config(app_label).get_model(name)


def concrete_fields(model: type[Model]) -> dict[str, "Field[Any, Any]"]:
    """The columns of a model's own table, by field name."""
    return {each.name: each for each in model._meta.local_concrete_fields}


def all_models() -> list[type[Model]]:
    """Every model with a table of ours, join tables included."""
    return [m for m in apps.get_models(include_auto_created=True) if m._meta.managed and not m._meta.proxy]


@register()
def check_deletion_map(app_configs: Any, **_: Any) -> list[CheckMessage]:
    """Fail on every field that is unclassified, classified twice or classified but gone (D3)."""
    return find_faults(registry, all_models())


def find_faults(entries: Iterable[Entry], models: Iterable[type[Model]]) -> list[CheckMessage]:
    """What is wrong between these entries and these models, each with what to type next."""
    found: list[CheckMessage] = []
    by_label: dict[str, Entry] = {}
    for entry in entries:
        if entry.label.lower() in by_label:
            found.append(_fault(f"{entry.label} is classified twice.", "Remove one of the two.", "E002"))
        by_label.setdefault(entry.label.lower(), entry)
    for model in models:
        declared = by_label.pop(model._meta.label_lower, None)
        if declared is None:
            found.append(_unclassified(model))
        else:
            found += [*_field_faults(declared, model), *_shape_faults(declared)]
    for entry in by_label.values():
        found.append(_fault(f"{entry.label} is classified but gone.", "Remove its classify(…).", "E003"))
    return found + _dangling(by_label={e.label.lower(): e for e in entries}, models=models)


def _fault(message: str, hint: str, code: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"accounts.{code}")


def _unclassified(model: type[Model]) -> CheckMessage:
    names = " ".join(concrete_fields(model))
    where = f"{model._meta.app_label}/deletion_map.py"
    hint = (
        f'Type in {where} (a library\'s model: in the app that uses it): classify("{model._meta.label}", '
        f'DELETE, path="account", exported="{names}", hidden="")'
    )
    return _fault(f"No field of {model._meta.label} is classified.", hint, "E001")


def _field_faults(entry: Entry, model: type[Model]) -> list[CheckMessage]:
    """Each column exactly once among exported and hidden; nothing that is no column."""
    found: list[CheckMessage] = []
    columns = concrete_fields(model)
    named = [*entry.exported, *entry.hidden]
    for column in columns:
        times = named.count(column)
        if times == 0:
            hint = f'Add {column} to exported="…" or hidden="…" of classify("{entry.label}", …).'
            found.append(_fault(f"{entry.label}.{column} is not classified.", hint, "E001"))
        if times > 1:
            hint = f'Name {column} once in classify("{entry.label}", …).'
            found.append(_fault(f"{entry.label}.{column} is classified twice.", hint, "E002"))
    for column in dict.fromkeys([*named, *entry.anonymise, *entry.apart]):
        if column not in columns:
            hint = f'Remove {column} from classify("{entry.label}", …).'
            found.append(_fault(f"{entry.label}.{column} is classified but gone.", hint, "E003"))
    return found


def _shape_faults(entry: Entry) -> list[CheckMessage]:
    """Personal rows must be findable, kept rows need a reason, exported ones a name."""
    found: list[CheckMessage] = []
    is_findable = bool(entry.path or entry.own or entry.find)
    if entry.is_personal and not is_findable:
        hint = f'Give classify("{entry.label}", …) a path="…" to the account, own="…" to the user, or find=….'
        found.append(_fault(f"{entry.label} is personal, and its rows cannot be found.", hint, "E004"))
    if entry.fate in (KEEP, ANONYMISE) and not entry.because:
        hint = f'Give classify("{entry.label}", …) a because="…".'
        found.append(_fault(f"{entry.label} is kept for no reason.", hint, "E005"))
    if entry.exported and is_findable and not entry.name:
        hint = f'Give classify("{entry.label}", …) a name="…".'
        found.append(_fault(f"{entry.label} is exported without a name for its file.", hint, "E006"))
    return found


def _dangling(by_label: Mapping[str, Entry], models: Iterable[type[Model]]) -> list[CheckMessage]:
    """A row that stays may not point at one that goes: the database would refuse the erasure."""
    found: list[CheckMessage] = []
    for model in models:
        entry = by_label.get(model._meta.label_lower)
        if entry is None or entry.fate is DELETE:
            continue
        for name, column in concrete_fields(model).items():
            target = _goes(column, by_label)
            if target and name not in entry.anonymise and name not in entry.apart:
                hint = (
                    f'Add anonymise={{"{name}": None}} to classify("{entry.label}", …), or keep the target.'
                )
                found.append(_fault(f"{entry.label}.{name} stays and points at {target}.", hint, "E007"))
    return found


def _goes(column: "Field[Any, Any]", by_label: Mapping[str, Entry]) -> str:
    """The label of the model a column points at, if its rows may go; the erasure lets go of users itself."""
    if not isinstance(column, ForeignKey) or column.remote_field is None:
        return ""
    target = by_label.get(column.related_model._meta.label_lower)
    if target is None or (target.label == "accounts.User" and column.null):
        return ""
    return target.label if target.fate is DELETE else ""
