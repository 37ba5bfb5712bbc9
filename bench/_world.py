"""Rows by the database's own series: a million of them in seconds, as a bench needs them."""

from collections.abc import Mapping
from typing import Final

from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model

from accounts.models import Account, Member, Terms, User
from accounts.sets import constant, run

#: The number of a row in eight digits, as text; what it is joined to makes an id of 26 characters.
DIGITS: Final = "substr(CAST(100000000 + i AS text), 2)"


def insert_series(row: Model, own: Mapping[str, str], size: int) -> None:
    """So many rows: each column from its SQL in `own`, where `i` counts from 1, the others as in `row`."""
    fields = {str(f.column): f for f in row._meta.concrete_fields if not f.primary_key or f.column in own}
    shown = ", ".join(own.get(name) or constant(field) for name, field in fields.items())
    same = [
        field.get_db_prep_save(getattr(row, field.attname), connection)
        for name, field in fields.items()
        if name not in own
    ]
    run(
        (
            f"INSERT INTO {row._meta.db_table} ({', '.join(fields)}) "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
            f"SELECT {shown} FROM n",
            [size, *same],
        )
    )
    for sql in connection.ops.sequence_reset_sql(no_style(), [type(row)]):
        run((sql, []))


def make_accounts(like: Account, size: int) -> None:
    """So many accounts `like` this one, numbered from 1, each with its owner."""
    at = like.created_at
    Terms.objects.create(pk=1, version=1, in_force_from=at, published_at=at)
    like.terms_id = 1
    own = {"id": "i", "public_id": f"'benchuser000000000' || {DIGITS}", "email": "'p' || i || '@example.com'"}
    insert_series(User(password="!", date_joined=at), own, size)
    own = {"id": "i", "public_id": f"'benchaccount000000' || {DIGITS}", "name": "'Company ' || i"}
    insert_series(like, own, size)
    insert_series(Member(role=Member.Role.OWNER, joined_at=at), {"account_id": "i", "user_id": "i"}, size)


def analyze() -> None:
    """What autovacuum does some time after so many new rows."""
    if connection.vendor == "postgresql":
        run(("ANALYZE", []))
