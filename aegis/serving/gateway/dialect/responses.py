"""OpenAI's responses: https://platform.openai.com/docs/api-reference/responses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aegis.door.observing.exchange import chat_message, chat_request
from aegis.errors import DataError
from aegis.formats.exchange import Exchange, Turn
from aegis.formats.openai import read_request, turn_of
from aegis.serving.gateway.dialect.form import Event, Reply, counted, pack

_ELSEWHERE = ("background", "previous_response_id", "conversation", "prompt", "top_logprobs")
"""Fields of a request whose answer is more than a choice"""
_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Fields that an answer repeats, and what they are where the request does not say"""
_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
"""No token of a language model was bought"""
_ENDS = ("response.completed", "response.incomplete")


class Responses:
    """`POST /v1/responses`."""

    path = "/v1/responses"
    company = "openai"

    def exchange(self, request: Mapping[str, Any], beside: Mapping[str, str]) -> Exchange:
        return read_request(chat_request(dict(request)), beside)

    def is_open(self, request: Mapping[str, Any]) -> bool:
        given = request.get("tool_choice")
        named = isinstance(given, Mapping) and given.get("type") == "function" and isinstance(given.get("name"), str)
        functions = all(tool.get("type") == "function" for tool in request.get("tools") or ())
        return functions and (named or given in (None, "auto", "required"))

    def may_answer(self, request: Mapping[str, Any]) -> bool:
        """Only where the upstream is not to keep the answer: a later request could refer to it."""
        included = request.get("include") or ()
        return (
            request.get("store") is False
            and not any(request.get(name) for name in _ELSEWHERE)
            and "message.output_text.logprobs" not in included
        )

    def turn(self, answer: Mapping[str, Any]) -> Turn:
        output = answer.get("output")
        if not isinstance(output, list):
            raise DataError("output: expected a list of items")
        return turn_of(chat_message(output))

    def join(self, events: Iterable[Event]) -> Mapping[str, Any]:
        """Return the answer, which the last event holds whole."""
        for event in events:
            if event.get("type") in _ENDS and isinstance(answer := event.get("response"), Mapping):
                return answer
        raise DataError("the stream broke off")

    def tokens(self, answer: Mapping[str, Any]) -> tuple[int, int] | None:
        return counted(answer.get("usage"), "input_tokens", "output_tokens")

    def write(self, reply: Reply, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return _answer(reply, request, "completed", [_item(reply, "completed")], _USAGE)

    def stream(self, reply: Reply, request: Mapping[str, Any]) -> Iterator[bytes]:
        for number, event in enumerate(_events(reply, request)):
            yield pack({**event, "sequence_number": number}, event["type"])

    def forced(self, request: Mapping[str, Any], tool: str) -> Mapping[str, Any]:
        return {**request, "tool_choice": {"type": "function", "name": tool}}


def _events(reply: Reply, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    begun = _answer(reply, request, "in_progress", [], None)
    item, place = _item(reply, "completed"), {"item_id": _item(reply, "")["id"], "output_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    empty: dict[str, Any] = {"arguments": ""} if reply.tool else {"content": []}
    opened = {**item, "status": "in_progress", **empty}
    yield {"type": "response.output_item.added", "output_index": 0, "item": opened}
    if reply.tool:
        yield {"type": "response.function_call_arguments.delta", **place, "delta": reply.text}
        yield {
            "type": "response.function_call_arguments.done",
            **place,
            "name": reply.tool,
            "arguments": reply.text,
        }
    else:
        (part,) = item["content"]
        place |= {"content_index": 0}
        yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
        yield {"type": "response.output_text.delta", **place, "delta": reply.text, "logprobs": []}
        yield {"type": "response.output_text.done", **place, "text": reply.text, "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": _answer(reply, request, "completed", [item], _USAGE)}


def _answer(
    reply: Reply, request: Mapping[str, Any], status: str, output: list[Any], usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    echoed = {name: default if request.get(name) is None else request[name] for name, default in _ECHOED.items()}
    return {
        "id": f"resp_{reply.id}",
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": reply.model,
        "output": output,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "usage": usage,
        **echoed,
    }


def _item(reply: Reply, status: str) -> dict[str, Any]:
    if reply.tool:
        named = {"id": f"fc_{reply.id}", "type": "function_call", "status": status}
        return {**named, "call_id": f"call_{reply.id}", "name": reply.tool, "arguments": reply.text}
    part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
    named = {"id": f"msg_{reply.id}", "type": "message", "status": status}
    return {**named, "role": "assistant", "content": [part]}
