"""The database's schema: the migrations in `sql/`, a file each, and their application.

A migration and its record (`PRAGMA user_version`) are one transaction, so that a kill leaves both or neither.
A released migration is never edited: a change is a new file with the next number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from importlib.resources import files

from aegis.store.chain.link import chain_existing

APPLICATION_ID = 0x41454749
"""`AEGI` in ASCII: tells a workspace's database from another program's SQLite file."""

_FILES = sorted(
    (file for file in (files("aegis.store") / "sql").iterdir() if file.name.endswith(".sql")),
    key=lambda file: file.name,
)
MIGRATIONS: tuple[str, ...] = tuple(file.read_text("utf-8") for file in _FILES)
"""Migration number n, counted from 1, takes the schema from version n - 1 to version n."""

_THEN: dict[int, Callable[[sqlite3.Connection], None]] = {12: chain_existing}
"""What follows a migration, in its transaction, that SQL alone can't do"""


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the number of migrations applied to the database; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refusal(connection: sqlite3.Connection) -> str | None:
    """Return why this database must not be touched (another program's, or a newer AEGIS's), or None. Writes nothing."""
    # One statement is one snapshot: another process may be creating the schema at this moment.
    version, application, tables = connection.execute(
        "SELECT user_version, application_id, (SELECT COUNT(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    ).fetchone()
    if version > len(MIGRATIONS) and application == APPLICATION_ID:
        return (
            f"it was written by a newer AEGIS (schema {version}; this one knows up to {len(MIGRATIONS)}):"
            " upgrade aegis-hrm, or use another --workspace"
        )
    if application != APPLICATION_ID and (application or version or tables):
        return "it is another program's SQLite database: use another --workspace"
    return None


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing migrations, each in its own transaction; safe when several processes do so at once.

    The connection must be in autocommit mode (`isolation_level=None`).
    """
    while schema_version(connection) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the write lock: another process may have been faster.
            version = schema_version(connection)
            if version < len(MIGRATIONS):
                for statement in _statements(MIGRATIONS[version]):
                    connection.execute(statement)
                if then := _THEN.get(version + 1):
                    then(connection)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    # Not `executescript`, which commits first: the migration would no longer be one transaction.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
