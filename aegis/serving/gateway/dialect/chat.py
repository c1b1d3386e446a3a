"""OpenAI's chat completions: https://platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aegis.errors import DataError
from aegis.formats.exchange import Exchange, Turn
from aegis.formats.openai import read_request, turn_of
from aegis.serving.gateway.dialect.form import Event, Reply, counted, pack

_ELSEWHERE = ("functions", "function_call", "logprobs", "store", "audio", "prediction", "web_search_options")
"""Fields of a request whose answer is more than a choice, or has another form"""
_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""No token of a language model was bought"""


class ChatCompletions:
    """`POST /v1/chat/completions`."""

    path = "/v1/chat/completions"
    company = "openai"

    def exchange(self, request: Mapping[str, Any], beside: Mapping[str, str]) -> Exchange:
        return read_request(request, beside)

    def is_open(self, request: Mapping[str, Any]) -> bool:
        given = request.get("tool_choice", request.get("function_call"))
        if isinstance(given, Mapping):  # one tool by name; a list of allowed ones says otherwise what is on offer
            return isinstance(given.get("function", given).get("name"), str)
        return given in (None, "auto", "required")

    def may_answer(self, request: Mapping[str, Any]) -> bool:
        tools = request.get("tools") or ()
        return (
            not any(request.get(name) for name in _ELSEWHERE)
            and request.get("n") in (None, 1)
            and request.get("modalities") in (None, ["text"])
            and all(tool.get("type") == "function" for tool in tools)
        )

    def turn(self, answer: Mapping[str, Any]) -> Turn:
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise DataError("choices: expected a list with an answer")
        return turn_of(choices[0]["message"])

    def join(self, events: Iterable[Event]) -> Mapping[str, Any]:
        """Return the first choice of a stream's chunks as one answer."""
        text: list[str] = []
        calls: dict[int, dict[str, str]] = {}
        joined: dict[str, Any] = {}
        finished = False
        for event in events:
            joined |= {key: event[key] for key in ("id", "model", "usage") if event.get(key)}
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
        return {**joined, "choices": [{"message": message}]}

    def tokens(self, answer: Mapping[str, Any]) -> tuple[int, int] | None:
        return counted(answer.get("usage"), "prompt_tokens", "completion_tokens")

    def write(self, reply: Reply, request: Mapping[str, Any]) -> Mapping[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None, "annotations": []}
        if reply.tool:
            message |= {"content": None, "tool_calls": [_call(reply)]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
        return {**_head(reply, "chat.completion"), "choices": [choice], "usage": _USAGE}

    def stream(self, reply: Reply, request: Mapping[str, Any]) -> Iterator[bytes]:
        options = request.get("stream_options")
        usage = {"usage": None} if isinstance(options, Mapping) and options.get("include_usage") else {}
        head = _head(reply, "chat.completion.chunk")

        def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return pack({**head, "choices": [choice], **usage})

        first: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
        if reply.tool:
            call = _call(reply)
            opened = {**call, "function": {"name": reply.tool, "arguments": ""}}
            yield chunk(first | {"content": None, "tool_calls": [{"index": 0, **opened}]})
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": reply.text}}]})
        else:
            yield chunk(first)
            yield chunk({"content": reply.text})
        yield chunk({}, _finish(reply))
        if usage:
            yield pack({**head, "choices": [], "usage": _USAGE})
        yield b"data: [DONE]\n\n"

    def forced(self, request: Mapping[str, Any], tool: str) -> Mapping[str, Any]:
        return {**request, "tool_choice": {"type": "function", "function": {"name": tool}}}


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    head = {"id": f"chatcmpl-{reply.id}", "object": kind, "created": reply.created, "model": reply.model}
    return {**head, "service_tier": "default", "system_fingerprint": None}


def _call(reply: Reply) -> dict[str, Any]:
    return {
        "id": f"call_{reply.id}",
        "type": "function",
        "function": {"name": reply.tool, "arguments": reply.text},
    }


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool else "stop"
