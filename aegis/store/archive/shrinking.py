"""The space that archived rows leave, given back to the file system where nobody has to wait long for it."""

from __future__ import annotations

from aegis.errors import StoreError
from aegis.store.database import Database

MOST_BYTES = 1 << 30
"""Of rows: more are copied only on demand, because writers wait for the copy, at most half a minute"""
_TABLES = ("decisions", "outcomes", "labels", "chain")
_LATER = "its free pages take the next decisions; with --vacuum, while nothing else works here, it becomes smaller"


def measure(database: Database) -> int:
    """Return the bytes that a database takes on the disk, without its log."""
    if database.on_sqlite:
        (pages,), (size,) = (database.query(f"PRAGMA {name}")[0] for name in ("page_count", "page_size"))
        return int(pages) * int(size)
    sql = (
        "SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0) AS n FROM pg_class"
        " WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind = 'r'"
    )
    return int(database.query(sql)[0]["n"])


def shrink(database: Database, wanted: bool = False) -> str:
    """Copy the rows that are left to a smaller place; return why that was not done, or ''. wanted: however many."""
    if not wanted and _rows_bytes(database) > MOST_BYTES:
        if not database.on_sqlite:
            for table in _TABLES:
                database.connection.execute(f"VACUUM {table}")
        return f"the database keeps its size, as its rows are over {MOST_BYTES >> 30} GB: {_LATER}"
    try:
        if not database.on_sqlite:
            for table in _TABLES:
                database.connection.execute(f"VACUUM FULL {table}")
            return ""
        database.query("VACUUM")
        busy = database.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
    except (StoreError, database.engine.error) as error:
        return f"the database keeps its size ({error}): {_LATER}"
    return "the database becomes smaller when the program that reads it now has ended" if busy else ""


def _rows_bytes(database: Database) -> int:
    if not database.on_sqlite:
        return measure(database)
    (pages,), (free,), (size,) = (
        database.query(f"PRAGMA {name}")[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (int(pages) - int(free)) * int(size)
