"""Docstrings of the standard library's compiled modules, read from the live objects: they have no source to parse.

Only the modules named here are imported. All are Python's own, and none has an effect when it is imported.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from aegis.research.search.documents.docstring import Entry, shortened_signature

MODULES = (
    "builtins", "array", "asyncio", "binascii", "bisect", "bz2", "cmath", "codecs", "collections", "contextvars", "csv",
    "datetime", "decimal", "errno", "fcntl", "functools", "gc", "grp", "hashlib", "heapq", "hmac", "io", "itertools",
    "json", "locale", "lzma", "marshal", "math", "mmap", "operator", "os", "pickle", "pwd", "pyexpat", "queue",
    "random", "re", "resource", "select", "signal", "socket", "sqlite3", "ssl", "statistics", "struct", "sys",
    "termios", "threading", "time", "tracemalloc", "unicodedata", "weakref", "xml.etree.ElementTree", "zlib",
    "zoneinfo",
)  # fmt: skip


def compiled_entries() -> Iterator[tuple[str, Entry]]:
    """Yield (module name, entry) for each public documented name; modules missing on this system are skipped."""
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if module.__doc__:
            yield name, Entry("", "", inspect.cleandoc(module.__doc__))
        for member, value in sorted(vars(module).items()):
            if not member.startswith("_") and _belongs(value, module):
                yield from ((name, entry) for entry in _member_entries(member, value))


def _member_entries(name: str, value: Any) -> Iterator[Entry]:
    """Yield the entry of a function or a class, and those of a class's own methods."""
    if isinstance(value, type):
        if not value.__name__.startswith("_") and value.__doc__:
            yield Entry(name, "", inspect.cleandoc(value.__doc__))
        for member, attribute in sorted(vars(value).items()):
            if not member.startswith("_") and _is_compiled(attribute) and _doc(attribute):
                yield Entry(f"{name}.{member}", _signature(member, attribute), _doc(attribute))
    elif _is_compiled(value) and _doc(value):
        yield Entry(name, _signature(name, value), _doc(value))


def _belongs(value: Any, module: ModuleType) -> bool:
    """Return whether the value is the module's own, not an import of the module."""
    if not (isinstance(value, type) or _is_compiled(value)):
        return False
    if module is builtins:
        return True
    own = module.__name__.rpartition(".")[2]
    home = getattr(value, "__module__", None) or module.__name__
    return home in {module.__name__, own, f"_{own}", "posix", "_operator", "_bisect", "_heapq", "_ssl", "_hashlib"}


def _is_compiled(value: Any) -> bool:
    return inspect.isbuiltin(value) or inspect.ismethoddescriptor(value) or isinstance(value, classmethod)


def _doc(value: Any) -> str:
    doc = getattr(value, "__doc__", None)
    return inspect.cleandoc(doc) if isinstance(doc, str) else ""


def _signature(name: str, value: Any) -> str:
    """Return e.g. `backup(target, *, pages=-1)`; '' if the object has no signature."""
    text = getattr(value, "__text_signature__", None)
    if not text:
        return ""
    inner = " ".join(text.strip()[1:-1].split()).replace("<unrepresentable>", "…")
    kept = [p for p in inner.split(", ") if p not in ("/", "") and not p.startswith("$")]
    return shortened_signature(f"{name}({', '.join(kept)})")
