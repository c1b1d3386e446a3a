"""An answer of a language model as one chat completion: unpacked, and put together where it came as a stream."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from aegis.errors import DataError

_ENCODINGS = {"": None, "identity": None, "gzip": 31, "deflate": 15}
"""By content encoding, zlib's window"""
_MOST_BYTES = 16_000_000
"""Of an answer that is unpacked"""


def read_answer(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return an answer; raises `DataError` for one that can't be read or that broke off. headers: in lower case."""
    encoding = headers.get("content-encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise DataError(f"content encoding {encoding!r}")
    window = _ENCODINGS[encoding]
    try:
        if window is not None:
            body = zlib.decompressobj(window).decompress(body, _MOST_BYTES)
        if headers.get("content-type", "").startswith("text/event-stream"):
            return _join(_events(body))
        answer = json.loads(body)
    except (ValueError, RecursionError, zlib.error) as error:
        raise DataError(f"out of form: {type(error).__name__}") from error
    if not isinstance(answer, dict):
        raise DataError("out of form: no object")
    return answer


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    for line in body.decode("utf-8").splitlines():
        if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
            event = json.loads(data)
            if isinstance(event, dict):
                yield event


def _join(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Return the first choice of a stream of chat completion chunks as one answer."""
    text: list[str] = []
    calls: dict[int, dict[str, str]] = {}
    finished = False
    for event in events:
        for choice in event.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            finished |= choice.get("finish_reason") is not None
            delta = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            for part in delta.get("tool_calls") or ():
                call = calls.setdefault(part.get("index", 0), {"name": "", "arguments": ""})
                for name, more in (part.get("function") or {}).items():
                    call[name] = call.get(name, "") + (more or "")
    if not finished:
        raise DataError("the stream broke off")
    message = {"content": "".join(text), "tool_calls": [{"function": calls[place]} for place in sorted(calls)]}
    return {"choices": [{"message": message}]}
