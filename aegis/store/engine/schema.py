"""The tables of a workspace on PostgreSQL: the migrations in `sql/postgres/`, a file each, and their application."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import psycopg

from aegis.errors import StoreError
from aegis.store.chain.link import BEGAN, ORIGIN, chain
from aegis.store.engine.address import Address

_FILES = sorted((files("aegis.store") / "sql" / "postgres").iterdir(), key=lambda file: file.name)
MIGRATIONS: tuple[str, ...] = tuple(file.read_text("utf-8") for file in _FILES if file.name.endswith(".sql"))
"""Migration number n, counted from 1, takes the schema from version n - 1 to version n."""

_VERSION = "SELECT version FROM aegis_schema"


def migrate(link: psycopg.Connection[Any], address: Address) -> None:
    """Make the schema and apply the missing migrations, all in one transaction; safe when several do so at once.

    Raises `StoreError` for a newer AEGIS's schema and for another program's, and changes nothing there.
    """
    version = _read_version(link)
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{address}: it was written by a newer AEGIS (schema {version}; this one knows up to {len(MIGRATIONS)}):"
            " upgrade aegis-hrm, or use another --workspace"
        )
    if version == len(MIGRATIONS):
        return
    quoted = '"' + address.schema.replace('"', '""') + '"'
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(1095059273, hashtext(%s))", (address.schema,))
        if not link.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (address.schema,)).fetchone():
            link.execute(f"CREATE SCHEMA {quoted}".encode())
        # Read again under the lock: another process may have been faster.
        version = _read_version(link)
        if not version:
            _check_empty(link, address)
            link.execute("CREATE TABLE aegis_schema (version integer NOT NULL)")
            link.execute("INSERT INTO aegis_schema VALUES (0)")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            link.execute(script.encode())
            if number == 1:
                at = datetime.now(UTC).isoformat()
                first = (BEGAN, at, chain(ORIGIN, BEGAN, 0, {"at": at}))
                link.execute("INSERT INTO chain (place, kind, row, about, hash) VALUES (0, %s, 0, %s, %s)", first)
            link.execute("UPDATE aegis_schema SET version = %s", (number,))


def _read_version(link: psycopg.Connection[Any]) -> int:
    """Return the number of migrations applied; 0 for a schema that is not there, or empty."""
    if link.execute("SELECT 1 FROM pg_class WHERE oid = to_regclass('aegis_schema')").fetchone() is None:
        return 0
    row = link.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0


def _check_empty(link: psycopg.Connection[Any], address: Address) -> None:
    sql = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace LIMIT 1"
    quoted = '"' + address.schema.replace('"', '""') + '"'
    if other := link.execute(sql, (quoted,)).fetchone():
        raise StoreError(
            f"{address}: the schema holds another program's tables ({other[0]}): name another one by ?schema="
        )
