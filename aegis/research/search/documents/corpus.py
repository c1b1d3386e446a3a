"""The searchable documentation, of Python itself and of the installed distributions, as passages.

Real text, read where it is installed: no third-party code is imported or run, and nothing is fetched.
"""

from __future__ import annotations

import hashlib
import html
import importlib.metadata
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from email.parser import HeaderParser
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from aegis.rendering import canonical_json
from aegis.research.search.documents.compiled import compiled_entries
from aegis.research.search.documents.library import (
    SKIPPED_PARTS,
    Bounds,
    entry_hits,
    fair_share,
    module_name,
    tree_passages,
)
from aegis.research.search.documents.prose import is_worth_keeping, split_passages, split_sections
from aegis.research.search.documents.reading import Source, read_sources
from aegis.research.search.provider import SearchHit
from aegis.types import Progress, unheard

CORPUS_VERSION = 1
"""Raise it when the passages from the same installation change: indexes are then built anew."""

PASSAGES_PER_DISTRIBUTION = 500
PASSAGES_PER_TOPIC_SECTION = 40
PASSAGES_PER_README_SECTION = 3
README_PASSAGES = 40
DISTRIBUTION_BOUNDS = Bounds(files=240, bytes_per_file=400_000, passages_per_module=40, passages_per_module_docstring=3)

_PYTHON = ".".join(platform.python_version_tuple()[:2])
_UNREADABLE_SECTION = re.compile(
    r"licen[sc]|copyright|change ?log|changes$|release (notes|history)|history$|contribut|sponsor|backer|citation"
    r"|citing|table of contents|^contents$|acknowledge?ment|credits|^authors?$|badges|code of conduct|maintainers|donat"
    r"|funding|^v?\d+\.\d+|security contact|thanks|^(fixed|added|changed|removed|deprecated|misc|bug ?fix(es)?|new)\b",
    re.IGNORECASE,
)
_DEFINITION = re.compile(r"^( *)(?:class |async |await )?([A-Za-z_][\w.]*)(\([^\n]*\))?\s*$")
_QUOTED_LITERAL = re.compile(r'""([^"]{1,60})""|"([^"]{1,60})"')

_READING = "Indexing the installed documentation, once"


@dataclass(frozen=True, slots=True)
class Corpus:
    """The documentation to read. The default is everything that this Python has."""

    site_folders: tuple[str, ...] | None = None
    """Folders with installed distributions; None: those of this Python's import path."""
    standard_library: Path | None = Path(sysconfig.get_path("stdlib"))
    """Folder with the standard library's sources; None: without them."""
    python_itself: bool = True
    """Python's language topics, and the docstrings of its builtins and compiled modules."""

    def fingerprint(self) -> str:
        """Return a digest that changes with Python, a distribution's version or the way of reading."""
        installed = sorted({(package.name, package.version) for package in self._installed()})
        facts = [CORPUS_VERSION, platform.python_implementation(), platform.python_version(), self.python_itself]
        library = None if self.standard_library is None else str(self.standard_library)
        return hashlib.sha256(canonical_json([facts, library, installed]).encode()).hexdigest()

    def passages(self, progress: Progress = unheard) -> Iterator[SearchHit]:
        """Yield each passage once, always in the same order; `progress` counts the sources read."""
        sources = self.sources()
        progress(_READING, 0, len(sources))
        seen: set[str] = set()
        for done, (source, hits) in enumerate(zip(sources, read_sources(self.fields(), sources), strict=True), start=1):
            fresh = _unseen(hits, seen)
            yield from fresh if source.most is None else fair_share(fresh, source.most)
            progress(_READING, done, len(sources))

    def fields(self) -> dict[str, Any]:
        """Return the fields that make the same corpus in another process, whose import path may differ."""
        folders = tuple(sys.path) if self.site_folders is None else self.site_folders
        return asdict(self) | {"site_folders": folders}

    def sources(self) -> list[Source]:
        """Return the sources in order: the parts of Python's own documentation, then each distribution."""
        found = [Source(f"python {_PYTHON}: language topics", language_passages)] if self.python_itself else []
        if self.standard_library is not None:
            read = partial(standard_library_passages, self.standard_library)
            found.append(Source(f"python {_PYTHON}: standard library", read))
        if self.python_itself:
            found.append(Source(f"python {_PYTHON}: compiled modules", compiled_passages))
        for package in self._installed():
            read = partial(distribution_passages, package.distribution)
            found.append(Source(f"{package.name} {package.version}", read, PASSAGES_PER_DISTRIBUTION))
        return found

    def _installed(self) -> list[_Installed]:
        """Return the installed distributions by name; if a name occurs twice, the one that Python would import."""
        if self.site_folders is None:
            found = importlib.metadata.distributions()
        else:
            found = importlib.metadata.distributions(path=list(self.site_folders))
        by_name: dict[str, _Installed] = {}
        for distribution in found:
            name, version = _name_and_version(distribution)
            if name:
                by_name.setdefault(name.casefold(), _Installed(name, version, distribution))
        return [by_name[name] for name in sorted(by_name)]


@dataclass(frozen=True, slots=True)
class _Installed:
    name: str
    version: str
    distribution: importlib.metadata.Distribution


PYTHON_CORPUS = Corpus(site_folders=())
"""Python's own documentation alone: the same for the same Python version, and read in a second or two."""


def language_passages() -> Iterator[SearchHit]:
    """Yield the passages of Python's own language topics (`help("with")` and the like)."""
    try:
        from pydoc_data.topics import topics  # 0.5 MB, and some installations leave it out
    except ImportError:
        return
    for key in sorted(topics):
        source = f"python {_PYTHON} docs: topic {key}"
        for heading, body in split_sections(topics[key]):
            for title, text in _definitions(_without_quotes(heading) or key, body):
                for passage in split_passages(_literals_marked(text), PASSAGES_PER_TOPIC_SECTION):
                    if is_worth_keeping(passage):
                        yield SearchHit(title, passage, source, "python language")


def standard_library_passages(folder: Path) -> Iterator[SearchHit]:
    """Yield the passages of the standard library's sources below the folder."""
    files = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED_PARTS)  # among them `site-packages`, which may be huge
        for path in (Path(parent, name) for name in sorted(names)):
            module = module_name(path.relative_to(folder).parts)
            if module is not None:
                files[module] = path
    return tree_passages(
        files,
        topic=_top,
        source=lambda name: f"python {_PYTHON} docs: {name}",
        bounds=Bounds(),
        known_as={os.path.__name__: "os.path", "genericpath": "os.path"},
    )


def compiled_passages() -> Iterator[SearchHit]:
    """Yield the passages of the builtins and of the standard library's compiled modules."""
    for module, entry in compiled_entries():
        bare = entry.name if module == "builtins" else f"{module}.{entry.name}"
        title = bare if entry.name else module
        yield from entry_hits(title, entry, _top(module), f"python {_PYTHON} docs: {module}", Bounds())


def distribution_passages(distribution: importlib.metadata.Distribution) -> Iterator[SearchHit]:
    """Yield the passages of one distribution: its summary, its README, then its modules' docstrings."""
    metadata = distribution.metadata  # parsed anew each time that it is asked for
    name, version = _field(metadata, "Name"), _field(metadata, "Version")
    summary = _field(metadata, "Summary")
    if summary:
        text = f"{name} {version} is an installed Python package: {summary}"
        if is_worth_keeping(text):
            yield SearchHit(name, text, f"{name} {version}: summary", name)
    yield from islice(_readme_passages(name, version, _field(metadata, "Description")), README_PASSAGES)
    files = {}
    for path in sorted(distribution.files or (), key=str):
        module = module_name(path.parts)
        if module is not None:
            files[module] = Path(str(distribution.locate_file(path)))
    yield from tree_passages(
        files,
        topic=lambda module: name,
        source=lambda module: f"{name} {version}: {module}",
        bounds=DISTRIBUTION_BOUNDS,
    )


def _readme_passages(name: str, version: str, readme: str) -> Iterator[SearchHit]:
    source = f"{name} {version}: README"
    for heading, body in split_sections(readme):
        if _UNREADABLE_SECTION.search(heading):
            continue
        own, said = _letters(name), _letters(heading)
        title = name if own.startswith(said) or said.startswith(own) else f"{name}: {heading}"
        for passage in map(html.unescape, split_passages(body, PASSAGES_PER_README_SECTION)):
            if is_worth_keeping(passage):
                yield SearchHit(title, passage, source, name)


def _definitions(heading: str, body: str) -> Iterator[tuple[str, str]]:
    """Yield (title, text) of a topic's section; `str.count(sub)` with an indented text below it is its own entry."""
    title, depth, lines = heading, -1, list[str]()
    source = body.splitlines()
    for number, line in enumerate(source):
        indent = len(line) - len(line.lstrip())
        match = _DEFINITION.match(line)
        ahead = next((later for later in source[number + 1 : number + 3] if later.strip()), "")
        opens = match and len(ahead) - len(ahead.lstrip()) > indent and ("." in match[2] or match[3])
        if opens or (line.strip() and indent <= depth):
            yield title, "\n".join(lines)
            title, depth, lines = (match[2], indent, []) if match and opens else (heading, -1, [line])
        else:
            lines.append(line[depth + 3 :] if depth >= 0 and line.strip() else line)
    yield title, "\n".join(lines)


def _unseen(hits: Iterable[SearchHit], seen: set[str]) -> Iterator[SearchHit]:
    """Yield the hits whose text, apart from their signature, did not occur before."""
    for hit in hits:
        body = hit.text.split("): ", 1)[-1].casefold()
        if body not in seen:
            seen.add(body)
            yield hit


def _literals_marked(text: str) -> str:
    """Return a language topic's text with its literals in backquotes, not in the topics' double quotes."""
    return _QUOTED_LITERAL.sub(lambda m: f'`"{m[1]}"`' if m[1] else f"`{m[2]}`", text)


def _without_quotes(text: str) -> str:
    return text.replace('"', "").replace("`", "")


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _name_and_version(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Return the metadata's headers; parsing the README below them as well takes ten times as long."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or distribution.read_text("") or ""
    headers = HeaderParser().parsestr(text.partition("\n\n")[0])
    return str(headers["Name"] or "").strip(), str(headers["Version"] or "").strip()


def _field(metadata: Any, name: str) -> str:
    """Return a metadata field, or '' if it is missing, as all are after an interrupted uninstallation."""
    values = metadata.get_all(name) if metadata is not None else None
    return str(values[0]).strip() if values else ""


def _top(module: str) -> str:
    return module.partition(".")[0]
