"""Anthropic's messages: https://docs.anthropic.com/en/api/messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aegis.errors import DataError
from aegis.formats.anthropic import read_request, turns_of
from aegis.formats.exchange import Exchange, Turn
from aegis.serving.gateway.dialect.form import Event, Reply, counted, pack

_USAGE = {
    "input_tokens": 0,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 0,
}
"""No token of a language model was bought"""


class Messages:
    """`POST /v1/messages`."""

    path = "/v1/messages"
    company = "anthropic"

    def exchange(self, request: Mapping[str, Any], beside: Mapping[str, str]) -> Exchange:
        return read_request(request, beside)

    def is_open(self, request: Mapping[str, Any]) -> bool:
        choice = request.get("tool_choice")
        own = all(tool.get("type") in (None, "custom") for tool in request.get("tools") or ())
        return own and (choice is None or choice.get("type") in ("auto", "any", "tool"))

    def may_answer(self, request: Mapping[str, Any]) -> bool:
        """Not beside thinking: a later request must repeat the thought, and a tool can't be forced."""
        thinking = request.get("thinking")
        quiet = thinking is None or thinking.get("type") == "disabled"
        return quiet and not request.get("mcp_servers") and not request.get("container")

    def turn(self, answer: Mapping[str, Any]) -> Turn:
        if not isinstance(answer.get("content"), list):
            raise DataError("content: expected a list of blocks")
        (turn,) = turns_of({**answer, "role": "assistant"})
        return turn

    def join(self, events: Iterable[Event]) -> Mapping[str, Any]:
        """Return the blocks of a stream's events as one answer."""
        answer: dict[str, Any] = {}
        blocks: dict[int, dict[str, Any]] = {}
        for event in events:
            kind = event.get("type")
            if kind == "message_start":
                answer = dict(event["message"])
            elif kind == "content_block_start":
                blocks[event["index"]] = {**event["content_block"], "json": ""}
            elif kind == "content_block_delta":
                delta, block = event["delta"], blocks[event["index"]]
                block["text"] = block.get("text", "") + delta.get("text", "")
                block["json"] += delta.get("partial_json", "")
            elif kind == "message_delta":
                answer["usage"] = {**(answer.get("usage") or {}), **(event.get("usage") or {})}
            elif kind == "message_stop":
                return {**answer, "content": [_closed(blocks[place]) for place in sorted(blocks)]}
        raise DataError("the stream broke off")

    def tokens(self, answer: Mapping[str, Any]) -> tuple[int, int] | None:
        found = counted(answer.get("usage"), "input_tokens", "output_tokens")
        if found is None:
            return None
        cached = (answer["usage"].get(name) for name in ("cache_creation_input_tokens", "cache_read_input_tokens"))
        return found[0] + sum(more for more in cached if isinstance(more, int)), found[1]

    def write(self, reply: Reply, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**_message(reply), "content": [_block(reply)], "stop_reason": _stop(reply)}

    def stream(self, reply: Reply, request: Mapping[str, Any]) -> Iterator[bytes]:
        empty: dict[str, Any] = {"input": {}} if reply.tool else {"text": ""}
        opened = _block(reply) | empty
        delta = (
            {"type": "input_json_delta", "partial_json": reply.text}
            if reply.tool
            else {"type": "text_delta", "text": reply.text}
        )
        ended = {"stop_reason": _stop(reply), "stop_sequence": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**_message(reply), "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": opened},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": _USAGE},
            {"type": "message_stop"},
        ]
        for event in events:
            yield pack(event, event["type"])

    def forced(self, request: Mapping[str, Any], tool: str) -> Mapping[str, Any]:
        return {**request, "tool_choice": {**(request.get("tool_choice") or {}), "type": "tool", "name": tool}}


def _message(reply: Reply) -> dict[str, Any]:
    named = {"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "model": reply.model}
    return {**named, "stop_sequence": None, "usage": _USAGE}


def _block(reply: Reply) -> dict[str, Any]:
    if reply.tool:
        named = {"type": "tool_use", "id": f"toolu_{reply.id}", "name": reply.tool}
        return {**named, "input": json.loads(reply.text)}
    return {"type": "text", "text": reply.text}


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.tool else "end_turn"


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block that came in parts as a whole one."""
    parts = block.pop("json")
    if parts:
        block["input"] = json.loads(parts)
    return block
