"""CSV: the one module that writes it, as RFC 4180 with line feeds, in UTF-8 without a byte order mark.

The database writes the rows: on PostgreSQL by `COPY ... TO STDOUT`, elsewhere row by row with the same
bytes. What people typed is guarded as an SQL expression, so that no cell is ever run as a formula.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import CharField, Func, Q, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.sql.compiler import SQLCompiler

from billing import money

#: What a spreadsheet takes for the beginning of a formula. https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r")
#: Bytes that are gathered before they are handed on; rows of the statement that is answered first.
BLOCK = 64 * 1024
HEAD = 1000

_QUOTED = re.compile(r'[",\r\n]')
Compiled = tuple[str, list[Any]]


class Typed(Func):
    """What people typed: empty is nothing, and what looks like a formula gets an apostrophe before it."""

    output_field = CharField()

    def as_sql(self, compiler: SQLCompiler, connection: Any, **_: Any) -> Compiled:  # type: ignore[override]
        text, params = compiler.compile(self.source_expressions[0])
        marks = ", ".join(["%s"] * len(FORMULA))
        sql = f"CASE WHEN SUBSTR({text}, 1, 1) IN ({marks}) THEN '''' || {text} ELSE NULLIF({text}, '') END"
        return sql, [*params, *FORMULA, *params, *params]


class Code(Func):
    """Our own codes and ids: empty is nothing."""

    template = "NULLIF(%(expressions)s, '')"
    output_field = CharField()


class YesNo(Func):
    """A flag as yes or no."""

    template = "CASE WHEN %(expressions)s THEN 'yes' ELSE 'no' END"
    output_field = CharField()


class LocalMoment(Func):
    """A moment as `2026-10-31 23:59:59` on the clocks of the company."""

    output_field = CharField()
    shape = "YYYY-MM-DD HH24:MI:SS"
    on_sqlite = "django_datetime_trunc('second', {moment}, %s, 'UTC')"

    def as_sql(self, compiler: SQLCompiler, connection: Any, **_: Any) -> Compiled:  # type: ignore[override]
        moment, params = compiler.compile(self.source_expressions[0])
        zone = str(settings.COMPANY_TIME_ZONE)
        if connection.vendor == "sqlite":
            return self.on_sqlite.format(moment=moment), [*params, zone]
        return f"TO_CHAR({moment} AT TIME ZONE %s, '{self.shape}')", [*params, zone]


class LocalDay(LocalMoment):
    """A moment as the day `2026-10-31` on which it falls where the company is."""

    shape = "YYYY-MM-DD"
    on_sqlite = "django_datetime_cast_date({moment}, %s, 'UTC')"


class Major(Func):
    """Minor units with a currency as a plain number: 1250 EUR is 12.50, 1250 JPY 1250, 1250 KWD 1.250."""

    output_field = CharField()

    def as_sql(self, compiler: SQLCompiler, connection: Any, **_: Any) -> Compiled:  # type: ignore[override]
        (amount, params), (currency, more) = (compiler.compile(part) for part in self.source_expressions)
        branches, values = "", []
        for codes, decimals in ((money.ZERO_DECIMAL, 0), (money.THREE_DECIMAL, 3)):
            marks = ", ".join(["%s"] * len(codes))
            branches += f" WHEN {currency} IN ({marks}) THEN {_decimal(amount, decimals, connection.vendor)}"
            values += [*more, *sorted(codes), *params * _uses(decimals, connection.vendor)]
        sql = f"CASE{branches} ELSE {_decimal(amount, 2, connection.vendor)} END"
        return sql, [*values, *params * _uses(2, connection.vendor)]


def _uses(decimals: int, vendor: str) -> int:
    """How often `_decimal` repeats the amount."""
    return 3 if vendor == "sqlite" and decimals else 1


def _decimal(amount: str, decimals: int, vendor: str) -> str:
    if not decimals:
        return f"CAST({amount} AS TEXT)"
    unit = 10**decimals
    if vendor == "sqlite":
        sign = f"CASE WHEN {amount} < 0 THEN '-' ELSE '' END"
        return f"{sign} || PRINTF('%%d.%%0{decimals}d', ABS({amount}) / {unit}, ABS({amount}) %% {unit})"
    return f"CAST(CAST({amount} / {unit}.0 AS NUMERIC(24, {decimals})) AS TEXT)"


def decimal(amount: int, currency: str) -> Decimal:
    """What `Major` writes, of a single amount."""
    return Decimal(amount).scaleb(-money.exponent(currency))


def csv_row(values: Iterable[Any]) -> bytes:
    """One row of Python values: text is guarded, numbers stay numbers, None is nothing."""
    return _row([_guarded(value) for value in values])


def _guarded(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _row(values: Sequence[Any]) -> bytes:
    return (",".join("" if value is None else _cell(str(value)) for value in values) + "\n").encode()


def _cell(text: str) -> str:
    """Quoted exactly where PostgreSQL's COPY quotes."""
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


@contextmanager
def snapshot() -> Iterator[None]:
    """Everything read inside is of one moment, and nobody who writes waits for it.

    Inside a transaction of the caller it is that transaction.
    """
    if connection.in_atomic_block:
        yield
        return
    if connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
        return
    with connection.cursor() as cursor:
        # Not `atomic()`: that would take the only lock for writing as long as the download lasts.
        cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")


def stream_rows(
    rows: QuerySet[Any], columns: Mapping[str, Combinable], *, moment: str, head_first: bool
) -> Iterator[bytes]:
    """A heading and one line per row, in the order of `moment`; call it inside `snapshot`.

    `head_first` (where an index leads in that order): the first lines leave before the last one is found.
    """
    yield _row(list(columns))
    if connection.vendor != "postgresql":
        yield from _gathered(_lines(_written(rows.order_by(moment, "pk"), columns)))
        return
    pieces = _head_and_rest(rows, moment) if head_first else iter([rows])
    yield from _gathered(
        block for piece in pieces for block in _copied(_written(piece.order_by(moment, "pk"), columns))
    )


def _written(rows: QuerySet[Any], columns: Mapping[str, Combinable]) -> Compiled:
    """The statement that gives every column as it is written; the names must not meet those of the model."""
    named = {f"csv_{name}": expression for name, expression in columns.items()}
    sql, params = rows.annotate(**named).values_list(*named).query.sql_with_params()
    return sql, list(params)


def _head_and_rest(rows: QuerySet[Any], moment: str) -> Iterator[QuerySet[Any]]:
    """The first `HEAD` rows, which an index finds at once, then all others in one statement.

    The download has begun while the database still sorts; more pieces would cost it more joins.
    """
    end = rows.order_by(moment, "pk").values_list(moment, "pk")[HEAD - 1 : HEAD].first()
    if end is None:
        yield rows
        return
    last, key = end
    same = Q(**{moment: last})
    yield rows.filter(Q(**{f"{moment}__lt": last}) | same & Q(pk__lte=key), **{f"{moment}__lte": last})
    yield rows.filter(Q(**{f"{moment}__gt": last}) | same & Q(pk__gt=key), **{f"{moment}__gte": last})


def _copied(statement: Compiled) -> Iterator[bytes]:
    sql, params = statement
    command = f"COPY ({sql}) TO STDOUT (FORMAT csv)"
    # `cursor.cursor` is the driver's own: Django's wrapper for debugging takes no parameters here.
    with connection.cursor() as cursor, cursor.cursor.copy(command, params) as copy:
        for block in copy:
            yield bytes(block)


def _lines(statement: Compiled) -> Iterator[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(*statement)
        for values in cursor:
            yield _row(values)


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines in blocks that are worth a write of their own."""
    buffer = bytearray()
    for line in lines:
        buffer += line
        if len(buffer) >= BLOCK:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
