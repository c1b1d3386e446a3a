"""A search provider that needs no network: it answers from the documentation installed on this machine.

The index is built at the first search, once per Python environment, in the user's cache folder, and again when Python
or an installed distribution changes. `corpus` makes the passages; this module decides which of them answer a question.
"""

from __future__ import annotations

import hashlib
import math
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import platformdirs

from aegis.errors import ConfigError, SearchError
from aegis.research.search.documents.corpus import PYTHON_CORPUS, Corpus
from aegis.research.search.documents.index import TITLE_WEIGHT, build_index, building_alone, open_index
from aegis.research.search.provider import SearchHit
from aegis.research.search.query import Query, parse_query
from aegis.types import Progress, unheard

LEAST_COVERAGE = 0.6
"""If no passage has all of a question's words, the share of its information that a hit must have. Rare words weigh
more, so that `zlib` counts and `object` alone does not."""
CANDIDATES = 40

_COLUMNS = "passage.title, passage.text, passage.source, passage.topic"
_Result = TypeVar("_Result")


class OfflineSearch:
    """Search the documentation of Python and of the installed distributions.

    `index_path`: the index's file; None: a file in the cache folder, by corpus. `progress` is called while an index is
    built, or waited for. Safe to use from several threads.
    """

    name = "offline"

    def __init__(
        self,
        index_path: Path | None = None,
        *,
        corpus: Corpus | None = None,
        progress: Progress = unheard,
    ) -> None:
        self.corpus = corpus or Corpus()
        self.index_path = index_path or default_index_path(self.corpus)
        self._progress = progress
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def prepare(self) -> None:
        """Build the index now if none fits; a search also does so. Raises `SearchError`."""
        with self._lock:
            if self._connection is None:
                self._connection = self._opened_or_built()

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most `limit` passages, best first; none if nothing is relevant.

        Passages about a name in the query come first, then those with all of its words. If there are neither, passages
        with most of the query's information are returned. Raises `SearchError` if there is no index and none can be
        built.
        """
        if limit < 1:
            raise ConfigError(f"search limit {limit}: ask for at least one hit")
        asked = parse_query(query)
        return self._read(lambda connection: _find(connection, asked, limit))

    def topics(self) -> list[tuple[str, int]]:
        """Return each topic with its number of passages, by name."""
        sql = "SELECT topic, count(*) FROM passage GROUP BY topic ORDER BY topic"
        return self._read(lambda connection: [(str(t), int(n)) for t, n in connection.execute(sql)])

    def close(self) -> None:
        """Close the index's file; a later search opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _read(self, read: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run a reading; a damaged index is rebuilt, once."""
        with self._lock:
            self.prepare()
            assert self._connection is not None
            try:
                return read(self._connection)
            except sqlite3.DatabaseError:
                self.close()
                self._connection = self._built(self.corpus.fingerprint())
            try:
                return read(self._connection)
            except sqlite3.Error as error:
                raise SearchError(f"can't search {self.index_path}: {error}; delete that file and try again") from error

    def _opened_or_built(self) -> sqlite3.Connection:
        fingerprint = self.corpus.fingerprint()
        connection = open_index(self.index_path, fingerprint)
        if connection is not None:
            return connection
        try:
            self.index_path.parent.mkdir(parents=True, exist_ok=True)
            self._progress("Waiting for another process that indexes the documentation", 0, 0)
            with building_alone(self.index_path):
                self._progress("", 0, 0)
                # Another process may have built it while this one waited.
                return open_index(self.index_path, fingerprint) or self._built(fingerprint)
        except (OSError, sqlite3.Error) as error:
            raise SearchError(
                f"can't keep a search index in {self.index_path.parent}: {error}; "
                "set AEGIS_CACHE to a folder that can be written"
            ) from error

    def _built(self, fingerprint: str) -> sqlite3.Connection:
        try:
            build_index(self.index_path, self._passages(), fingerprint)
            connection = open_index(self.index_path, fingerprint)
        finally:
            self._progress("", 0, 0)
        if connection is None:
            raise SearchError(f"the search index {self.index_path} can't be read back: is the disk full?")
        return connection

    def _passages(self) -> Iterator[SearchHit]:
        yield from self.corpus.passages(self._progress)
        self._progress("Writing the index of the installed documentation", 0, 0)


def cache_folder() -> Path:
    """Return the folder for what can be made again: `AEGIS_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("AEGIS_CACHE") or platformdirs.user_cache_dir("aegis-hrm"))


def default_index_path(corpus: Corpus | None = None) -> Path:
    """Return the index's file for a corpus in this environment, so that two environments don't rebuild each other's."""
    environment = hashlib.sha256(f"{sys.prefix}|{sys.version}".encode()).hexdigest()[:12]
    kind = "python" if corpus == PYTHON_CORPUS else "search"
    return cache_folder() / f"{kind}-{environment}.sqlite"


def _find(connection: sqlite3.Connection, asked: Query, limit: int) -> list[SearchHit]:
    found: dict[int, None] = {}
    for name in asked.names:
        sql = "SELECT passage FROM title_key WHERE key = ? ORDER BY dropped, passage LIMIT ?"
        found.update((row[0], None) for row in connection.execute(sql, (_storable(name), limit)))
    if asked.words:
        found.update((row, None) for row in _ranked(connection, " AND ".join(map(_quoted, asked.words)), limit))
        if not found:
            found.update((row, None) for row in _covering(connection, asked.words)[:limit])
    sql = f"SELECT {_COLUMNS} FROM passage WHERE id = ?"
    return [SearchHit(*connection.execute(sql, (row,)).fetchone()) for row in list(found)[:limit]]


def _ranked(connection: sqlite3.Connection, match: str, limit: int) -> list[int]:
    sql = "SELECT rowid FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank LIMIT ?"
    return [row[0] for row in connection.execute(sql, (match, f"bm25({TITLE_WEIGHT}, 1.0)", limit))]


def _covering(connection: sqlite3.Connection, words: tuple[str, ...]) -> list[int]:
    """Return the passages that have `LEAST_COVERAGE` of the words' information, those with most of it first."""
    total = connection.execute("SELECT max(id) FROM passage").fetchone()[0] or 0
    counting = "SELECT count(*) FROM words WHERE words MATCH ?"
    weights = {}
    for word in words:
        with_it = connection.execute(counting, (_quoted(word),)).fetchone()[0]
        weights[word] = math.log((total + 1) / (with_it + 0.5))
    rarest_first = sorted(weights, key=lambda w: -weights[w])
    needed = LEAST_COVERAGE * sum(weights.values())
    candidates = _ranked(connection, " OR ".join(map(_quoted, words)), CANDIDATES)
    has = "SELECT 1 FROM words WHERE words MATCH ? AND rowid = ?"
    scored = []
    for order, row in enumerate(candidates):
        covered = sum(weights[w] for w in rarest_first if connection.execute(has, (_quoted(w), row)).fetchone())
        if covered >= needed:
            scored.append((-covered, order, row))
    return [row for _, _, row in sorted(scored)]


def _quoted(word: str) -> str:
    """Return a word as an FTS5 string, in which nothing is an operator."""
    return '"' + word.replace('"', '""') + '"'


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
