"""Tables that the database itself keeps from being changed."""

from typing import Any

from django.db import migrations


def refuse_changes(table: str, *, name: str, when: str = "", message: str) -> migrations.RunPython:
    """A migration step: UPDATE and DELETE on `table` fail with `message` (where `when` holds for OLD).

    Works on PostgreSQL and SQLite; undone by the reverse step.
    """

    def forwards(apps: Any, schema_editor: Any) -> None:
        run = schema_editor.execute
        if schema_editor.connection.vendor == "postgresql":
            run(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ "
                f"BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
            )
            condition = f"WHEN ({when})" if when else ""
            run(
                f"CREATE TRIGGER {name} BEFORE UPDATE OR DELETE ON {table} "
                f"FOR EACH ROW {condition} EXECUTE FUNCTION {name}()"
            )
            return
        _refuse_on_sqlite(run, table, name=name, when=when, message=message)

    def backwards(apps: Any, schema_editor: Any) -> None:
        run = schema_editor.execute
        if schema_editor.connection.vendor == "postgresql":
            run(f"DROP TRIGGER {name} ON {table}")
            run(f"DROP FUNCTION {name}()")
            return
        for verb in ("update", "delete"):
            run(f"DROP TRIGGER {name}_{verb}")

    return migrations.RunPython(forwards, backwards)


def keep_refusing(table: str, *, name: str, when: str = "", message: str) -> migrations.RunPython:
    """For a migration that changes such a table's columns: its first and its last step, both ways.

    SQLite changes a column by making the table anew, and its triggers go with the old one.
    """

    def restore(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "sqlite":
            _refuse_on_sqlite(schema_editor.execute, table, name=name, when=when, message=message)

    return migrations.RunPython(restore, restore)


def _refuse_on_sqlite(run: Any, table: str, *, name: str, when: str, message: str) -> None:
    condition = f"WHEN {when}" if when else ""
    for verb in ("UPDATE", "DELETE"):
        run(
            f"CREATE TRIGGER IF NOT EXISTS {name}_{verb.lower()} BEFORE {verb} ON {table} {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
