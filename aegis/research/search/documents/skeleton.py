"""Python source without the bodies of its functions, which parses several times as fast.

Signatures, docstrings, classes, imports and assignments stay as they are. If the end of a function's body is
uncertain, the function stays as it is.
"""

from __future__ import annotations

import functools
import re

_STRING = (
    rb"""'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""  # with escapes
)
_OPAQUE = re.compile(rb"(?:" + _STRING + rb")|#[^\n]*", re.DOTALL)
_NEXT = re.compile(rb"(?:" + _STRING + rb")|#[^\n]*|^(?P<indent>[ \t]*)(?:async[ \t]+)?def\b", re.DOTALL | re.MULTILINE)
_HEADER_PART = re.compile(rb"(?:" + _STRING + rb")|#[^\n]*|(?P<mark>[()\[\]{}:])", re.DOTALL)
_BLANK_LINES = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\n)+")
_FIRST_WORDS = re.compile(rb"[ \t]*(?P<prefix>[rRuU]?)(?P<quote>['\"])?")
_DOCSTRING = re.compile(rb"[ \t]*[rRuU]?(?:" + _STRING + rb")[ \t]*(?:#[^\n]*)?(?=\n|\Z)", re.DOTALL)
_INDENT = re.compile(rb"[ \t]*")


def skeleton(source: bytes) -> bytes:
    """Return the source with `pass`, or only its docstring, as the body of each function that spans lines."""
    if b"\r" in source or b"\x0c" in source:
        return source  # other line endings than the patterns look for
    kept: list[bytes] = []
    copied = position = 0
    while found := _NEXT.search(source, position):
        position = found.end()
        if found["indent"] is None:
            continue
        body = _body(source, position, len(found["indent"]))
        if body is not None:
            start, stop, filler = body
            kept += [source[copied:start], filler]
            copied = position = stop
    return b"".join([*kept, source[copied:]])


def _body(source: bytes, position: int, indent: int) -> tuple[int, int, bytes] | None:
    """Return where the removable body of a function starts and stops, and its replacement."""
    colon = _header_end(source, position)
    lines = _BLANK_LINES.match(source, colon) if colon else None
    if lines is None:
        return None  # a body on the header's own line
    start = lines.end()
    own = _INDENT.match(source, start)
    first = _FIRST_WORDS.match(source, start)
    if own is None or first is None or own.end() - start <= indent:
        return None
    if first["quote"]:
        doc = _DOCSTRING.match(source, start)
        if doc is None:
            return None  # a string with something after it
        return doc.end(), _body_end(source, doc.end(), indent), b"\n"
    return start, _body_end(source, start, indent), source[start : own.end()] + b"pass\n"


def _header_end(source: bytes, position: int) -> int:
    """Return the place after the colon that ends a function's header; 0 if there is none."""
    depth = 0
    for part in _HEADER_PART.finditer(source, position):
        mark = part["mark"]
        if mark == b":" and not depth:
            return part.end()
        if mark is not None and mark != b":":
            depth += 1 if mark in b"([{" else -1
    return 0


def _body_end(source: bytes, position: int, indent: int) -> int:
    """Return the start of the first line that is indented no deeper and is not in a string; else the source's end."""
    ends = _shallow_line(indent)
    while line := ends.search(source, position):
        stop = line.start()
        if not (source.find(b'"""', position, stop) >= 0 or source.find(b"'''", position, stop) >= 0):
            return stop
        crossing = _crossing(source, position, stop)
        if crossing is None:
            return stop
        position = crossing
    return len(source)


def _crossing(source: bytes, position: int, place: int) -> int | None:
    """Return the end of the string that begins after a position and extends past a place; None if none does."""
    for opaque in _OPAQUE.finditer(source, position):
        if opaque.start() >= place:
            return None
        if opaque.end() > place:
            return opaque.end()
    return None


@functools.cache
def _shallow_line(indent: int) -> re.Pattern[bytes]:
    return re.compile(rb"^[ \t]{0,%d}[^ \t\n#]" % indent, re.MULTILINE)
