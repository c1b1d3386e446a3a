"""Search for the agent: providers by name. Which query to ask is the agent's own matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aegis.agent.search.corpus import Corpus
from aegis.agent.search.offline import OfflineSearch
from aegis.agent.search.provider import SearchHit, SearchProvider
from aegis.errors import ConfigError

__all__ = ["PROVIDERS", "Corpus", "OfflineSearch", "SearchHit", "SearchProvider", "create_provider"]

PROVIDERS = ("offline",)


def create_provider(
    name: str, *, index_path: Path | None = None, progress: Callable[[str], None] | None = None
) -> SearchProvider:
    """Return the provider of this name; nothing is read or built before its first search.

    Raises `ConfigError` for a name that is none of `PROVIDERS`.
    """
    if name not in PROVIDERS:
        raise ConfigError(f"search provider {name!r}: choose one of {', '.join(PROVIDERS)}")
    return OfflineSearch(index_path, progress=progress)
