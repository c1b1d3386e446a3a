"""Decisions erased from a database, with everything that hangs on them, so that the chain of hashes still verifies.

The chain keeps the hash of an erased row. A hash of a state that has few possible forms can be guessed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aegis.errors import DataError, StoreError
from aegis.store.database import Database
from aegis.types import utc_now

MEMORIES = ("searches", "inbox", "proposals", "gaps", "questions", "goals", "knowledge")
"""Tables of an agent's memory whose rows hold text; a row before those that it refers to"""
_RECORDS = {"outcomes": "decision_id", "labels": "decision_id", "calls": "decision_id"}
_OF_DECISION = ("calls", "costs", "searches", "inbox", "proposals", "labels", "outcomes")
_TALLY = """
    DELETE FROM tallies;
    INSERT INTO tallies
    SELECT d.policy, d.action, COUNT(*), SUM(COALESCE(o.status <> 'unknown', 0)),
        SUM(CASE WHEN o.status <> 'unknown' THEN o.gained ELSE 0 END), SUM(COALESCE(o.status = 'failed', 0)),
        SUM(o.reward IS NOT NULL), SUM(COALESCE(o.reward, 0))
    FROM decisions AS d
    LEFT JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)
    GROUP BY d.policy, d.action;
    DELETE FROM cost_tallies;
    INSERT INTO cost_tallies
    SELECT d.policy, COUNT(*), SUM(c.dollars)
    FROM costs AS c JOIN decisions AS d ON d.id = c.decision_id GROUP BY d.policy;
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased: one of the three."""

    field: str = ""
    """A field of the state, with dots into inner objects, or `episode`"""
    value: str = ""
    """Its value, as text or as JSON"""
    decision: str = ""
    """A decision's id"""
    text: str = ""
    """A text anywhere in a decision, or in what hangs on it, or in the agent's memory; upper and lower case are one"""

    def __post_init__(self) -> None:
        if bool(self.field) + bool(self.decision) + bool(self.text) != 1:
            raise DataError("say what to forget by one of --where FIELD=VALUE, --decision ID and --text TEXT")

    @property
    def trace(self) -> str:
        """The text by which a trace elsewhere would show; '' where there is none to look for."""
        return self.text or self.value or self.decision


@dataclass(slots=True)
class Doomed:
    """What is found to be erased."""

    decisions: dict[int, str] = field(default_factory=dict)
    """Ids by place in the order of recording"""
    episodes: set[str] = field(default_factory=set)
    """The episodes of these"""
    memories: dict[str, list[int]] = field(default_factory=dict)
    """Rows of the agent's memory by table"""

    def __bool__(self) -> bool:
        return bool(self.decisions or self.memories)


def find(database: Database, wanted: Wanted) -> Doomed:
    """Return what would be erased, and erase nothing."""
    found = Doomed()
    if wanted.text:
        _find_text(database, wanted.text, found)
    elif wanted.decision:
        _add(database, found, "d.id = ?", (wanted.decision,))
    else:
        for row in database.query("SELECT seq, id, episode, state FROM decisions ORDER BY seq"):
            if _fits(json.loads(row["state"]), row["episode"], wanted):
                found.decisions[row["seq"]] = row["id"]
                found.episodes.add(row["episode"])
    return found


def erase(database: Database, doomed: Doomed) -> Counter[str]:
    """Erase it in one transaction, then from the file's free pages and the log; return the erased rows by table.

    Raises `StoreError` where another program reads meanwhile, so that the log can't be emptied yet.
    """
    connection = database.connection
    connection.execute("PRAGMA secure_delete = ON")
    with database.transaction():
        erased = _erase_rows(connection, doomed)
    database.query("VACUUM")
    busy = database.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
    if busy:
        raise StoreError(
            f"{database.path}: erased, but another program is reading the log that still holds the old pages: stop it,"
            " and run the command again"
        )
    return erased


def _erase_rows(connection: sqlite3.Connection, doomed: Doomed) -> Counter[str]:
    erased: Counter[str] = Counter()
    connection.execute("CREATE TEMP TABLE doomed (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE)")
    try:
        connection.executemany("INSERT INTO doomed VALUES (?, ?)", doomed.decisions.items())
        ours = "decision_id IN (SELECT id FROM doomed)"
        note, at = "INSERT OR IGNORE INTO erasures (kind, row, at) ", utc_now().isoformat()
        for kind, table in (("outcome", "outcomes"), ("label", "labels")):
            connection.execute(f"{note} SELECT '{kind}', seq, ? FROM {table} WHERE {ours} ORDER BY seq", (at,))
        connection.execute(f"{note} SELECT 'decision', seq, ? FROM doomed ORDER BY seq", (at,))
        connection.execute(
            "UPDATE chain SET about = '' WHERE about <> ''"
            " AND EXISTS (SELECT 1 FROM erasures AS e WHERE e.kind = chain.kind AND e.row = chain.row)"
        )
        connection.execute(
            f"UPDATE settings SET proposal = NULL WHERE proposal IN (SELECT id FROM proposals WHERE {ours})"
        )
        connection.execute("DELETE FROM disagreements WHERE decision IN (SELECT seq FROM doomed)")
        for table in _OF_DECISION:
            erased[table] += connection.execute(f"DELETE FROM {table} WHERE {ours}").rowcount
        erased["decisions"] = connection.execute("DELETE FROM decisions WHERE seq IN (SELECT seq FROM doomed)").rowcount
    finally:
        connection.execute("DROP TABLE doomed")
    _erase_memories(connection, doomed.memories, erased)
    for statement in _TALLY.split(";"):
        connection.execute(statement)
    return +erased


def _erase_memories(connection: sqlite3.Connection, memories: Mapping[str, list[int]], erased: Counter[str]) -> None:
    for table in MEMORIES:
        rows = [(row,) for row in memories.get(table, ())]
        if table == "questions":
            sql = "DELETE FROM closings WHERE question IN (SELECT id FROM questions WHERE rowid = ?)"
            connection.executemany(sql, rows)
        if table == "proposals":
            connection.executemany("UPDATE settings SET proposal = NULL WHERE proposal = ?", rows)
        erased[table] += connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", rows).rowcount if rows else 0
    if memories.get("knowledge"):
        # The index keeps deleted words until its segments are merged.
        connection.execute("INSERT INTO knowledge_words (knowledge_words) VALUES ('rebuild')")


def _add(database: Database, found: Doomed, where: str, values: tuple[Any, ...]) -> None:
    for row in database.query(f"SELECT d.seq, d.id, d.episode FROM decisions AS d WHERE {where}", values):
        found.decisions[row["seq"]] = row["id"]
        found.episodes.add(row["episode"])


def _fits(state: Mapping[str, Any], episode: str, wanted: Wanted) -> bool:
    value: Any = state
    for name in wanted.field.split("."):
        if not isinstance(value, dict) or name not in value:
            return wanted.field == "episode" and episode == wanted.value
        value = value[name]
    if isinstance(value, str):
        return value == wanted.value
    with contextlib.suppress(ValueError, RecursionError):
        return bool(value == json.loads(wanted.value))
    return False


def _find_text(database: Database, text: str, found: Doomed) -> None:
    with _holding(database, text):
        _add(database, found, f"aegis_holds({_texts(database, 'decisions', 'd.')})", ())
        for table, id in _RECORDS.items():
            inner = f"SELECT {id} FROM {table} WHERE aegis_holds({_texts(database, table)})"
            _add(database, found, f"d.id IN ({inner})", ())
        for table in MEMORIES:
            sql = f"SELECT rowid AS row FROM {table} WHERE aegis_holds({_texts(database, table)})"
            if rows := [row["row"] for row in database.query(sql)]:
                found.memories[table] = rows


@contextlib.contextmanager
def _holding(database: Database, text: str) -> Iterator[None]:
    needles = {form.casefold() for form in forms(text)}

    def holds(*values: Any) -> bool:
        return any(needle in str(value).casefold() for value in values if value is not None for needle in needles)

    database.connection.create_function("aegis_holds", -1, holds, deterministic=True)
    try:
        yield
    finally:
        database.connection.create_function("aegis_holds", -1, None)


def forms(text: str) -> set[str]:
    """Return the forms that a text has in plain files and in JSON."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}


def _texts(database: Database, table: str, prefix: str = "") -> str:
    rows = database.query("SELECT name FROM pragma_table_info(?) WHERE type = 'TEXT'", (table,))
    return ", ".join(f'{prefix}"{row["name"]}"' for row in rows)
