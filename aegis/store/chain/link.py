"""The hash of a row, and the link from one row to the next.

SQLite's triggers (`sql/0012_chain.sql`) call `aegis_chain` for each new row. Every connection that writes needs it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

TABLES = {"decision": "decisions", "outcome": "outcomes", "label": "labels", "event": "model_events"}
"""The tables in the chain, by the kind of an entry"""
ABOUT = {"decision": "id", "outcome": "decision_id", "label": "decision_id", "event": "kind"}
"""By the kind of an entry the column that says what the entry is about"""
BEGAN = "began"
"""The kind of the entry before all others, at place 0"""
ERASURE = "erasure"
"""The kind of the entry that says of a row before it that its owner had it erased"""
DIGEST_BYTES = 32
ORIGIN = bytes(2 * DIGEST_BYTES)
"""The hash before the first entry's"""

_ENCODER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=repr)
_WRITERS: Mapping[type, Callable[[Any], str]] = {str: encode_basestring, int: int.__repr__}
"""What writes a value as `_ENCODER` does, by its type; all other types are few"""


def digest_of(kind: str, row: int, columns: Mapping[str, Any]) -> bytes:
    """Return the digest of a row, 32 bytes. row: its `seq`. columns: all others, as stored; NULL counts as absent."""
    return _digest(kind, row, tuple(columns), tuple(columns.values()))


def digest_of_decision(row: int, columns: Sequence[Any]) -> bytes:
    """Return what `digest_of` does of a decision, in half of its time. columns: in the order of `columns.DECISION`."""
    id, episode, step, state, actions, action, argument, probabilities, policy, decided_at, propensity = columns
    text = encode_basestring
    shares = "" if probabilities is None else f'"probabilities":{text(probabilities)},'
    drawn = "" if propensity is None else f'"propensity":{float.__repr__(propensity)},'
    return hashlib.sha256(
        f'["decision",{row},{{"action":{text(action)},"actions":{text(actions)},"argument":{text(argument)},'
        f'"decided_at":{text(decided_at)},"episode":{text(episode)},"id":{text(id)},"policy":{text(policy)},'
        f'{shares}{drawn}"state":{text(state)},"step":{int.__repr__(step)}}}]'.encode()
    ).digest()


def follow(link: bytes, digest: bytes) -> bytes:
    """Return the link after this one, 32 bytes."""
    return hashlib.sha256(link + digest).digest()


def chain(before: bytes, kind: str, row: int, columns: Mapping[str, Any]) -> bytes:
    """Return the hash of an entry, its digest and its link, 64 bytes. before: the hash of the entry before it."""
    digest = digest_of(kind, row, columns)
    return digest + follow(before[DIGEST_BYTES:], digest)


def _digest(kind: str, row: int, names: tuple[str, ...], values: Sequence[Any]) -> bytes:
    """Return the hash of what `_ENCODER` makes of [kind, row, {name: value}], in half of its time."""
    columns = [
        name + _WRITERS.get(type(value), _ENCODER.encode)(value)
        for place, name in _in_order(names)
        if (value := values[place]) is not None
    ]
    number = _WRITERS.get(type(row), _ENCODER.encode)(row)
    text = f"[{encode_basestring(kind)},{number},{{{','.join(columns)}}}]"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@lru_cache(64)
def _in_order(names: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    """Return the place of each name, and the name as JSON writes it; the names in their order."""
    placed = sorted((name, place) for place, name in enumerate(names))
    return tuple((place, f"{encode_basestring(name)}:") for name, place in placed)


def install(connection: sqlite3.Connection) -> None:
    """Give a connection the function that the triggers call."""
    connection.create_function("aegis_chain", -1, _chain_new)


def chain_existing(connection: sqlite3.Connection) -> None:
    """Begin the chain: chain the rows that are recorded already, table by table. Part of the migration."""
    tables = TABLES.values()
    rows = sum(connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables)
    insert = "INSERT INTO chain (place, kind, row, about, hash) VALUES (?, ?, ?, ?, ?)"
    connection.executemany(insert, _entries(connection, rows, datetime.now(UTC).isoformat()))


def _entries(connection: sqlite3.Connection, rows: int, at: str) -> Iterator[tuple[int, str, int, str, bytes]]:
    hash = chain(ORIGIN, BEGAN, rows, {"at": at})
    yield 0, BEGAN, rows, at, hash
    place = 0
    for kind, table in TABLES.items():
        cursor = connection.execute(f"SELECT * FROM {table} ORDER BY seq")
        names = [column[0] for column in cursor.description]
        for values in cursor:
            place += 1
            columns = dict(zip(names, values, strict=True))
            row, about = columns.pop("seq"), columns[ABOUT[kind]]
            hash = chain(hash, kind, row, columns)
            yield place, kind, row, about, hash


def _chain_new(before: bytes, kind: str, row: int, *named: Any) -> bytes:
    """Return what `chain` does, of names and values in turn; the triggers call it for each new row."""
    digest = _digest(kind, row, named[::2], named[1::2])
    return digest + follow(before[DIGEST_BYTES:], digest)
