"""A search's hit, and the contract of a search provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A passage of real documentation, and its source."""

    title: str
    """What the passage is about, e.g. `sqlite3.Connection.backup`."""
    text: str
    """At most about 600 characters on a single line, whole sentences if possible."""
    source: str
    """Where it was read, e.g. `python 3.11 docs: sqlite3` or `tiktoken 0.14.0: README`."""
    topic: str
    """Top-level module or distribution, e.g. `sqlite3` or `tiktoken`."""


@runtime_checkable
class SearchProvider(Protocol):
    """Anything that answers a free-text query with passages."""

    @property
    def name(self) -> str:
        """Name written into the records of its searches."""
        ...

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most `limit` hits, best first; none if nothing is relevant.

        Raises `SearchError` if the search could not be carried out, which is not the same as no hits.
        """
        ...
