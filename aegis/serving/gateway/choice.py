"""Which decisions a request to a language model asks for, and which decisions an answer then made.

A request is a choice where it offers tools, or asks for a structured output with an enum (`aegis.formats.openai`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aegis.door.intake.survey import make_specs
from aegis.door.observing.exchange import resolve
from aegis.errors import DataError
from aegis.formats import Fields, LoggedDecision
from aegis.formats.openai import parse
from aegis.types import new_id

_MARKS = (b'"tools"', b'"functions"', b'"json_schema"')
"""A request without any of these is no choice, and is not parsed"""
_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is a choice."""

    request: Mapping[str, Any]
    beside: Mapping[str, str]
    """The point and the episode that the request's headers name"""
    ids: Mapping[str, str] = field(default_factory=dict)
    """By point the id that the decision there will have"""

    @property
    def model(self) -> str:
        """The model that is asked: the teacher."""
        return str(self.request.get("model", ""))

    def made(self, answer: Mapping[str, Any]) -> list[tuple[str, LoggedDecision]]:
        """Return the decisions of an answer (a chat completion), each with its point.

        Raises `DataError` for an answer without one.
        """
        found = parse({**self.beside, "request": self.request, "response": answer}, Fields(whole=True))
        return [(point_name(one), one) for one in found]


def read_choice(body: bytes, point: str = "", episode: str = "") -> Asked | None:
    """Return what a request asks to decide; None where it is no choice. point, episode: as its headers name them."""
    if not any(mark in body for mark in _MARKS):
        return None
    try:
        request = json.loads(body)
        if not isinstance(request, dict):
            return None
        _resolve_schema(request)
        asked = Asked(request, {"point": point, "episode": episode})
        # Any answer shows which points there are.
        points = [name for name, _ in asked.made({"choices": [{"message": _any_answer(request)}]})]
    except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # out of form: the upstream says so
    return Asked(request, asked.beside, {name: new_id() for name in points})


def point_name(decision: LoggedDecision) -> str:
    """Return the name of a decision's point: as the request names it, else by the actions and the system prompt."""
    if decision.name:
        return make_specs([decision.name])[0].name[:_NAME_CHARACTERS].lstrip("-_") or "unnamed"
    known_by = json.dumps([decision.offered, decision.system]).encode()
    return f"tools-{hashlib.blake2b(known_by, digest_size=6).hexdigest()}"


def _resolve_schema(request: dict[str, Any]) -> None:
    """Put into a structured output's properties what they refer to: pydantic writes enums elsewhere."""
    form = request.get("response_format")
    if isinstance(form, dict) and isinstance(inner := form.get("json_schema"), dict):
        inner["schema"] = resolve(inner.get("schema"))


def _any_answer(request: Mapping[str, Any]) -> dict[str, Any]:
    tools = [tool["function"] for tool in request.get("tools") or () if "function" in tool]
    tools += request.get("functions") or []
    given = request.get("tool_choice", request.get("function_call"))
    if tools and isinstance(given, dict):
        name = given.get("function", given).get("name")
        tools = [tool for tool in tools if tool.get("name") == name]
    if tools and (isinstance(given, dict) or given == "required"):
        arguments = json.dumps(_first_values(tools[0].get("parameters")))
        return {"tool_calls": [{"function": {"name": tools[0]["name"], "arguments": arguments}}]}
    schema = {} if tools else request.get("response_format", {}).get("json_schema", {}).get("schema")
    return {"content": json.dumps(_first_values(schema))}


def _first_values(schema: Any) -> dict[str, Any]:
    properties = schema.get("properties", {}) if isinstance(schema, dict) else {}
    return {key: inner["enum"][0] for key, inner in properties.items() if isinstance(inner, dict) and inner.get("enum")}
