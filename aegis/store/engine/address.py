"""Where a workspace's database is: in its file, or on a PostgreSQL server that the file names.

A workspace on PostgreSQL keeps one line in `aegis.db`, `postgresql://USER@HOST/DATABASE?schema=NAME`. So whoever finds
a workspace by that file finds it on both engines, and a move puts one file in the place of the other, at once.
A password is never kept there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from aegis.atomic import make_folder, replacing
from aegis.config.secret import read_secret
from aegis.errors import ConfigError, StoreError

DATABASE = "AEGIS_DATABASE"
"""The variable that names the server on which new workspaces are made"""
PASSWORD = "AEGIS_DATABASE_PASSWORD"
_SCHEMES = ("postgresql", "postgres")
_FILE = "aegis.db"
_POINTS = "points"
_MOST_BYTES = 4096
_LEAST_SQLITE_BYTES = 4096
"""A page; a longer line names no database"""
_MOST_NAME_BYTES = 63
"""PostgreSQL cuts longer names"""


@dataclass(frozen=True, slots=True)
class Address:
    """A schema of a PostgreSQL database, which is one workspace or one decision point."""

    url: str
    """Without a password, and without the schema"""
    schema: str

    def __str__(self) -> str:
        """Return the line that a workspace's file holds."""
        parts = urlsplit(self.url)
        query = urlencode([*parse_qsl(parts.query), ("schema", self.schema)], quote_via=quote, safe="/")
        return urlunsplit(parts._replace(query=query))

    def password(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the password, from the environment or a file; '' where libpq is to find one (`~/.pgpass`)."""
        if secret := read_secret(PASSWORD, environment):
            return secret
        given = environment.get(DATABASE, "")
        return _password_of(given) if given and _without_password(given) == self.url else ""

    def of_point(self, name: str) -> Address:
        """Return the address of a decision point of this workspace."""
        return Address(self.url, _fit(f"{self.schema}.{name}"))


def parse(text: str, schema: str) -> Address:
    """Return the address in a URL; a password in it is dropped. schema: where the URL names none.

    Raises `ConfigError` for another kind of URL; the message never shows a password.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in _SCHEMES:
        raise ConfigError(
            "a database is named like postgresql://USER@HOST/DATABASE: other kinds of server are not known here"
        )
    given = dict(parse_qsl(parts.query)).get("schema", "") or schema
    return Address(_without_password(text.strip()), _fit(given))


def refuse_password(text: str) -> None:
    """Raise `ConfigError` for a URL with a password: on a command line others of this machine can read it."""
    if _password_of(text):
        raise ConfigError(
            f"the database's URL holds a password, which others can read there: give it by {PASSWORD},"
            f" by a file that {PASSWORD}_FILE names, or by ~/.pgpass"
        )


def find(path: Path, environment: Mapping[str, str] = os.environ) -> Address | None:
    """Return the address that a workspace's file holds, or None for SQLite's file.

    Where the file is missing: the address at which a new workspace is to be made, beside that of its agent, or on the
    server that the variable AEGIS_DATABASE names.
    """
    try:
        # Opened only where its size is no SQLite database's: to close such a file drops this process's locks on it.
        # (https://sqlite.org/howtocorrupt.html, section 2.2)
        if not 0 < path.stat().st_size < _LEAST_SQLITE_BYTES:
            return None
        with path.open("rb") as file:
            head = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return _new(path, environment)
    except OSError:
        return None  # SQLite says what is wrong
    if not head.startswith(tuple(f"{scheme}://".encode() for scheme in _SCHEMES)):
        return None
    try:
        return parse(head.decode("utf-8").splitlines()[0], _schema_of(path))
    except (ConfigError, ValueError) as error:
        raise StoreError(f"{path}: names no database: {error}") from None


def keep(address: Address, path: Path) -> None:
    """Let a workspace's file name its database, durably; the file appears whole."""
    make_folder(path.parent)
    with replacing(path) as partial:
        partial.write_text(f"{address}\n", encoding="utf-8")


def address_for(path: Path, text: str) -> Address:
    """Return the address in a URL for the workspace of a file."""
    return parse(text, _schema_of(path))


def _new(path: Path, environment: Mapping[str, str]) -> Address | None:
    if path.name != _FILE:
        return None
    if (agent := _agent_of(path)) is not None and agent.exists():
        beside = find(agent, environment)
        return beside.of_point(path.parent.name) if beside else None
    given = environment.get(DATABASE, "").strip()
    if not given:
        return None
    if agent is None:
        return parse(given, _schema_of(path))
    return parse(given, _schema_of(agent)).of_point(path.parent.name)


def _agent_of(path: Path) -> Path | None:
    """Return the file of the agent in whose workspace this decision point is; None for an agent's own."""
    points = path.parent.parent
    return points.parent / path.name if points.name == _POINTS else None


def _schema_of(path: Path) -> str:
    """Return the schema of a workspace that none was named for: as its folder is called."""
    if (agent := _agent_of(path)) is not None:
        return f"{agent.parent.name or 'aegis'}.{path.parent.name}"
    return path.parent.name or "aegis"


def _fit(name: str) -> str:
    if "\0" in name or name.startswith("pg_"):
        raise ConfigError(f"schema {name!r}: PostgreSQL has no schema of such a name: name another one by ?schema=")
    if len(name.encode()) <= _MOST_NAME_BYTES:
        return name
    kept = name.encode()[: _MOST_NAME_BYTES - 17].decode("utf-8", "ignore")
    return f"{kept}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _without_password(text: str) -> str:
    parts = urlsplit(text.strip())
    user, at, host = parts.netloc.rpartition("@")
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("password", "schema")]
    netloc = f"{user.partition(':')[0]}{at}{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=urlencode(query, quote_via=quote, safe="/"), fragment=""))


def _password_of(text: str) -> str:
    parts = urlsplit(text.strip())
    user = parts.netloc.rpartition("@")[0]
    return unquote(user.partition(":")[2]) or dict(parse_qsl(parts.query)).get("password", "")
