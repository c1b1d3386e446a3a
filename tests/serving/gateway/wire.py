"""What agents ask and upstreams answer, by path: the exchanges that must be the same through the gateway and direct."""

from __future__ import annotations

import json
from typing import Any

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
TURNS = [{"role": "system", "content": "You route."}, {"role": "user", "content": "My phone is broken – ü"}]
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": one, "parameters": PARAMETERS}} for one in ("search", "refund")
]
FLAT_TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": one, "parameters": PARAMETERS} for one in ("search", "refund")
]
CLAUDE_TOOLS = [{"name": one, "input_schema": PARAMETERS} for one in ("search", "refund")]
ROUTE = {"type": "object", "properties": {"to": {"enum": ["a", "b"]}}, "required": ["to"]}
CALL = {"id": "c", "type": "function", "function": {"name": "refund", "arguments": "{}"}}

ASKED: dict[str, dict[str, dict[str, Any]]] = {
    CHAT: {
        "plain": {},
        "streamed": {"stream": True, "stream_options": {"include_usage": True}},
        "tools": {"tools": TOOLS},
        "a tool required": {"tools": TOOLS, "tool_choice": "required"},
        "no tool": {"tools": TOOLS, "tool_choice": "none"},
        "tool choice null": {"tools": TOOLS, "tool_choice": None},
        "one tool named": {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "refund"}}},
        "parallel tools": {"tools": TOOLS, "parallel_tool_calls": True, "stream": True},
        "functions": {"functions": [tool["function"] for tool in TOOLS], "function_call": "auto"},
        "an enum": {"response_format": {"type": "json_schema", "json_schema": {"name": "route", "schema": ROUTE}}},
        "json": {"response_format": {"type": "json_object"}},
        "broken tools": {"tools": [{"x": 1}], "tool_choice": 7},
        "odd tools": {"tools": "all", "response_format": {"json_schema": []}},
    },
    RESPONSES: {
        "plain": {"input": "Hello"},
        "streamed": {"stream": True},
        "tools": {"tools": FLAT_TOOLS, "store": False},
        "a tool required": {"tools": FLAT_TOOLS, "tool_choice": "required"},
        "no tool": {"tools": FLAT_TOOLS, "tool_choice": "none"},
        "one tool named": {"tools": FLAT_TOOLS, "tool_choice": {"type": "function", "name": "refund"}},
        "a hosted tool": {"tools": [*FLAT_TOOLS, {"type": "web_search"}]},
        "an enum": {"text": {"format": {"type": "json_schema", "name": "route", "schema": ROUTE}}},
        "an earlier answer": {"previous_response_id": "resp_0", "tools": FLAT_TOOLS},
        "broken tools": {"tools": [7], "tool_choice": []},
    },
    MESSAGES: {
        "plain": {},
        "streamed": {"stream": True},
        "tools": {"tools": CLAUDE_TOOLS},
        "any tool": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
        "no tool": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "none"}},
        "one tool named": {"tools": CLAUDE_TOOLS, "tool_choice": {"type": "tool", "name": "refund"}},
        "a server's tool": {"tools": [*CLAUDE_TOOLS, {"type": "web_search_20250305", "name": "web_search"}]},
        "an enum": {"output_config": {"format": {"type": "json_schema", "schema": ROUTE}}},
        "thinking": {"tools": CLAUDE_TOOLS, "thinking": {"type": "enabled", "budget_tokens": 2000}},
        "broken tools": {"tools": [7], "tool_choice": "any"},
    },
}


def body_of(path: str, fields: dict[str, Any]) -> bytes:
    """Return a request of a path with these fields."""
    head: dict[str, Any] = {"model": "m"}
    if path == RESPONSES:
        head |= {"input": TURNS[1:], "instructions": "You route."}
    elif path == MESSAGES:
        head |= {"max_tokens": 99, "system": "You route.", "messages": TURNS[1:]}
    else:
        head |= {"messages": TURNS}
    return json.dumps(head | fields, ensure_ascii=False).encode()


def response(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return an answer of the responses API."""
    usage = {
        "input_tokens": 9,
        "output_tokens": 3,
        "total_tokens": 12,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    head = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m-2026"}
    rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    return {**head, **rest, "output": list(items), "usage": usage, **more}


def message(*blocks: dict[str, Any], stop: str = "end_turn") -> dict[str, Any]:
    """Return an answer of Anthropic's."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-2026"}
    usage = {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 5}
    return {**head, "content": list(blocks), "stop_reason": stop, "stop_sequence": None, "usage": usage}


def said(text: str) -> dict[str, Any]:
    """Return a text as an item of the responses API's output."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def events(*given: dict[str, Any]) -> list[bytes]:
    """Return events as both companies send them."""
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in given]


FUNCTION_CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "refund", "arguments": "{}"}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "refund", "input": {}}
RESPONSE_STREAM = events(
    {"type": "response.created", "response": response(), "sequence_number": 0},
    {"type": "response.output_item.added", "output_index": 0, "item": FUNCTION_CALL, "sequence_number": 1},
    {"type": "response.completed", "response": response(FUNCTION_CALL), "sequence_number": 2},
)
MESSAGE_STREAM = events(
    {"type": "message_start", "message": message() | {"stop_reason": None}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": TOOL_USE},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
)
_FAULTS: dict[str, Any] = {
    "garbage": lambda upstream: upstream.stream(b"\x00\xff", b"data: {", b"\n\nnothing"),
    "empty": lambda upstream: upstream.stream(),
    "a bad request": lambda upstream: upstream.answer({"error": {"message": "no", "code": "x"}}, 400),
    "no key": lambda upstream: upstream.answer({"error": {"message": "no key"}}, 401),
    "too many": lambda upstream: upstream.answer({"error": {"message": "slow down"}}, 429),
    "a fault": lambda upstream: upstream.answer({"error": {"message": "oops"}}, 500),
}
ANSWERS: dict[str, dict[str, Any]] = {
    CHAT: {
        "text": lambda upstream: upstream.answer(upstream.completion({"content": "Hello"})),
        "packed": lambda upstream: upstream.answer(upstream.completion({"content": "Hello"}), packed=True),
        "a tool": lambda upstream: upstream.answer(upstream.completion({"tool_calls": [CALL]}, "tool_calls")),
        "two tools": lambda upstream: upstream.answer(upstream.completion({"tool_calls": [CALL, CALL]}, "tool_calls")),
        "a refusal": lambda upstream: upstream.answer(upstream.completion({"refusal": "I can't"})),
        "cut off": lambda upstream: upstream.answer(upstream.completion({"content": "Hel"}, "length")),
        "a stream": lambda upstream: upstream.stream(
            upstream.chunk({"content": "Hel"}), upstream.chunk({}, "stop"), b"data: [DONE]\n\n"
        ),
        **_FAULTS,
    },
    RESPONSES: {
        "text": lambda upstream: upstream.answer(response(said("Hello"))),
        "a tool": lambda upstream: upstream.answer(response(FUNCTION_CALL), packed=True),
        "two tools": lambda upstream: upstream.answer(response(FUNCTION_CALL, FUNCTION_CALL)),
        "cut off": lambda upstream: upstream.answer(response(said("Hel"), status="incomplete")),
        "a stream": lambda upstream: upstream.stream(*RESPONSE_STREAM),
        **_FAULTS,
    },
    MESSAGES: {
        "text": lambda upstream: upstream.answer(message({"type": "text", "text": "Hello"})),
        "a tool": lambda upstream: upstream.answer(message(TOOL_USE, stop="tool_use"), packed=True),
        "two tools": lambda upstream: upstream.answer(message(TOOL_USE, TOOL_USE, stop="tool_use")),
        "a refusal": lambda upstream: upstream.answer(message(stop="refusal")),
        "a stream": lambda upstream: upstream.stream(*MESSAGE_STREAM),
        "overloaded": lambda upstream: upstream.answer({"type": "error", "error": {"type": "overloaded_error"}}, 529),
        "an error in a stream": lambda upstream: upstream.stream(
            *MESSAGE_STREAM[:2], *events({"type": "error", "error": {"type": "overloaded_error"}})
        ),
        **_FAULTS,
    },
}
