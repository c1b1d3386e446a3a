"""The online providers' common part: how they ask, and how their answers become passages."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping
from typing import Any

from aegis.errors import ConfigError, RequestError, SearchError
from aegis.http import USER_AGENT, HttpClient, Manners, Reply
from aegis.rendering import clean_text
from aegis.research.search.query import parse_query

PASSAGE_CHARACTERS = 600
TITLE_CHARACTERS = 160

_INLINE_TAG = re.compile(r"</?(?:a|b|i|em|strong|mark|span|code)\b[^<>]{0,200}>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{1,200}>")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


class OnlineSource:
    """An HTTP service that a provider asks, with its rate limits; raises `SearchError` if it can't be asked."""

    def __init__(self, name: str, url: str, manners: Manners) -> None:
        contact = clean_text(os.environ.get("AEGIS_CONTACT", "").encode("ascii", "ignore").decode())
        agent = f"{USER_AGENT} ({contact})" if contact else USER_AGENT
        self.name = name
        self.url = url
        self._client = HttpClient(manners, {"User-Agent": agent}, follow_redirects=True)
        self.pace = self._client.pace

    def get(self, params: Mapping[str, str]) -> Reply:
        try:
            return self._client.request("GET", self.url, params=params)
        except RequestError as error:
            raise SearchError(f"{self.name}: {error}") from error

    def get_json(self, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer's JSON object."""
        reply = self.get(params)
        try:
            document = reply.json()
        except RequestError as error:
            raise SearchError(f"{self.name}: {error}") from error
        if not isinstance(document, dict):
            raise SearchError(f"{self.name}: the answer is JSON of another form ({type(document).__name__})")
        return document

    def close(self) -> None:
        self._client.close()


def keywords(query: str) -> list[str]:
    """Return a question's content words, letters and digits only: none is an operator of any service."""
    return list(parse_query(query).words)


def check_limit(limit: int) -> None:
    """Raise `ConfigError` for a search of no hits."""
    if limit < 1:
        raise ConfigError(f"search limit {limit}: ask for at least one hit")


def passage(text: Any) -> str:
    """Return the start of a text as a passage: a single line without markup, whole sentences if possible."""
    line = clean_text(_without_markup(text) if isinstance(text, str) else "", 4 * PASSAGE_CHARACTERS)
    if len(line) <= PASSAGE_CHARACTERS:
        return line
    ends = [match.start() for match in _SENTENCE_END.finditer(line) if match.start() <= PASSAGE_CHARACTERS]
    return line[: ends[-1]] if ends and ends[-1] > PASSAGE_CHARACTERS // 3 else clean_text(line, PASSAGE_CHARACTERS)


def title(text: Any) -> str:
    """Return a title on a single line without markup; '' for anything but text."""
    return clean_text(_without_markup(text), TITLE_CHARACTERS) if isinstance(text, str) else ""


def _without_markup(text: str) -> str:
    return html.unescape(_TAG.sub(" ", _INLINE_TAG.sub("", text)))
