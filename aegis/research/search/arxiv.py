"""Search of arXiv's papers by its API (an Atom feed): titles and abstracts, at most a request in three seconds."""

from __future__ import annotations

from typing import Any

from aegis.errors import SearchError
from aegis.http import Manners
from aegis.research.search.online import OnlineSource, check_limit, keywords, passage, title
from aegis.research.search.provider import SearchHit

API_URL = "https://export.arxiv.org/api/query"
MANNERS = Manners(timeout_seconds=10.0, attempts=2, deadline_seconds=20.0, interval_seconds=3.0)
"""arXiv's terms of use ask for three seconds between requests."""

_ATOM = "{http://www.w3.org/2005/Atom}"
_PRIMARY_CATEGORY = "{http://arxiv.org/schemas/atom}primary_category"


class ArxivSearch:
    """Papers that have all words of a question, the most relevant by arXiv's order first."""

    name = "arxiv"

    def __init__(self, url: str = API_URL, manners: Manners = MANNERS) -> None:
        self._source = OnlineSource(self.name, url, manners)
        self.pace = self._source.pace

    def search(self, query: str, limit: int) -> list[SearchHit]:
        """Return at most `limit` abstracts, best first. Raises `SearchError` if arXiv can't be asked."""
        check_limit(limit)
        words = keywords(query)
        if not words:
            return []
        asked = " AND ".join(f"all:{word}" for word in words)
        params = {"search_query": asked, "start": "0", "max_results": str(limit), "sortBy": "relevance"}
        feed = _parse(self._source.get(params).body)
        hits = []
        for entry in feed.iter(f"{_ATOM}entry"):
            address = (entry.findtext(f"{_ATOM}id") or "").strip()
            if "/api/errors" in address:
                raise SearchError(f"arxiv: it refused the query: {title(entry.findtext(f'{_ATOM}summary'))}")
            category = entry.find(_PRIMARY_CATEGORY)
            hit = SearchHit(
                title=title(entry.findtext(f"{_ATOM}title")),
                text=passage(entry.findtext(f"{_ATOM}summary")),
                source=title(address.replace("http://", "https://", 1)),
                topic=title(category.get("term") if category is not None else "") or self.name,
            )
            if hit.title and hit.text:
                hits.append(hit)
        return hits[:limit]

    def close(self) -> None:
        """Close the connection."""
        self._source.close()


def _parse(body: bytes) -> Any:
    """Return a feed's root; entities and DTDs, which could make a small file large, are refused."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise SearchError(f"arxiv: the answer is not an Atom feed: {title(str(error))}") from error
    if root.tag != f"{_ATOM}feed":
        raise SearchError(f"arxiv: the answer is not an Atom feed but {title(root.tag)!r}")
    return root
