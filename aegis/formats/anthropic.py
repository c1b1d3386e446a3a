"""Lines with Anthropic's messages: a request and its response, or a whole conversation.

{"request": {"model": ..., "system": ..., "messages": [...], "tools": [{"name": ..., "input_schema": ...}]},
 "response": {"role": "assistant", "content": [{"type": "tool_use", "name": ..., "input": {...}}]}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis.errors import DataError
from aegis.formats.exchange import Call, Exchange, Turn, decisions_of, text_of, unread_in
from aegis.formats.openai import episode_in, halves, messages_in, name_in, reward_in
from aegis.formats.record import ANSWER, Fields, LoggedDecision, NoDecision, first_text, moment_of

_TOOLS = ("tool_use", "tool_result")


def parse(value: Any, fields: Fields) -> list[LoggedDecision]:
    """Return the decisions of one line."""
    request, response = halves(value)
    messages = messages_in(request)
    answers: list[tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]]
    if response is not value and isinstance(response.get("error"), Mapping):
        raise DataError(f"response.error: {text_of(response['error'].get('message')) or 'the request failed'}")
    if isinstance(response.get("content"), list):
        answers = [(messages, response)]
    else:
        answers = [(messages[:at], one) for at, one in enumerate(messages) if one["role"] == "assistant"]
    found: list[LoggedDecision] = []
    nothing: NoDecision | None = None
    for before, answer in answers:
        try:
            found += decisions_of(_exchange(before, answer, request, (value, request, response), fields))
        except NoDecision as error:
            nothing = error
    if not found:
        raise nothing or DataError("response.content: expected a list of blocks")
    return found


def is_anthropic(value: Any) -> bool:
    """Tell whether a line with messages bears the marks of Anthropic's shape."""
    try:
        request, response = halves(value)
        messages = messages_in(request)
    except DataError:
        return False
    tools = request.get("tools")
    if isinstance(tools, list) and any(isinstance(tool, Mapping) and "input_schema" in tool for tool in tools):
        return True
    if isinstance(response.get("content"), list) and "choices" not in response:
        return True
    blocks = [block for one in messages if isinstance(one.get("content"), list) for block in one["content"]]
    return "system" in request or any(
        isinstance(block, Mapping) and block.get("type") in ("tool_use", "tool_result") for block in blocks
    )


def read_request(request: Mapping[str, Any], beside: Mapping[str, Any]) -> Exchange:
    """Return a request whose answer is still to come. beside: `point` and `episode`, where others than it name them.

    Raises `DataError` for one out of form.
    """
    return _exchange(messages_in(request), {"content": []}, request, (beside, request), Fields(whole=True))


def _exchange(
    messages: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any],
    request: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    fields: Fields,
) -> Exchange:
    given = request.get("tool_choice")
    choice = given if isinstance(given, Mapping) else {}
    turns = [turn for message in messages for turn in turns_of(message, marks=True)]
    (said,) = turns_of({**answer, "role": "assistant"})
    return Exchange(
        turns=turns,
        answer=said,
        system=text_of(request.get("system"), marks=True),
        tools=_tools(request),
        forced=str(choice.get("name") or "") if choice.get("type") == "tool" else "",
        may_answer=choice.get("type") not in ("tool", "any"),
        schema=_schema(request),
        name=name_in(sources),
        episode=episode_in(sources, fields),
        at=moment_of(sources[::-1]),
        teacher=first_text(sources[::-1], (fields.teacher or "model",)),
        id=first_text([sources[0], sources[-1]], ("id", "custom_id")),
        reward=reward_in(sources, fields),
        whole=fields.whole,
        unread=unread_in([request.get("system"), *(message.get("content") for message in messages)]),
        named_in_text=fields.label == ANSWER,
    )


def turns_of(message: Mapping[str, Any], marks: bool = False) -> list[Turn]:
    """Return a message as turns: results of tools, which come in a message of the user, are turns of the tool.

    marks: as for `text_of`.
    """
    content, role = message.get("content"), str(message["role"])
    if not isinstance(content, list):
        return [Turn(role, text_of(content, marks))]
    blocks = [block for block in content if isinstance(block, Mapping)]
    given = [block.get("content") for block in blocks if block.get("type") == "tool_result"]
    results = [Turn("tool", text_of(one, marks)) for one in given]
    said = [block for block in blocks if block.get("type") == "text" or (marks and block.get("type") not in _TOOLS)]
    text = text_of(said, marks)
    calls = []
    for block in blocks:
        if block.get("type") == "tool_use":
            if not isinstance(block.get("name"), str):
                raise DataError("tool_use: expected the tool's name")
            calls.append(Call(block["name"], block.get("input")))
    if results and not text and not calls:
        return results
    return [*results, Turn(role, text, tuple(calls))]


def _tools(request: Mapping[str, Any]) -> dict[str, Any]:
    tools = {}
    given = request.get("tools")
    for tool in given if isinstance(given, list) else ():
        if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
            raise DataError("tools: expected a tool with a name")
        tools[tool["name"]] = tool.get("input_schema")
    return tools


def _schema(request: Mapping[str, Any]) -> Any:
    """Return the schema of a structured output; None where none was asked for."""
    settings = request.get("output_config")
    form = settings.get("format") if isinstance(settings, Mapping) else request.get("output_format")
    return form.get("schema") if isinstance(form, Mapping) else None
