"""Decisions erased from a database, with everything that hangs on them, so that the chain of hashes still verifies.

The chain keeps the hash of an erased row. A hash of a state that has few possible forms can be guessed.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aegis.errors import DataError, StoreError
from aegis.store.archive.erasing import remove_left, replace, rewrite
from aegis.store.archive.reading import fill
from aegis.store.chain.field import names_in, values_at
from aegis.store.database import Database
from aegis.store.engine.connection import Connection, Row
from aegis.store.tally import COUNTED
from aegis.types import utc_now

MEMORIES = {
    **{"searches": "seq", "inbox": "id", "proposals": "id", "gaps": "seq"},
    **{"questions": "seq", "goals": "seq", "knowledge": "seq"},
}
"""Tables of an agent's memory whose rows hold text, with the column that numbers them; those referred to come last"""
_PAGE_ROWS = 1000
_RECORDS = {"outcomes": ("seq", "outcome"), "labels": ("seq", "label"), "calls": ("decision_id", "")}
"""Tables whose rows belong to a decision: the column that orders them, the kind of their entries in the chain"""
_OF_DECISION = ("calls", "costs", "searches", "inbox", "proposals", "labels", "outcomes")
_TALLY = (
    "DELETE FROM tallies",
    f"INSERT INTO tallies {COUNTED}",
    "DELETE FROM cost_tallies",
    "INSERT INTO cost_tallies SELECT d.policy, COUNT(*), SUM(c.dollars)"
    " FROM costs AS c JOIN decisions AS d ON d.id = c.decision_id GROUP BY d.policy",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be erased: one of the three."""

    where: tuple[tuple[str, str], ...] = ()
    """Fields with their values; a decision must have all of them.

    A field is one of the state, with dots into inner objects and into strings that hold JSON, or `episode`; its value
    is given as text or as JSON.
    """
    decision: str = ""
    """A decision's id"""
    text: str = ""
    """A text anywhere in a decision, or in what hangs on it, or in the agent's memory; upper and lower case are one"""

    def __post_init__(self) -> None:
        if bool(self.where) + bool(self.decision) + bool(self.text) != 1:
            raise DataError("say what to forget by one of --where FIELD=VALUE, --decision ID and --text TEXT")


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
        seq, page = 0, f"SELECT seq, id, episode, state FROM decisions WHERE seq > ? ORDER BY seq LIMIT {_PAGE_ROWS}"
        while rows := database.query(page, (seq,)):
            whole = fill(database, "decision", rows)
            fitting = [row for row in whole if _fits(json.loads(row["state"]), row["episode"], wanted.where)]
            found.decisions |= {row["seq"]: row["id"] for row in fitting}
            found.episodes |= {row["episode"] for row in fitting}
            seq = rows[-1]["seq"]
    return found


def erase(database: Database, doomed: Doomed) -> Counter[str]:
    """Erase it in one transaction, then from the file's free pages and the log; return the erased rows by table.

    Raises `StoreError` where another program reads meanwhile, so that the log can't be emptied yet.
    """
    if database.on_sqlite:
        database.query("PRAGMA secure_delete = ON")
    rewritten = rewrite(database, doomed.decisions.values())
    with database.transaction() as connection:
        replace(connection, rewritten)
        erased = _erase_rows(connection, doomed, database.on_sqlite)
    remove_left(database)
    _clean(database)
    return erased


def _clean(database: Database) -> None:
    """Leave nothing of what was erased in free pages, and on SQLite in the log; a server keeps its log for a while."""
    if not database.on_sqlite:
        for table in ("decisions", "chain", *_OF_DECISION, *MEMORIES, "knowledge_words"):
            database.connection.execute(f"VACUUM FULL {table}")
        return
    database.query("VACUUM")
    busy = database.query("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
    if busy:
        raise StoreError(
            f"{database.path}: erased, but another program is reading the log that still holds the old pages: stop it,"
            " and run the command again"
        )


def _erase_rows(connection: Connection, doomed: Doomed, on_sqlite: bool) -> Counter[str]:
    erased: Counter[str] = Counter()
    connection.execute("CREATE TEMP TABLE doomed (seq BIGINT PRIMARY KEY, id TEXT NOT NULL UNIQUE)")
    try:
        connection.executemany("INSERT INTO doomed VALUES (?, ?)", doomed.decisions.items())
        ours = "decision_id IN (SELECT id FROM doomed)"
        at = utc_now().isoformat()
        for kind, rows in (
            ("outcome", f"outcomes WHERE {ours}"),
            ("label", f"labels WHERE {ours}"),
            ("decision", "doomed WHERE seq > 0"),  # ON CONFLICT needs a condition before it
        ):
            connection.execute(
                f"INSERT INTO erasures (kind, row, at) SELECT '{kind}', seq, CAST(? AS TEXT) FROM {rows}"
                " ORDER BY seq ON CONFLICT (kind, row) DO NOTHING",
                (at,),
            )
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
    _erase_memories(connection, doomed.memories, erased, on_sqlite)
    for statement in _TALLY:
        connection.execute(statement)
    return +erased


def _erase_memories(
    connection: Connection, memories: Mapping[str, list[int]], erased: Counter[str], on_sqlite: bool
) -> None:
    for table, key in MEMORIES.items():
        rows = [(row,) for row in memories.get(table, ())]
        if not rows:
            continue
        if table == "questions":
            sql = "DELETE FROM closings WHERE question IN (SELECT id FROM questions WHERE seq = ?)"
            connection.executemany(sql, rows)
        if table == "proposals":
            connection.executemany("UPDATE settings SET proposal = NULL WHERE proposal = ?", rows)
        erased[table] += connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", rows).rowcount
    if memories.get("knowledge") and on_sqlite:
        # The index keeps deleted words until its segments are merged.
        connection.execute("INSERT INTO knowledge_words (knowledge_words) VALUES ('rebuild')")


def _add(database: Database, found: Doomed, where: str, values: tuple[Any, ...]) -> None:
    for row in database.query(f"SELECT d.seq, d.id, d.episode FROM decisions AS d WHERE {where}", values):
        found.decisions[row["seq"]] = row["id"]
        found.episodes.add(row["episode"])


def _fits(state: Mapping[str, Any], episode: str, where: Sequence[tuple[str, str]]) -> bool:
    return all(_has(state, episode, name, value) for name, value in where)


def _has(state: Mapping[str, Any], episode: str, name: str, said: str) -> bool:
    values = list(values_at(state, name))
    if not values:
        return name == "episode" and episode == said
    return any(_is(value, said) for value in values)


def _is(value: Any, said: str) -> bool:
    if isinstance(value, str):
        return value == said
    with contextlib.suppress(ValueError, RecursionError):
        return bool(value == json.loads(said))
    return False


def read_names(database: Database, most: int) -> list[str]:
    """Return fields of the newest state, by which `Wanted.field` may ask; at most so many."""
    rows = database.query("SELECT seq, state FROM decisions ORDER BY seq DESC LIMIT 1")
    return [name for row in fill(database, "decision", rows) for name in names_in(json.loads(row["state"]), most)]


def _find_text(database: Database, text: str, found: Doomed) -> None:
    needles = {form.casefold() for form in forms(text)}
    ids = [row["id"] for row in _holding(database, "decisions", "seq", needles, "decision")]
    for table, (key, kind) in _RECORDS.items():
        ids += [row["decision_id"] for row in _holding(database, table, key, needles, kind)]
    for id in dict.fromkeys(ids):
        _add(database, found, "d.id = ?", (id,))
    for table, key in MEMORIES.items():
        if rows := [row[key] for row in _holding(database, table, key, needles)]:
            found.memories[table] = rows


def _holding(database: Database, table: str, key: str, needles: Collection[str], kind: str = "") -> Iterator[Row]:
    """Yield the rows of a table of which a text holds one of these, upper and lower case being one; page by page.

    kind: of the rows' entries in the chain, for rows that may have left texts in the archive.
    """
    texts = [name for name, type in database.columns(table).items() if type == "text"]
    page = f"SELECT * FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT {_PAGE_ROWS}"
    last: Any = "" if key in texts else -1
    while rows := database.query(page, (last,)):
        for row in fill(database, kind, rows) if kind else rows:
            values = [str(row[name]).casefold() for name in texts if row[name] is not None]
            if any(needle in value for value in values for needle in needles):
                yield row
        last = rows[-1][key]


def forms(text: str) -> set[str]:
    """Return the forms that a text has in plain files and in JSON."""
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
