"""What every form of request and answer can do, and a decision that is to be written in one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aegis.formats.exchange import Exchange, Turn

Event = Mapping[str, Any]
"""An event of a stream: the JSON of its data"""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HRM's decision, as a language model would give it: a tool that is called, or a text."""

    id: str
    """The decision's"""
    model: str
    """That was asked for"""
    created: int
    """Seconds since 1970"""
    tool: str = ""
    """'' for a text"""
    text: str = ""
    """The answer, or the tool's arguments as JSON"""


class Dialect(Protocol):
    """One form of request and answer. Each method raises `DataError`, or what reading odd JSON raises."""

    @property
    def path(self) -> str:
        """The path that speaks it"""

    @property
    def company(self) -> str:
        """Whose form it is, as OpenTelemetry names it"""

    def exchange(self, request: Mapping[str, Any], beside: Mapping[str, str]) -> Exchange:
        """Return a request without its answer. beside: the point and the episode that its headers name."""

    def is_open(self, request: Mapping[str, Any]) -> bool:
        """Tell whether the answer chooses among what the request shows: no tool that runs elsewhere, none forbidden."""

    def may_answer(self, request: Mapping[str, Any]) -> bool:
        """Tell whether an HRM's answer can take the place of the upstream's: nothing else is asked for."""

    def turn(self, answer: Mapping[str, Any]) -> Turn:
        """Return an answer as a turn."""

    def join(self, events: Iterable[Event]) -> Mapping[str, Any]:
        """Return the answer that a stream's events make; raises `DataError` where it broke off."""

    def tokens(self, answer: Mapping[str, Any]) -> tuple[int, int] | None:
        """Return the tokens read and written that an answer was charged for; None where it does not say."""

    def write(self, reply: Reply, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a decision as an answer."""

    def stream(self, reply: Reply, request: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield a decision as the events of a stream."""

    def forced(self, request: Mapping[str, Any], tool: str) -> Mapping[str, Any]:
        """Return the request with a tool that the answer must call."""


def pack(event: Event, name: str = "") -> bytes:
    """Return an event as it is sent."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(event, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


def counted(usage: Any, read: str, written: str) -> tuple[int, int] | None:
    """Return two counts of a usage; None where one of them is missing."""
    if not isinstance(usage, Mapping):
        return None
    counts = usage.get(read), usage.get(written)
    return counts if isinstance(counts[0], int) and isinstance(counts[1], int) else None  # type: ignore[return-value]
