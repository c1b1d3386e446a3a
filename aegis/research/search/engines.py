"""Search by general web engines through the package `ddgs`, which reads their result pages; needs an extra."""

from __future__ import annotations

import contextlib
from typing import Any

from aegis.errors import SearchError
from aegis.http import Pace
from aegis.packages import install
from aegis.rendering import clean_text
from aegis.research.search.online import check_limit, passage, title
from aegis.research.search.provider import SearchHit
from aegis.research.search.searxng import host_of

INSTALL = install("search")
INTERVAL_SECONDS = 2.0
"""Least time between two searches: engines soon refuse a client that asks faster."""
_QUERY_CHARACTERS = 300


class EngineSearch:
    """Web pages found by the engines, each as its title and the lines shown below it.

    `backend`: one of the package's engines, or `auto`. To the package, an engine that refuses looks like an engine that
    found nothing; the statuses of its answers tell them apart.
    """

    name = "ddgs"

    def __init__(
        self, backend: str = "auto", timeout_seconds: int = 8, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._backend = backend
        self._timeout_seconds = timeout_seconds
        self.pace = Pace(interval_seconds)

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most `limit` pages, best first. Raises `SearchError` if no engine could be asked."""
        check_limit(limit)
        asked = clean_text(query, _QUERY_CHARACTERS)
        if not asked:
            return []
        try:
            from ddgs.exceptions import DDGSException
        except ImportError as error:
            raise SearchError(f"ddgs is not installed: {INSTALL}") from error
        statuses: list[int] = []
        self.pace.wait()
        try:
            found = self._engines(statuses).text(asked, max_results=limit, backend=self._backend)
        except DDGSException as error:
            refused = sorted({status for status in statuses if status != 200})
            if "No results" in str(error) and 200 in statuses:
                return []
            because = f"status {', '.join(map(str, refused))}" if refused else clean_text(str(error), 120)
            raise SearchError(f"ddgs: no engine answered: {because}") from error
        except Exception as error:  # the package parses pages that were not made for it
            raise SearchError(f"ddgs: {type(error).__name__}: {clean_text(str(error), 120)}") from error
        hits = [_hit(result) for result in found if isinstance(result, dict)]
        return [hit for hit in hits if hit.title and hit.text][:limit]

    def close(self) -> None:
        """Do nothing: no connection is kept open."""

    def _engines(self, statuses: list[int]) -> Any:
        """Return the package's searcher, whose engines note the status of each answer."""
        # Not `ddgs.DDGS`: until its first call that name is a stand-in, which ignores subclasses.
        from ddgs.ddgs import DDGS

        class Watched(DDGS):  # type: ignore[misc,unused-ignore]
            def _get_engines(self, *arguments: Any, **options: Any) -> Any:
                engines = super()._get_engines(*arguments, **options)
                for engine in engines:
                    _note_statuses(engine, statuses)
                return engines

        return Watched(timeout=self._timeout_seconds)


def _note_statuses(engine: Any, statuses: list[int]) -> None:
    # The package's internals may change: then statuses stay unknown, and nothing else is lost.
    with contextlib.suppress(AttributeError):
        client, request = engine.http_client, engine.http_client.request

        def noting(*arguments: Any, **options: Any) -> Any:
            response = request(*arguments, **options)
            statuses.append(int(response.status_code))
            return response

        client.request = noting


def _hit(result: dict[str, Any]) -> SearchHit:
    address = title(result.get("href"))
    return SearchHit(title(result.get("title")), passage(result.get("body")), address, host_of(address) or "web")
