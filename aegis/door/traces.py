"""Where a text still stands in a workspace: rows of its database, archived files, and the bytes of all other files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aegis.store import Database
from aegis.store.archive.erasing import find_text
from aegis.store.chain.erasure import Wanted, find, forms
from aegis.store.engine.outside import find_bytes, stands_in
from aegis.store.moving.copying import TABLES
from aegis.workspace import Workspace

LEAST_TRACE = 4
"""Characters: a shorter text is looked for nowhere else, as it would be found everywhere"""
LEAST_IN_BINARY = 8
"""Bytes: a shorter text is not looked for in weights and other files that are no text, which hold it by chance"""
_VOCABULARY = "gpt2.tiktoken"
"""The file that each export has a copy of: it holds the numbers from 0 to 50,256"""
_KEYS = {"decisions": "id", "chain": "about"}
"""Tables whose rows are of a decision, with the column that says of which; else `decision_id`"""


@dataclass(frozen=True, slots=True)
class Trace:
    """A file in which a text still stands."""

    path: Path
    text: str
    decisions: list[str] = field(default_factory=list)
    """Of a database: the decisions whose rows hold it"""
    rows: Counter[str] = field(default_factory=Counter)
    """Of a database: the number of other rows that hold it, by table"""

    @property
    def is_of_others(self) -> bool:
        """Whether rows hold it that were not asked for, so that to erase again would not remove it."""
        return bool(self.decisions or self.rows)


def find_all(database: Database, place: Workspace, wanted: Wanted) -> list[Trace]:
    """Return the files of a workspace, without those of its points, in which a trace of what is wanted stands."""
    found: dict[Path, Trace] = {}
    apart = [place.point(name).folder for name in place.points()]
    for text in texts_of(database, wanted):
        words = not wanted.text
        for trace in [*_in_rows(database, place, text, words), *_in_files(database, place, text, words, apart)]:
            found.setdefault(trace.path, trace)
    return list(found.values())


def texts_of(database: Database, wanted: Wanted) -> list[str]:
    """Return the texts by which traces of what is wanted would show.

    Of several fields, a value that decisions of others have, too, shows nothing.
    """
    texts = [wanted.text, wanted.decision]
    if len(wanted.where) == 1:
        texts += [value for _, value in wanted.where]
    else:
        texts += [one[1] for one in wanted.where if not find(database, Wanted((one,)))]
    return [text for text in texts if len(text) >= LEAST_TRACE]


def find_traces(folder: Path, text: str, words: bool = False) -> list[Path]:
    """Return the files under a folder that hold a text, byte by byte, as it is or as JSON spells it.

    words: as for `stands_in`.
    """
    return find_bytes(folder, _bytes_of(text), words)


def _bytes_of(text: str) -> list[bytes]:
    return [form.encode("utf-8", "surrogatepass") for form in forms(text)]


def _in_rows(database: Database, place: Workspace, text: str, words: bool) -> list[Trace]:
    trace = Trace(place.database, text)
    for table, column, holds in _holding(database, text):
        if any(stands_in(value, form, words) for value in holds for form in forms(text)):
            if column:
                trace.decisions.append(column)
            else:
                trace.rows[table] += 1
    trace.decisions[:] = dict.fromkeys(trace.decisions)
    return [trace] if trace.is_of_others else []


def _holding(database: Database, text: str) -> list[tuple[str, str, list[str]]]:
    """Return each row that holds a text, also within a longer word: its table, its decision, its texts."""
    needles = [form for form in forms(text) if database.on_sqlite or "\0" not in form]  # which a server can't hold
    position = "INSTR({all}, ?) > 0" if database.on_sqlite else "POSITION(? IN {all}) > 0"
    found = []
    for table in TABLES:
        columns = database.columns(table)
        names = [name for name, kind in columns.items() if kind == "text"]
        if not names or not needles:
            continue
        texts = " || CHR(10) || ".join(f"COALESCE({name}, '')" for name in names)
        texts = texts.replace("CHR(", "CHAR(") if database.on_sqlite else texts
        where = " OR ".join([position.format(all=f"({texts})")] * len(needles))
        key = _KEYS.get(table, "decision_id")
        for row in database.query(f"SELECT * FROM {table} WHERE {where}", tuple(needles)):
            decision = str(row[key]) if key in columns and row[key] else ""
            found.append((table, decision, [str(row[name]) for name in names if row[name] is not None]))
    return found


def _in_files(database: Database, place: Workspace, text: str, words: bool, apart: Sequence[Path]) -> list[Trace]:
    found = find_bytes(place.folder, _bytes_of(text), words, LEAST_IN_BINARY, apart)
    found = [path for path in found if path.name != _VOCABULARY]
    own = [path for path in found if path.parent == place.folder and path.name.startswith(place.database.name)]
    if own and _holding(database, text):
        # Its rows were looked at one by one: in the file, a text may follow another.
        found = [path for path in found if path not in own]
    return [Trace(path, text) for path in [*find_text(database, forms(text), words), *found]]
