"""Which decisions a request to a language model asks for, and which decisions an answer then made.

A request is a choice where it offers tools, asks for a structured output with an enum, or has a system prompt that the
configuration registers as a choice.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from aegis.door.intake.survey import make_specs
from aegis.door.observing.exchange import resolve
from aegis.errors import DataError
from aegis.formats import LoggedDecision
from aegis.formats.exchange import Call, Exchange, Turn, decisions_of, enums_of
from aegis.serving.gateway.dialect import Dialect
from aegis.serving.setting import PointConfig
from aegis.types import new_id
from aegis.workspace import to_point_name

_MARKS = (b'"tools"', b'"functions"', b'"json_schema"')
"""A request without any of these is no choice, unless its system prompt is registered; then it is not parsed"""
UNNAMED = ("tools-", "output-")
"""How the names of points begin that no request names: they are known by a digest, of the system prompt, too"""
_NAME_CHARACTERS = 64
_WORD = "action"
"""The property that stands for the answer to a registered prompt"""


@dataclass(frozen=True, slots=True)
class Question:
    """One decision that a request asks for."""

    point: str
    id: str
    """That the decision will have"""
    decision: LoggedDecision
    """With any action: the answer is still to come"""
    offered: Mapping[str, str]
    """The labels on offer, by the names of their actions"""

    @classmethod
    def of(cls, point: str, id: str, decision: LoggedDecision) -> Question:
        """Return the question that a decision answers."""
        return cls(point, id, decision, _named(decision.offered))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is a choice."""

    dialect: Dialect
    request: Mapping[str, Any]
    exchange: Exchange
    """The request as all forms are read, without an answer"""
    words: Sequence[str] = ()
    """The answers that a registered prompt allows"""
    questions: tuple[Question, ...] = ()

    @property
    def model(self) -> str:
        """The model that is asked: the teacher."""
        return str(self.request.get("model", ""))

    @property
    def streams(self) -> bool:
        """Whether the answer is to come as a stream."""
        return self.request.get("stream") is True

    def made(self, answer: Mapping[str, Any]) -> list[tuple[str, LoggedDecision]]:
        """Return the decisions of an answer, each with its point; raises `DataError` for an answer without one."""
        return self.decided(self.dialect.turn(answer))

    def decided(self, turn: Turn) -> list[tuple[str, LoggedDecision]]:
        """Return the decisions that a turn makes, as `made` does."""
        if self.words and not turn.calls:
            said = turn.text.strip().strip("\"'`.").casefold()
            word = next((word for word in self.words if word.casefold() == said), turn.text)
            turn = Turn(turn.role, json.dumps({_WORD: word}))
        found = decisions_of(replace(self.exchange, answer=turn))
        return [(point_name(one), one) for one in found]


@dataclass(frozen=True, slots=True)
class Prompts:
    """The system prompts that the configuration registers as choices."""

    points: Mapping[str, tuple[str, tuple[str, ...]]]
    """By the prompt's words: the point and its actions"""

    @classmethod
    def of(cls, configured: Mapping[str, PointConfig]) -> Prompts:
        """Return the prompts of configured points."""
        return cls({_words(one.prompt): (name, tuple(one.actions)) for name, one in configured.items() if one.prompt})

    def register(self, exchange: Exchange) -> tuple[Exchange, tuple[str, ...]]:
        """Return the exchange as a choice among words where its system prompt is registered, and the words."""
        point, words = self.points.get(_words(exchange.system), ("", ()))
        if not words or exchange.tools or exchange.schema is not None:
            return exchange, ()
        return replace(exchange, schema={"properties": {_WORD: {"enum": [*words]}}}, name=point), words


def read_choice(body: bytes, dialect: Dialect, beside: Mapping[str, str], prompts: Prompts) -> Asked | None:
    """Return what a request asks to decide; None where it is no choice.

    beside: the point and the episode that its headers name.
    """
    if not prompts.points and not any(mark in body for mark in _MARKS):
        return None
    try:
        request = json.loads(body)
        if not isinstance(request, dict) or not dialect.is_open(request):
            return None
        exchange, words = prompts.register(_plain(dialect.exchange(request, beside)))
        asked = Asked(dialect, request, exchange, words)
        questions = tuple(Question.of(point, new_id(), one) for point, one in asked.decided(_any_turn(exchange, words)))
    except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # out of form: the upstream says so
    return replace(asked, questions=questions)


def point_name(decision: LoggedDecision) -> str:
    """Return the name of a decision's point: as the request names it, else by the actions and the system prompt."""
    if decision.name:
        return to_point_name(make_specs([decision.name])[0].name)[:_NAME_CHARACTERS].lstrip("-_") or "unnamed"
    return UNNAMED[0] + _digest([decision.offered, decision.system])


def _plain(exchange: Exchange) -> Exchange:
    """Return an exchange whose schemas refer to nothing, whose output has a name, and whose only tool is demanded."""
    tools = {name: resolve(schema) for name, schema in (exchange.tools or {}).items()}
    schema, name, forced = resolve(exchange.schema), exchange.schema_name, exchange.forced
    if schema is not None and not name:
        name = UNNAMED[1] + _digest([enums_of(schema), exchange.system])
    if len(tools) == 1 and not exchange.may_answer:
        (forced,) = tools
    return replace(exchange, tools=tools, schema=schema, schema_name=name, forced=forced)


def _any_turn(exchange: Exchange, words: Sequence[str]) -> Turn:
    """Return an answer that the request allows: any one shows which points there are."""
    if words:
        return Turn("assistant", words[0])
    tools = exchange.tools or {}
    if exchange.forced or (tools and not exchange.may_answer):
        name = exchange.forced or next(iter(tools))
        return Turn("assistant", calls=(Call(name, _first_values(tools.get(name))),))
    return Turn("assistant", "" if tools else json.dumps(_first_values(exchange.schema)))


def _first_values(schema: Any) -> Any:
    first = {key: values[0] for key, values in enums_of(schema).items() if values}
    return first.get("", first)


def _words(prompt: str) -> str:
    return " ".join(prompt.split())


@functools.lru_cache(maxsize=256)  # an agent offers the same tools in every request
def _named(labels: tuple[str, ...]) -> Mapping[str, str]:
    return MappingProxyType(dict(zip((spec.name for spec in make_specs(labels)), labels, strict=True)))


def _digest(known_by: Any) -> str:
    return hashlib.blake2b(json.dumps(known_by).encode(), digest_size=6).hexdigest()
