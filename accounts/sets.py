"""Many rows in few statements: what the set-based verbs are made of.

On PostgreSQL a verb is one statement, on SQLite, which has no writing CTE, a few in one transaction; the
rows are the same. Names of tables and columns come from the models, values travel as parameters only.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from django.db import connection, models
from django.db.models import Model, QuerySet
from django.db.models.expressions import RawSQL

from accounts.models import Account

#: How many accounts one transaction of a sweep takes: its locks are held for well under a second.
CHUNK = 5_000
#: More where all of a chunk is one statement, as plain days are: what each chunk costs by itself weighs less.
PLAIN_CHUNK = 10_000

_TYPES = {
    "DateTimeField": "timestamptz",
    "DateField": "date",
    "JSONField": "jsonb",
    "BooleanField": "boolean",
    "BigAutoField": "bigint",
    "BigIntegerField": "bigint",
    "ForeignKey": "bigint",
    "IntegerField": "bigint",
    "PositiveIntegerField": "bigint",
    "PositiveSmallIntegerField": "bigint",
    "PositiveBigIntegerField": "bigint",
    "SmallIntegerField": "bigint",
}

Sql = tuple[str, list[Any]]


def in_chunks(ids: Iterable[int], size: int = CHUNK) -> Iterator[list[int]]:
    """The keys in lists of at most `size`, each meant for a transaction of its own."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk


def lock_accounts(ids: Iterable[int] | QuerySet[Any]) -> list[int]:
    """Take these accounts for the rest of the transaction, in the order of their keys.

    Those that someone else holds right now are left out: the next run finds them again. (On SQLite the
    transaction itself is the lock.)
    """
    rows = Account.objects.filter(pk__in=ids if isinstance(ids, QuerySet) else keys(list(ids)))
    if connection.vendor == "postgresql":
        rows = rows.select_for_update(skip_locked=True, no_key=True)
    return list(rows.order_by("pk").values_list("pk", flat=True))


def compile_nothing() -> None:
    """For the rest of the transaction PostgreSQL carries its statements out as they are.

    For a large guess of their cost it compiles them first, which takes longer than to run them.
    """
    if connection.vendor == "postgresql":
        run(("SET LOCAL jit = off", []))


def look_up_by_key() -> None:
    """For the rest of the transaction PostgreSQL looks rows up by their keys, one after the other.

    For statements about the few thousand rows of a chunk: it guesses so many of them that it would read
    whole tables to join them (a fifth to a third slower at a million accounts).
    """
    if connection.vendor == "postgresql":
        run(("SET LOCAL enable_hashjoin = off", []))
        run(("SET LOCAL enable_mergejoin = off", []))


def given(ids: Sequence[int], model: type[Model], columns: Mapping[str, Sequence[Any]]) -> Sql:
    """A table with a row for each of `ids`: `id`, and the values of these columns of `model`, by place."""
    fields = {name: field_of(model, name) for name in columns}
    values = [[_prepared(fields[name], value) for value in columns[name]] for name in columns]
    return _table({"id": "bigint"} | _types_of(fields), [list(ids), *values])


def listed(columns: Mapping[str, tuple["models.Field[Any, Any]", Sequence[Any]]]) -> Sql:
    """A table of these columns, each with the field whose kind it is and its values, by place."""
    fields = {name: field for name, (field, _values) in columns.items()}
    values = [[_prepared(field, value) for value in values] for field, values in columns.values()]
    return _table(_types_of(fields), values)


def _types_of(fields: "Mapping[str, models.Field[Any, Any]]") -> dict[str, str]:
    return {name: cast_type(field) for name, field in fields.items()}


def _table(types: Mapping[str, str], values: Sequence[Sequence[Any]]) -> Sql:
    if connection.vendor == "postgresql":
        arrays = ", ".join(f"%s::{kind}[]" for kind in types.values())
        sql = f"SELECT * FROM unnest({arrays}) AS rows({', '.join(types)})"  # noqa: S608
        return sql, list(values)
    parts = [f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(types)]
    rows = list(zip(*values, strict=True))
    return f"SELECT {', '.join(parts)} FROM json_each(%s)", [as_json(rows)]  # noqa: S608


def keys(ids: Sequence[int]) -> RawSQL:
    """These keys for an `__in`, as one parameter however many they are."""
    if connection.vendor == "postgresql":
        return RawSQL("SELECT unnest(%s::bigint[])", [array(ids)])
    return RawSQL("SELECT value FROM json_each(%s)", [as_json(list(ids))])


def array(ids: Iterable[int]) -> str:
    """These keys as PostgreSQL reads a bigint[]; the driver would look at each of them in a list."""
    return f"{{{','.join(map(str, ids))}}}"


def insert_select(row: Model, columns: Mapping[str, str], source: Sql, *, conflict: str = "") -> Sql:
    """An INSERT with a row for each of `source`, each column from its SQL in `columns`.

    Whatever is not named there is the same in every row: the value it has in `row`, which is never saved.
    """
    sql, same = _insert_text(type(row), tuple(columns.items()), source[0], conflict, connection.vendor)
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in same]
    return sql, [*values, *source[1]]


@lru_cache(maxsize=200)
def _insert_text(
    model: type[Model], columns: tuple[tuple[str, str], ...], source: str, conflict: str, vendor: str
) -> tuple[str, list["models.Field[Any, Any]"]]:
    """The statement, and the fields whose values it takes; made once, because a webhook is nothing else."""
    own = dict(columns)
    fields = {str(field.column): field for field in model._meta.concrete_fields if not field.primary_key}
    expressions = [own.get(name) or constant(field) for name, field in fields.items()]
    names = ", ".join(fields)
    sql = f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(expressions)} {source} {conflict}"
    return sql, [field for name, field in fields.items() if name not in own]


def field_of(model: type[Model], column: str) -> "models.Field[Any, Any]":
    """The model's field that is stored in this column."""
    return next(field for field in model._meta.concrete_fields if field.column == column)


def cast_type(field: "models.Field[Any, Any]") -> str:
    """What PostgreSQL is told that a parameter is; text is cut by nobody on its way into a column."""
    return _TYPES.get(field.get_internal_type(), "text")


def run(sql: Sql) -> int:
    """Carry out one statement; returns how many rows it wrote."""
    with connection.cursor() as cursor:
        cursor.execute(*sql)
        return int(cursor.rowcount)


def fetch_ids(sql: Sql) -> list[int]:
    """Carry out one statement that returns keys."""
    with connection.cursor() as cursor:
        cursor.execute(*sql)
        return [row[0] for row in cursor.fetchall()]


def as_json(value: Any) -> str:
    """As Django's JSONField writes it."""
    return json.dumps(value)


def constant(field: "models.Field[Any, Any]") -> str:
    return f"%s::{cast_type(field)}" if connection.vendor == "postgresql" else "%s"


def _prepared(field: "models.Field[Any, Any]", value: Any) -> Any:
    if isinstance(field, models.JSONField):
        return as_json(value)
    return field.get_db_prep_save(value, connection)
