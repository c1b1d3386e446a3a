"""Search by any SearXNG instance, a metasearch engine that users can run themselves."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from aegis.errors import ConfigError, SearchError
from aegis.http import Manners
from aegis.rendering import clean_text
from aegis.research.search.online import OnlineSource, check_limit, passage, title
from aegis.research.search.provider import SearchHit

MANNERS = Manners(timeout_seconds=10.0, attempts=2, deadline_seconds=20.0, interval_seconds=1.0)
_QUERY_CHARACTERS = 300


class SearxngSearch:
    """Web pages found by an instance, each as its title and the lines shown below it."""

    name = "searxng"

    def __init__(self, url: str, manners: Manners = MANNERS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"--search searxng:{clean_text(url)}: give an instance's address, http://... or https://..."
            )
        self._source = OnlineSource(self.name, url.rstrip("/") + "/search", manners)
        self.pace = self._source.pace

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most `limit` pages, best first. Raises `SearchError` if the instance can't be asked."""
        check_limit(limit)
        asked = clean_text(query, _QUERY_CHARACTERS).lstrip("!:")  # `!name` and `:name` choose engines and languages
        if not asked:
            return []
        try:
            document = self._source.get_json({"q": asked, "format": "json"})
        except SearchError as error:
            if "status 403" in str(error):
                raise SearchError(f"{error}: allow `json` under search.formats in the instance's settings") from error
            raise
        results = document.get("results")
        if not isinstance(results, list):
            raise SearchError("searxng: the answer has no results: is this a SearXNG instance?")
        hits = [_hit(result) for result in results if isinstance(result, dict)]
        hits = [hit for hit in hits if hit.title and hit.text]
        if not results and (silent := document.get("unresponsive_engines")):
            raise SearchError(f"searxng: none of its engines answered: {clean_text(str(silent), 120)}")
        return hits[:limit]

    def close(self) -> None:
        """Close the connection."""
        self._source.close()


def _hit(result: dict[str, Any]) -> SearchHit:
    address = title(result.get("url"))
    return SearchHit(title(result.get("title")), passage(result.get("content")), address, host_of(address) or "web")


def host_of(address: str) -> str:
    """Return the host of a page's address, without `www.`; '' for an invalid address."""
    try:
        return title(urlsplit(address).hostname or "").removeprefix("www.")
    except ValueError:
        return ""
