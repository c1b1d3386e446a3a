"""Passages from a tree of Python modules, each under the name by which users import it.

A class defined in `sklearn/linear_model/_ridge.py` is known as `sklearn.linear_model.Ridge`, and `asyncio/runners.py`'s
`run` as `asyncio.run`: the packages' own imports tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from aegis.research.search.documents.docstring import (
    Entry,
    Export,
    ParsedModule,
    describing_part,
    parse_module,
    split_signature,
)
from aegis.research.search.documents.prose import (
    MAX_PASSAGE_CHARACTERS,
    MIN_PASSAGE_CHARACTERS,
    is_worth_keeping,
    split_passages,
)
from aegis.research.search.provider import SearchHit

SKIPPED_PARTS = frozenset({
    "test", "tests", "testing", "conftest", "idlelib", "lib2to3", "ensurepip", "turtledemo", "distutils", "pydoc_data",
    "site-packages", "vendor", "third_party", "extern", "externals", "benchmarks", "examples", "this", "antigravity",
})  # fmt: skip

MIN_BODY_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a tree is read, so that a huge tree does not crowd out the others."""

    files: int = 100_000
    bytes_per_file: int = 1_000_000
    passages_per_module: int = 100_000
    passages_per_entry: int = 2
    passages_per_module_docstring: int = 6


def module_name(parts: tuple[str, ...]) -> str | None:
    """Return the dotted name of a `.py` file given its path's parts; None for what can't or shouldn't be imported."""
    if not parts or not parts[-1].endswith(".py"):
        return None
    names = (*parts[:-1], parts[-1][:-3])
    if names[-1] == "__init__" and len(names) > 1:
        names = names[:-1]
    if not all(n.isidentifier() for n in names) or SKIPPED_PARTS & set(names):
        return None
    if any(n.startswith("test_") or n.endswith("_test") for n in names):
        return None
    return ".".join(names)


def tree_passages(
    files: Mapping[str, Path],
    topic: Callable[[str], str],
    source: Callable[[str], str],
    bounds: Bounds,
    known_as: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[SearchHit]:
    """Yield the passages of a tree's public modules. `files`: module name -> its source file.

    Every sub-package has its turn: re-exported names first, then shallow modules before deep ones.
    `topic` and `source` give a hit's topic and source for a public module name. `known_as`: modules whose contents
    go by another module's name.
    """
    public_titles = {(module, "*"): name for module, name in known_as.items()}
    waiting = _in_turn(sorted((n for n in files if not _is_private(n)), key=lambda n: (n.count("."), n)))
    visited: set[str] = set()
    while waiting and len(visited) < bounds.files:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        parsed = _parse(name, files[name], bounds)
        if parsed is None:
            continue
        waiting.extend(reversed(_note_exports(name, parsed, files, public_titles)))
        yield from _module_hits(name, parsed, public_titles, topic, source, bounds)


def fair_share(hits: Iterable[SearchHit], count: int) -> list[SearchHit]:
    """Return at most `count` of the hits, in order: evenly from all sub-packages, classes before methods."""
    listed = list(hits)
    if len(listed) <= count:
        return listed
    turns: Counter[str] = Counter()
    ranked = []
    for position in sorted(range(len(listed)), key=lambda p: (listed[p].title.count("."), p)):
        group = _group(listed[position].title)
        ranked.append((turns[group], position))
        turns[group] += 1
    return [listed[position] for position in sorted(position for _, position in sorted(ranked)[:count])]


def entry_hits(title: str, entry: Entry, topic: str, source: str, bounds: Bounds) -> Iterator[SearchHit]:
    """Yield an entry's passages; the first one starts with its signature."""
    signature, doc = (entry.signature, entry.doc) if entry.signature else split_signature(entry.doc)
    if entry.signature:
        repeated, rest = split_signature(doc)
        doc = rest if repeated and rest.strip() else doc
    prefix = f"{signature}: " if signature else ""
    count = bounds.passages_per_entry if entry.name else bounds.passages_per_module_docstring
    for number, body in enumerate(split_passages(describing_part(doc), count, MAX_PASSAGE_CHARACTERS - len(prefix))):
        before = prefix if number == 0 else ""
        # A signature is no prose: only the text about it is judged, and may be short if the two together are not.
        least = max(MIN_BODY_CHARACTERS, MIN_PASSAGE_CHARACTERS - len(before))
        if is_worth_keeping(body, least):
            yield SearchHit(title, before + body, source, topic)


def _group(title: str) -> str:
    """Return the sub-package that a title belongs to; for the package's own names, the package."""
    parts = title.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 else parts[0]


def _in_turn(names: Sequence[str]) -> list[str]:
    """Return the names so that taking them from the end goes round the sub-packages."""
    turns: Counter[str] = Counter()
    ranked = []
    for position, name in enumerate(names):
        sub_package = ".".join(name.split(".")[:2])
        ranked.append((turns[sub_package], position, name))
        turns[sub_package] += 1
    return [name for _, _, name in sorted(ranked, reverse=True)]


def _is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def _parse(name: str, path: Path, bounds: Bounds) -> ParsedModule | None:
    try:
        if path.stat().st_size > bounds.bytes_per_file:
            return None
        return parse_module(path.read_bytes(), name, is_package=path.name == "__init__.py")
    except OSError:
        return None


def _note_exports(
    name: str, parsed: ParsedModule, files: Mapping[str, Path], public_titles: dict[tuple[str, str], str]
) -> list[str]:
    """Note the public name of each thing that this module re-exports; return the modules named."""
    named = []
    is_package = files[name].name == "__init__.py"
    for export in parsed.exports:
        if export.module not in files or export.module == name:
            continue
        own_part = is_package and export.module.startswith(name + ".")
        if not own_part and not (_is_private(export.module) and not export.module.startswith("__")):
            continue
        title = _exported_title(name, parsed, export, public_titles)
        if title is None:
            continue
        public_titles.setdefault((export.module, export.name), title)
        named.append(export.module)
    return named


def _exported_title(
    name: str, parsed: ParsedModule, export: Export, public_titles: Mapping[tuple[str, str], str]
) -> str | None:
    """Return how users import what module `name` re-exports; None if only private modules pass it on."""
    if export.name != "*" and (name, export.public_name) in public_titles:
        return public_titles[(name, export.public_name)]
    home = public_titles.get((name, "*"))
    if home is None or (export.name != "*" and not parsed.exposes(export.public_name)):
        home = None if _is_private(name) else name
    return home if home is None or export.name == "*" else f"{home}.{export.public_name}"


def _module_hits(
    name: str,
    parsed: ParsedModule,
    public_titles: Mapping[tuple[str, str], str],
    topic: Callable[[str], str],
    source: Callable[[str], str],
    bounds: Bounds,
) -> Iterator[SearchHit]:
    produced = 0
    for entry in parsed.entries:
        title = _public_title(name, entry, parsed, public_titles)
        if title is None:
            continue
        home = title.removesuffix("." + entry.name) if entry.name else title
        for hit in entry_hits(title, entry, topic(home), source(home), bounds):
            if produced >= bounds.passages_per_module:
                return
            produced += 1
            yield hit


def _public_title(
    name: str, entry: Entry, parsed: ParsedModule, public_titles: Mapping[tuple[str, str], str]
) -> str | None:
    """Return the name by which a user would import the entry; None if there is none."""
    if not entry.name:
        return None if _is_private(name) else name
    first, dot, rest = entry.name.partition(".")
    direct = public_titles.get((name, first))
    if direct is not None:
        return direct + dot + rest
    if (name, "*") in public_titles and parsed.exposes(first):
        return f"{public_titles[(name, '*')]}.{entry.name}"
    return None if _is_private(name) else f"{name}.{entry.name}"
