"""An answer of a language model: unpacked, and put together where it came as a stream."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from aegis.errors import DataError
from aegis.serving.gateway.dialect import Dialect

_ENCODINGS = {"": None, "identity": None, "gzip": 31, "deflate": 15}
"""By content encoding, zlib's window"""
_MOST_BYTES = 16_000_000
"""Of an answer that is unpacked"""
_LINE_END = re.compile(r"\r\n|\n|\r")


def read_answer(dialect: Dialect, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    """Return an answer; raises `DataError` for one that can't be read or that broke off. headers: in lower case."""
    encoding = headers.get("content-encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise DataError(f"content encoding {encoding!r}")
    window = _ENCODINGS[encoding]
    try:
        if window is not None:
            body = zlib.decompressobj(window).decompress(body, _MOST_BYTES)
        if headers.get("content-type", "").startswith("text/event-stream"):
            return dialect.join(_events(body))
        answer = json.loads(body)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, zlib.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"out of form: {type(error).__name__}") from error
    if not isinstance(answer, dict):
        raise DataError("out of form: no object")
    return answer


def repeats(key: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether an answer, or what it unpacks to, holds a key; one that can't be unpacked may.

    headers: in lower case.
    """
    needle = key.encode()
    if needle in body or any(key in value for value in headers.values()):
        return True
    encoding = headers.get("content-encoding", "").lower()
    window = _ENCODINGS.get(encoding)
    if window is None:
        return encoding not in _ENCODINGS
    try:
        return needle in zlib.decompressobj(window).decompress(body, _MOST_BYTES)
    except zlib.error:
        return True


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    for line in _LINE_END.split(body.decode("utf-8")):
        if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
            event = json.loads(data)
            if isinstance(event, dict):
                yield event
