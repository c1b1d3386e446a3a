"""A request to OpenAI's client and its response, in the shape of a logged chat completion (`aegis.formats`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aegis.formats.record import NoDecision

_KEPT = (
    *("messages", "input", "instructions", "previous_response_id", "conversation", "tools", "functions"),
    *("tool_choice", "function_call", "response_format", "text", "text_format", "model", "metadata"),
)


def to_exchange(request: Mapping[str, Any], response: Any) -> dict[str, Any]:
    """Return a request's arguments and the response object as one line of a log.

    Raises `NoDecision` for a response that can't be read whole (a stream, the raw response, a stored conversation), and
    `TypeError` or `ValueError` for a request that is no JSON.
    """
    if request.get("stream") or not hasattr(response, "model_dump"):
        raise NoDecision("a stream, or a raw response")
    kept = {key: _schema_of(request[key]) for key in _KEPT if _is_given(request.get(key))}
    # As it goes over the wire; and the caller may change its messages later.
    plain: dict[str, Any] = json.loads(json.dumps(kept, default=_to_plain, allow_nan=False))
    answer = response.model_dump(mode="json", warnings=False)
    if "output" in answer:
        return {
            "request": chat_request(plain),
            "response": {"choices": [{"message": chat_message(answer["output"])}]},
        }
    form = plain.get("response_format")
    if isinstance(form, dict) and isinstance(form.get("json_schema"), dict):
        form["json_schema"]["schema"] = resolve(form["json_schema"].get("schema"))
    return {"request": plain, "response": {"choices": answer.get("choices")}}


def tokens_of(response: Any) -> tuple[int, int] | None:
    """Return the tokens read and written that a response was charged for; None where it does not say."""
    usage = getattr(response, "usage", None)
    for read, written in (("prompt_tokens", "completion_tokens"), ("input_tokens", "output_tokens")):
        if isinstance(getattr(usage, read, None), int) and isinstance(getattr(usage, written, None), int):
            return getattr(usage, read), getattr(usage, written)
    return None


def resolve(schema: Any) -> Any:
    """Return a JSON schema whose properties hold what they refer to, as pydantic writes enums elsewhere."""
    if not isinstance(schema, Mapping) or not isinstance(schema.get("properties"), Mapping):
        return schema
    found = {}
    for key, inner in schema["properties"].items():
        if isinstance(inner, Mapping) and isinstance(path := inner.get("$ref"), str) and path.startswith("#/$defs/"):
            inner = schema.get("$defs", {}).get(path.removeprefix("#/$defs/"), inner)
        found[key] = inner
    return {**schema, "properties": found}


def _is_given(value: Any) -> bool:
    return value is not None and type(value).__name__ not in ("NotGiven", "Omit")


def _schema_of(value: Any) -> Any:
    """Return a class of pydantic's as the response format that it stands for, anything else as it is."""
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        schema = {"name": value.__name__, "schema": resolve(value.model_json_schema())}
        return {"type": "json_schema", "json_schema": schema}
    return value


def _to_plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True, warnings=False)
    raise TypeError(f"{type(value).__name__} is no JSON")


def chat_request(request: dict[str, Any]) -> dict[str, Any]:
    """Return a request of the responses API as one of chat completions."""
    if request.get("previous_response_id") or request.get("conversation"):
        raise NoDecision("the conversation before is stored elsewhere")
    given = request.get("input", "")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    messages = [message for item in items if (message := _chat_turn(item)) is not None]
    if request.get("instructions"):
        messages.insert(0, {"role": "system", "content": request["instructions"]})
    chat: dict[str, Any] = {key: request[key] for key in ("model", "metadata", "tool_choice") if key in request}
    chat["messages"] = messages
    chat["tools"] = [{"function": tool} for tool in request.get("tools") or () if tool.get("type") == "function"]
    text = request.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    if "text_format" in request:
        chat["response_format"] = request["text_format"]
    elif isinstance(form, dict) and form.get("type") == "json_schema":
        schema = {"name": form.get("name"), "schema": resolve(form.get("schema"))}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    return chat


def _chat_turn(item: Any) -> dict[str, Any] | None:
    """Return an item of the responses API's input as a message; None for reasoning.

    A message holds what else there is, e.g. a screenshot or what the upstream keeps, as a part that is no text.
    """
    if "role" in item:
        return {"role": item["role"], "content": item.get("content", "")}
    if item.get("type") == "function_call":
        return {"role": "assistant", "content": "", "tool_calls": [{"function": item}]}
    if item.get("type") == "function_call_output":
        return {"role": "tool", "content": item.get("output", "")}
    kind = str(item.get("type", "item"))
    return None if kind == "reasoning" else {"role": "tool", "content": [{"type": kind}]}


def chat_message(output: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the output of the responses API as the message of an answer."""
    texts = [part.get("text", "") for item in output if item.get("type") == "message" for part in item["content"]]
    calls = [{"function": item} for item in output if item.get("type") == "function_call"]
    return {"role": "assistant", "content": "\n".join(filter(None, texts)), "tool_calls": calls}
