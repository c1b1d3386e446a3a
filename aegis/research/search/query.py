"""A free-text question as search terms: the names in it and its content words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MAX_QUERY_CHARACTERS = 1_000
MAX_WORDS = 12
"""More words would only add time to a search."""

_STOP_WORDS_TEXT = """
a about after all also although am an and any anything are as at be because been before being best between both but
by can could describe did different do does doing done each either else etc even ever every explain find for from
get gets give given go goes had happen happens has have having he her here him his how however i if in into is it
its just know learn let like made make makes many matter may me mean means meant might mine more most much must my
need needs no nor not of off on once one only or other others our out over please purpose same say says shall she
should show since so some someone something still such tell than that the their them then there these they thing
things this those though to too under until up upon us use used useful user uses using versus very via vs want wants
was way ways we were what when where whether which while who whom whose why will with within without won work
working works would yes you your yours
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())

_CODE_QUOTED = re.compile(r"[`'\"“‘]([^`'\"”’]{1,80})[`'\"”’]")
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_KEYWORD_USE = re.compile(r"\b(\w+)\s+(?:statement|keyword|operator|clause|expression|loop)s?\b", re.IGNORECASE)
_QUESTION_START = re.compile(
    r"^\W*(?:what|who|how|why|when|where|which)?\W*(?:is|are|does|do|was)?\W*(?:an?\s+)?", re.IGNORECASE
)
_TITLE_TRIM = re.compile(r"^the\s+|\s+works?$", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Query:
    """The search terms of a question."""

    names: tuple[str, ...]
    """Names as in code, e.g. `sqlite3.Connection.backup`; also the whole phrase, if it could be a title."""
    words: tuple[str, ...]
    """Content words, each once, in small letters, letters and digits only."""


def parse_query(text: str) -> Query:
    """Return the names and the content words of a question; both are empty if it has none."""
    text = text[:MAX_QUERY_CHARACTERS]
    quoted = [m.group(1).strip() for m in _CODE_QUOTED.finditer(text)]
    kept = {w for phrase in quoted if " " not in phrase for w in _words(phrase)}
    kept |= {m.group(1).casefold() for m in _KEYWORD_USE.finditer(text)}
    words = _once(w for w in _words(text) if w not in STOP_WORDS or w in kept)[:MAX_WORDS]
    names = [phrase.removesuffix("()") for phrase in quoted]
    names += [m.group() for m in _NAME.finditer(text) if _is_name(m.group(), text[m.end() : m.end() + 1])]
    if len(words) == 1:
        names += [m.group() for m in _NAME.finditer(text) if m.group().casefold() in words]
    asked = _QUESTION_START.sub("", text).strip(" ?!.`")
    names += [asked, _TITLE_TRIM.sub("", asked)]
    return Query(tuple(_once(title_key(n) for n in names if n)), tuple(words))


def title_key(title: str) -> str:
    """Return a title normalised for comparison."""
    return " ".join(title.casefold().split())


def _is_name(token: str, following: str) -> bool:
    """Return whether a token can only be code: dotted, with an underscore, called or with an inner capital."""
    return "." in token or "_" in token.strip("_") or following == "(" or any(c.isupper() for c in token[1:])


def _words(text: str) -> list[str]:
    return [w.lower() for w in _WORD.findall(text)]


def _once(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
