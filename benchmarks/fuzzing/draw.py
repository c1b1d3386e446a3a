"""Inputs: documents in form, changed at random places, then bytes changed, cut or doubled."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

_TEXTS = (
    "", " ", "a", "ä", "\ud800", "\x00", "\u202e", "null", "-1", "1e999", "NaN", "../../etc/passwd", "x" * 3000,
    "%s{0}",     "2026-01-31T12:00:00Z", "0000-00-00", "';--", "<b>", "hrm@1", "9" * 400,
)  # fmt: skip
_NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**70), 10**300, 0.5, -0.0, 1e308, float("inf"), float("nan"), 5e-324)
_PLAIN = 0.3
"""Share of the documents whose bytes are left as they are"""


def junk(random: Random, depth: int = 3) -> Any:
    """Return a JSON value that nobody expects."""
    kind = random.randrange(8 if depth else 5)
    if kind == 0:
        return random.choice((None, True, False))
    if kind in (1, 2):
        return random.choice(_NUMBERS)
    if kind in (3, 4):
        return random.choice(_TEXTS)
    if kind == 5:
        return [junk(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 6:
        return {str(random.choice(_TEXTS)): junk(random, depth - 1) for _ in range(random.randrange(4))}
    deep: Any = junk(random, 0)
    for _ in range(random.choice((3, 70, 250, 600))):
        deep = [deep] if random.random() < 0.5 else {"a": deep}
    return deep


def change(random: Random, document: Any) -> Any:
    """Return a document with one to four of its places replaced, removed, doubled or renamed."""
    document = copy.deepcopy(document)
    for _ in range(random.randrange(1, 5)):
        places = list(_places(document))
        if not places:
            return junk(random)
        holder, key = random.choice(places)
        kind = random.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[str(random.choice(_TEXTS))] = holder.pop(key)
        elif kind == 2 and isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[key] = junk(random)
    return document


def _places(value: Any) -> Sequence[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending and len(found) < 500:
        one = pending.pop()
        if isinstance(one, dict | list):
            keys = list(one) if isinstance(one, Mapping) else range(len(one))
            found += [(one, key) for key in keys]
            pending += [one[key] for key in keys]
    return found


def as_json(value: Any) -> bytes:
    """Return a document as bytes, also where it holds what JSON can't."""
    try:
        return json.dumps(value).encode()
    except RecursionError:
        return b"[" * 5000


def scramble(random: Random, data: bytes) -> bytes:
    """Return bytes, of which most have a few changed, cut out, doubled or packed."""
    if random.random() < _PLAIN:
        return data
    changed = bytearray(data)
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(changed) + 1)
        kind = random.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] = random.randrange(256)
        elif kind == 1:
            del changed[at : at + random.randrange(20)]
        elif kind == 2:
            changed[at:at] = changed[at : at + 30]
        elif kind == 3:
            changed[at:at] = random.choice((b"\n", b"\r", b'"', b"\x00", b"\xff", b"{", b"]", b",", b"\xef\xbb\xbf"))
        else:
            del changed[at:]
    return gzip.compress(bytes(changed)) if random.random() < 0.05 else bytes(changed)
