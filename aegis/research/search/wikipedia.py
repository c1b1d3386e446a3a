"""Search of Wikipedia by MediaWiki's API: the introductions of the articles found, in any language."""

from __future__ import annotations

import re
from typing import Any

from aegis.errors import ConfigError, SearchError
from aegis.http import Manners
from aegis.research.search.online import OnlineSource, check_limit, keywords, passage, title
from aegis.research.search.provider import SearchHit

API_URL = "https://{language}.wikipedia.org/w/api.php"
MANNERS = Manners(timeout_seconds=10.0, attempts=2, deadline_seconds=20.0, interval_seconds=0.5)
MOST_EXTRACTS = 20
"""MediaWiki gives at most this many introductions in an answer."""


class WikipediaSearch:
    """Articles by MediaWiki's full-text search, best first, each as its introduction."""

    name = "wikipedia"

    def __init__(self, language: str = "en", url: str = API_URL, manners: Manners = MANNERS) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{1,20}", language):
            raise ConfigError(f"--search wikipedia:{language!r}: give a language such as wikipedia:de")
        self._source = OnlineSource(self.name, url.format(language=language), manners)
        self.pace = self._source.pace
        self._site = f"https://{language}.wikipedia.org/wiki/"

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most `limit` introductions, best first. Raises `SearchError` if Wikipedia can't be asked."""
        check_limit(limit)
        words = keywords(query)
        if not words:
            return []
        params = {
            "action": "query", "format": "json", "formatversion": "2", "maxlag": "5",
            "generator": "search", "gsrsearch": " ".join(words), "gsrlimit": str(min(limit, MOST_EXTRACTS)),
            "prop": "extracts|categories", "exintro": "1", "explaintext": "1", "exlimit": "max",
            "clshow": "!hidden", "cllimit": "max",
        }  # fmt: skip
        document = self._source.get_json(params)
        if isinstance(error := document.get("error"), dict):
            raise SearchError(f"wikipedia: {title(error.get('code'))}: {title(error.get('info'))}")
        found = document.get("query", {})
        pages = found.get("pages", []) if isinstance(found, dict) else None
        if not isinstance(pages, list) or ("query" not in document and "batchcomplete" not in document):
            raise SearchError("wikipedia: the answer does not have the form of MediaWiki's API")
        ranked = sorted((page for page in pages if isinstance(page, dict)), key=_rank)
        hits = [self._hit(page) for page in ranked]
        return [hit for hit in hits if hit.title and hit.text][:limit]

    def close(self) -> None:
        """Close the connection."""
        self._source.close()

    def _hit(self, page: dict[str, Any]) -> SearchHit:
        name = title(page.get("title"))
        categories = page.get("categories")
        first = categories[0] if isinstance(categories, list) and categories else None
        category = title(first.get("title")).partition(":")[2] if isinstance(first, dict) else ""
        source = title(self._site + name.replace(" ", "_"))
        return SearchHit(name, passage(page.get("extract")), source, category or self.name)


def _rank(page: dict[str, Any]) -> int:
    index = page.get("index")
    return index if isinstance(index, int) else 1_000_000
