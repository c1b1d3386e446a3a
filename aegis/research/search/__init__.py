"""Search for the agent: providers by name, alone or in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from aegis.errors import ConfigError
from aegis.http import Pace
from aegis.research.search.arxiv import ArxivSearch
from aegis.research.search.cache import MAX_AGE_SECONDS, SearchCache
from aegis.research.search.chain import ProviderReport, SearchChain
from aegis.research.search.documents.corpus import PYTHON_CORPUS, Corpus
from aegis.research.search.engines import EngineSearch
from aegis.research.search.offline import OfflineSearch
from aegis.research.search.provider import SearchHit, SearchProvider
from aegis.research.search.searxng import SearxngSearch
from aegis.research.search.wikipedia import WikipediaSearch
from aegis.types import Progress, unheard

__all__ = [
    "PROVIDERS",
    "PYTHON_CORPUS",
    "Corpus",
    "OfflineSearch",
    "ProviderReport",
    "SearchCache",
    "SearchChain",
    "SearchHit",
    "SearchProvider",
    "create_provider",
    "create_search",
]

PROVIDERS = ("offline", "arxiv", "wikipedia", "ddgs", "searxng:URL")
"""The providers' names; `wikipedia:de` is Wikipedia in another language."""


def create_provider(
    name: str,
    *,
    index_path: Path | None = None,
    corpus: Corpus | None = None,
    progress: Progress = unheard,
) -> SearchProvider:
    """Return the provider of this name, which reads, builds and asks nothing before its first search.

    Raises `ConfigError` for a name that is not in `PROVIDERS`.
    """
    kind, _, detail = name.strip().partition(":")
    if kind == "searxng" and detail:
        return SearxngSearch(detail)
    if kind == "wikipedia":
        return WikipediaSearch(detail) if detail else WikipediaSearch()
    if not detail:
        if kind == "offline":
            return OfflineSearch(index_path, corpus=corpus, progress=progress)
        if kind == "arxiv":
            return ArxivSearch()
        if kind == "ddgs":
            return EngineSearch()
    raise ConfigError(f"search provider {name!r}: choose out of {', '.join(PROVIDERS)}, in order, with commas between")


def create_search(
    names: str = "offline",
    *,
    cache: Path | None = None,
    cache_max_age_seconds: float = MAX_AGE_SECONDS,
    index_path: Path | None = None,
    corpus: Corpus | None = None,
    progress: Progress = unheard,
    on_trouble: Callable[[str], None] = lambda line: None,
) -> SearchChain:
    """Return the named providers, in order, as a single search, e.g. `offline,arxiv`.

    `cache`: a file for the answers of online providers; processes that share it also share the providers' rate limits.
    `corpus`: what `offline` searches; None: all installed documentation. `progress` is called while the offline index
    is built, `on_trouble` with a line per failure. Raises `ConfigError` for a name that is unknown or given twice.
    """
    labels = [name.strip() for name in names.split(",") if name.strip()]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise ConfigError(f"search provider {', '.join(twice)}: named twice")
    if not labels:
        raise ConfigError(f"--search {names!r}: name at least one of {', '.join(PROVIDERS)}")
    providers = [
        (label, create_provider(label, index_path=index_path, corpus=corpus, progress=progress)) for label in labels
    ]
    kept = SearchCache(cache, cache_max_age_seconds) if cache is not None else None
    if kept is not None:
        for label, provider in providers:
            if isinstance(pace := getattr(provider, "pace", None), Pace):
                pace.across = partial(kept.next_turn, label)
    return SearchChain(providers, kept, on_trouble=on_trouble)
