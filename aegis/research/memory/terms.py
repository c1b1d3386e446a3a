"""The terms of a passage that are worth a question: new knowledge raises new questions by them.

A pure function over text; it does not know which terms are already known.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
from collections.abc import Iterable

from aegis.research.search.query import STOP_WORDS

MAX_TERMS = 8

_URL = re.compile(r"\w+://\S+|\bwww\.\S+|\S+@\S+\.\w+")
_STANDARD = re.compile(r"\b(RFC|PEP|ISO|IEEE|FIPS)[ -]?(\d{2,5})\b")
_NUMBERED = re.compile(r"(?<![\w-])[A-Z]{2,6}-\d{1,3}(?![\w-])")
_BACKQUOTED = re.compile(r"`([^`\s]{2,60})`")
_DOTTED = re.compile(r"(?<![\w.`/\\-])[A-Za-z_]\w+(?:\.[A-Za-z_]\w+)+(?![\w/\\-])")
_CALL = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*\w)\((?!s\)|es\)|ies\)|ren\))(?=\)|[^)\s]*\)|\w+, |[*'\"])")
_CAMEL_CASE = re.compile(r"(?<![\w.\-/])(?=\w*[a-z])[A-Z]\w*?[a-z0-9]?[A-Z]\w*(?![\w\-/]|\.\w)")
_CONSTANT = re.compile(
    r"(?<![\w.\-/$%])(?:[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z]{2,5}|[A-Z]{2,6}\d{1,3})(?![\w/]|-[a-z\d])"
)
_FINDERS = (_STANDARD, _NUMBERED, _BACKQUOTED, _DOTTED, _CALL, _CAMEL_CASE, _CONSTANT)

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")
_SIGNATURE = re.compile(r"^\w+\((.*?)\): ")
_ARGUMENT_USE = re.compile(
    r"`(\w+)` (?:arg|param|keyword|option|value|is (?:given|set|true|false|not|None|specified|omitted))"
)
_ASKED_FOR = re.compile(  # a reference that the reader should follow is more than an argument's name
    r"\b(?:use|uses|using|see|also|via|calls?|called|calling|prefer|function|method|module|decorator|alias for|wraps?)"
    r" `(\w+)`"
    r"|`(\w+)` (?:functions?|methods?|modules?|decorators?|fixtures?|commands?|instead)\b",
    re.IGNORECASE,
)
_FILE_OR_HOST = re.compile(
    r"\.(?:com|org|net|io|dev|ai|edu|gov|html?|txt|md|rst|py|pyi|pyc|pyd|so|dll|exe|c|h|cpp|log|pth|png|jpg|gz|zip|tar"
    r"|whl|csv|xml|js|css|sh|bat)$",
    re.IGNORECASE,
)

_SHOUTED_TEXT = """
ABOVE ALWAYS BAR BAZ BELOW BSD CHANGELOG CI DATA DD EGGS END EOF EQ EU FALSE FAQ FILE FIRST FIXME FOO GB GE GITHUB
GPL GT HELP HH ID IDS II III INPUT IO ISO IV KB KEY LAST LE LEFT LGPL LICENCE LICENSE LINE LIST LT MB MIT MM MODE
MXN NAME NB NE NEVER NEW NEXT NONE NOTE NOW NULL NXN OK OLD OPENAI OS OUTPUT OWNER PATH PEP PER PHD PM POV PYPI READ
README RERUN RFC RIGHT SEE SELF SET SIZE SPAM SS STR TB TBD TEST TEXT TIME TIP TODO TRUE TWO TYPE UK USA UTF VALID
VALUE VI WARNING WRITE XXX XXXX YY YYYY
"""
_SHOUTED = frozenset(_SHOUTED_TEXT.split()) | {word.upper() for word in STOP_WORDS}
"""Capitals that shout an ordinary word, or name nothing that documentation explains."""
_PLAIN_TYPES_TEXT = """
int str float bool list dict tuple set bytes object type none true false self cls args kwargs len print repr input
id dir help any all min max sum abs next iter open format copyright credits license exit quit
"""
_PLAIN_TYPES = frozenset(_PLAIN_TYPES_TEXT.split())
_INSTANCES_TEXT = """
self cls obj foo bar baz spam example mymodule config data line graph df iv mp ftp ctx dist matchobject request
response file array result results params parser args kwargs item node context instance module func test model
tokenizer inputs outputs tarinfo match event enc client app text value values input output sys_path frame mode
test_case
"""
_INSTANCES = frozenset(_INSTANCES_TEXT.split())
"""Names that examples give to an instance: `config.vocab_size` means nothing without its example."""


def new_terms(text: str, title: str) -> list[str]:
    """Return at most `MAX_TERMS` terms of a passage in order, each once, without the title's own.

    Terms are names as in code (`asyncio.Queue`, `O_NONBLOCK`, `IPv6Address`), acronyms, and standards (`PEP 484`).
    """
    readable = _URL.sub(" ", text)
    found: list[tuple[int, str]] = []
    for finder in _FINDERS:
        for match in finder.finditer(readable):
            term = _normalised(match)
            if term:
                found.append((match.start(), term))
    arguments = _argument_names(text)
    asked_for = {name for pair in _ASKED_FOR.findall(text) for name in pair}
    own = _own_names(title)
    terms: dict[str, str] = {}
    for _, term in sorted(found, key=lambda f: (f[0], -len(f[1]))):
        key = term.casefold()
        if key in own or key.partition(".")[0] in arguments or _is_part_of(key, terms):
            continue
        if _is_loose(term) and term not in asked_for and f"{term}(" not in text:
            continue
        terms.setdefault(key, term)
    return list(terms.values())[:MAX_TERMS]


def _normalised(match: re.Match[str]) -> str:
    """Return the term without its marks, or '' if it means nothing alone."""
    if match.re is _STANDARD:
        return f"{match[1]} {match[2]}"
    if match.re is _NUMBERED:
        return match[0]
    term = (match[1] if match.re.groups else match[0]).strip("`~!.,;:'\"*@&<>-=")
    term = re.sub(r"\(.*$", "", term)
    if not _IDENTIFIER.fullmatch(term) or len(term) < 2:
        return ""
    if match.re in (_CONSTANT, _CAMEL_CASE):
        term = re.sub(r"(?:(?<=[A-Z]{2})|(?<=aN)|(?<=Error))s$", "", term)  # several URLs are still the URL
    return term if _means_something(term, named_as_code=match.re in (_BACKQUOTED, _CALL)) else ""


def _means_something(term: str, named_as_code: bool) -> bool:
    parts = term.split(".")
    if keyword.iskeyword(term) and term.islower() and named_as_code and len(term) > 3:
        return True  # `while` is a statement; the word without its marks is not even found
    if term.casefold() in _PLAIN_TYPES or (len(parts) == 1 and term.upper() in _SHOUTED):
        return False
    if any(part.startswith("_") and not (part.startswith("__") and part.endswith("__")) for part in parts):
        return False
    if len(parts) > 1:
        instance = parts[0].casefold() in _INSTANCES or len(parts[0]) < 2
        return not instance and not parts[-1].isdigit() and not _FILE_OR_HOST.search(term)
    if term.islower() and "_" not in term and named_as_code:
        # A lone small word in code marks is mostly an argument, unless Python itself knows it.
        return hasattr(builtins, term) or keyword.iskeyword(term) or term in sys.stdlib_module_names
    return True


def _is_loose(term: str) -> bool:
    """Return whether a term may be an argument's name: small letters with underscores, as in `max_size`."""
    return term.islower() and "_" in term.strip("_") and "." not in term and not term.startswith("__")


def _own_names(title: str) -> set[str]:
    """Return the names that may mean the title itself: `a.b.c`, `b.c`, `c`, and its words."""
    own = set(re.findall(r"[\w.]+", title.casefold()))
    for name in list(own):
        parts = name.split(".")
        own |= {".".join(parts[start:]) for start in range(len(parts))}
    return own


def _argument_names(text: str) -> set[str]:
    """Return the names that are arguments of the described thing: they mean nothing without it."""
    signature = _SIGNATURE.match(text)
    names = re.findall(r"[A-Za-z_]\w*", signature[1]) if signature else []
    return {n.casefold() for n in (*names, *_ARGUMENT_USE.findall(text))}


def _is_part_of(key: str, keys: Iterable[str]) -> bool:
    """Return whether an earlier, longer term ends with this one: `Queue` after `asyncio.Queue`."""
    return any(known.endswith("." + key) for known in keys)
