"""Several search providers as one: the next is asked if one fails or finds nothing.

A provider that fails is left alone for a while, longer each time, as by a circuit breaker. (The libraries for that
hold a lock during the call, so a provider that hangs would block the next search too.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aegis.errors import ActionError, ConfigError, SearchError
from aegis.rendering import clean_text
from aegis.research.search.cache import SearchCache
from aegis.research.search.offline import OfflineSearch
from aegis.research.search.provider import SearchHit, SearchProvider
from aegis.research.timeout import TimeLimiter

FIRST_REST_SECONDS = 30.0
LONGEST_REST_SECONDS = 1800.0
PROVIDER_SECONDS = 25.0
"""Time limit of a provider with all its attempts; after it the next provider is asked."""
CHAIN_SECONDS = 50.0
LEAST_PASSAGES = 3
"""Passages that a topic of the offline documentation needs to be worth a goal."""
TOPICS = (
    "algorithm design", "artificial neural networks", "attention mechanisms", "Bayesian inference", "causal inference",
    "compilers", "computer vision", "cryptography", "databases", "distributed systems", "evolutionary computation",
    "federated learning", "formal verification", "game theory", "graph theory", "human-computer interaction",
    "information retrieval", "information theory", "knowledge distillation", "knowledge graphs", "machine translation",
    "Markov decision processes", "multi-agent systems", "natural language processing", "numerical analysis",
    "operating systems", "optimization", "planning", "probability theory", "programming languages",
    "quantum computing", "recommender systems", "reinforcement learning", "robotics", "self-supervised learning",
    "software testing", "speech recognition", "statistical learning theory", "time series", "transfer learning",
)  # fmt: skip
"""The goals' topics if no documentation is on hand to take topics from."""


@dataclass(frozen=True, slots=True)
class ProviderReport:
    """A provider's counts since the order last changed."""

    label: str
    asked: int
    failed: int
    """Times that it failed, or was left alone after a failure."""
    empty: int
    """Times that it found nothing."""

    @property
    def vain_share(self) -> float:
        """Share of the times asked that brought nothing."""
        return (self.failed + self.empty) / self.asked if self.asked else 0.0


@dataclass
class _Link:
    """A provider and its recent behaviour."""

    label: str
    provider: SearchProvider
    failures: int = 0
    resting_until: float = 0.0
    asked: int = 0
    failed: int = 0
    empty: int = 0


class SearchChain:
    """Providers in the order in which they are asked; itself a provider.

    `on_trouble` gets a line about each failure. Close it to end its connections. Raises `ConfigError` for no provider.
    """

    def __init__(
        self,
        providers: Sequence[tuple[str, SearchProvider]],
        cache: SearchCache | None = None,
        *,
        on_trouble: Callable[[str], None] = lambda line: None,
        provider_seconds: float = PROVIDER_SECONDS,
        chain_seconds: float = CHAIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not providers:
            raise ConfigError("a search needs at least one provider")
        self._links = [_Link(label, provider) for label, provider in providers]
        self._cache = cache
        self._on_trouble = on_trouble
        self._provider_seconds = provider_seconds
        self._chain_seconds = chain_seconds
        self._clock = clock
        self._limiter = TimeLimiter()
        self.answered_by = ""

    @property
    def name(self) -> str:
        return ",".join(link.label for link in self._links)

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return the hits of the first provider that has some; none if those that answered found nothing.

        `answered_by` then names that provider. Raises `SearchError` with each provider's reason if none could be asked.
        """
        ends_at = self._clock() + self._chain_seconds
        reasons: list[str] = []
        answered, found = "", list[SearchHit]()
        for link in self._links:
            link.asked += 1
            try:
                found = self._ask(link, query, limit, ends_at)
            except SearchError as error:
                link.failed += 1
                reasons.append(str(error))
                continue
            answered = link.label
            if found:
                break
            link.empty += 1
        if not answered:
            raise SearchError("; ".join(reasons))
        self.answered_by = answered
        return found

    def topics(self) -> list[str]:
        """Return the topics to read about: the offline documentation's, or else some fields of research."""
        for link in self._links:
            if isinstance(link.provider, OfflineSearch):
                return [topic for topic, passages in link.provider.topics() if passages >= LEAST_PASSAGES]
        return list(TOPICS)

    def reports(self) -> list[ProviderReport]:
        """Return each provider's counts, in the order in which they are asked."""
        return [ProviderReport(link.label, link.asked, link.failed, link.empty) for link in self._links]

    def arrange(self, order: str) -> None:
        """Ask the providers in this order from now on, if it names just these, with commas between."""
        labels = order.split(",")
        if order == self.name or sorted(labels) != sorted(link.label for link in self._links):
            return
        for link in self._links:
            link.asked = link.failed = link.empty = 0
        self._links = sorted(self._links, key=lambda link: labels.index(link.label))

    def close(self) -> None:
        """Close the connections and the cache."""
        for link in self._links:
            close = getattr(link.provider, "close", None)
            if close is not None:
                close()
        if self._cache is not None:
            self._cache.close()

    def _ask(self, link: _Link, query: str, limit: int, ends_at: float) -> list[SearchHit]:
        cache = None if isinstance(link.provider, OfflineSearch) else self._cache
        if cache is not None and (kept := cache.get(link.label, query, limit)) is not None:
            return kept
        now = self._clock()
        if now < link.resting_until:
            raise SearchError(f"{link.label}: failed lately, left alone for {link.resting_until - now:.0f} s more")
        if now >= ends_at:
            raise SearchError(f"{link.label}: no time left for it")
        seconds = min(self._provider_seconds, ends_at - now)
        try:
            hits = self._limiter.call(link.provider.search, query, limit, timeout_seconds=seconds)
        except (SearchError, ActionError) as error:
            raise self._failed(link, str(error)) from error
        except ConfigError:
            raise
        except Exception as error:  # a provider may be third-party code
            raise self._failed(link, f"{type(error).__name__}: {error}") from error
        link.failures = 0
        if cache is not None:
            cache.keep(link.label, query, limit, hits)
        return hits

    def _failed(self, link: _Link, reason: str) -> SearchError:
        reason = clean_text(reason, 300)
        reason = reason if reason.startswith(link.label.partition(":")[0]) else f"{link.label}: {reason}"
        rest = min(FIRST_REST_SECONDS * 2.0**link.failures, LONGEST_REST_SECONDS)
        link.failures += 1
        link.resting_until = self._clock() + rest
        self._on_trouble(f"Search: {reason}; left alone for {rest:.0f} s")
        return SearchError(reason)
