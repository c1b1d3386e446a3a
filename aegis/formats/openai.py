"""Lines with OpenAI's chat completions: a request and its response, or a whole conversation as for fine-tuning.

    {"request": {"model": ..., "messages": [...], "tools": [...]}, "response": {"choices": [...]}}
    {"messages": [..., {"role": "assistant", "tool_calls": [...]}], "tools": [...]}

`input` and `output`, or `body`, in place of `request` and `response` are read too, and both in one object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis.errors import DataError
from aegis.formats.exchange import Call, Exchange, Turn, decisions_of, parse_json, text_of, unread_in
from aegis.formats.record import (
    ANSWER,
    EPISODE_FIELDS,
    Fields,
    LoggedDecision,
    NoDecision,
    first_text,
    moment_of,
    reward_of,
)

SYSTEM_ROLES = frozenset({"system", "developer"})
_ROLES = {"function": "tool"}


def parse(value: Any, fields: Fields) -> list[LoggedDecision]:
    """Return the decisions of one line."""
    request, response = halves(value)
    messages = messages_in(request)
    choices = response.get("choices")
    if choices is None:
        return _conversation(value, request, messages, fields)
    return decisions_of(exchange_of(messages, _message(choices), request, (value, request, response), fields))


def read_request(request: Mapping[str, Any], beside: Mapping[str, Any]) -> Exchange:
    """Return a request whose answer is still to come. beside: `point` and `episode`, where others than it name them.

    Raises `DataError` for one out of form.
    """
    return exchange_of(messages_in(request), {}, request, (beside, request), Fields(whole=True))


def _message(choices: Any) -> Mapping[str, Any]:
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise DataError("response.choices: expected a list with an answer")
    answer = choices[0].get("message")
    if not isinstance(answer, Mapping):
        raise DataError("response.choices[0].message: expected an object")
    return answer


def _conversation(
    value: Any, request: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], fields: Fields
) -> list[LoggedDecision]:
    """Return a decision for each message of the assistant, of a conversation without a response beside it."""
    found: list[LoggedDecision] = []
    nothing: NoDecision | None = None
    for place, message in enumerate(messages):
        if message.get("role") != "assistant":
            continue
        try:
            found += decisions_of(exchange_of(messages[:place], message, request, (value, request), fields))
        except NoDecision as error:
            nothing = error
    if not found:
        raise nothing or DataError("messages: no message of the assistant, and no response beside them")
    return found


def exchange_of(
    messages: Sequence[Mapping[str, Any]],
    answer: Mapping[str, Any],
    request: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    fields: Fields,
) -> Exchange:
    """Return a request and its answer. sources: what may name the point, the conversation and the reward."""
    schema, schema_name = _structured(request)
    forced, may_answer = _choice(request.get("tool_choice", request.get("function_call")))
    return Exchange(
        turns=[turn_of(message, marks=True) for message in messages if message.get("role") not in SYSTEM_ROLES],
        answer=turn_of(answer),
        system="\n".join(text_of(_content(one), True) for one in messages if one.get("role") in SYSTEM_ROLES),
        tools=_tools(request),
        forced=forced,
        may_answer=may_answer,
        schema=schema,
        schema_name=schema_name,
        name=name_in(sources),
        episode=episode_in(sources, fields),
        at=moment_of(sources[::-1]),
        teacher=first_text(sources[::-1], (fields.teacher or "model",)),
        id=first_text([sources[0], sources[-1]], ("id", "custom_id")),
        reward=reward_in(sources, fields),
        whole=fields.whole,
        unread=unread_in(map(_content, messages)),
        named_in_text=fields.label == ANSWER,
    )


def halves(value: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the request and the response of a line; the line itself for the one that it does not name."""
    if not isinstance(value, Mapping):
        raise DataError("expected an object with a request and a response")
    found = []
    for names in (("request", "input", "body", "kwargs"), ("response", "output")):
        half = next((inner for name in names if isinstance(inner := parse_json(value.get(name)), Mapping)), value)
        inner = half.get("body")
        found.append(inner if isinstance(inner, Mapping) else half)
    return found[0], found[1]


def messages_in(request: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return a request's messages; raises `DataError` where they are out of form."""
    messages = request.get("messages", request.get("input"))
    if not isinstance(messages, list) or not messages:
        raise DataError("messages: expected a list of messages")
    for place, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DataError(f"messages[{place}]: expected an object with a role")
    return messages


def turn_of(message: Mapping[str, Any], marks: bool = False) -> Turn:
    """Return a message as a turn. marks: as for `text_of`."""
    calls = []
    given = message.get("tool_calls") or ([{"function": one}] if (one := message.get("function_call")) else [])
    for call in given if isinstance(given, list) else ():
        function = call.get("function", call.get("custom")) if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise DataError("tool_calls: expected a function with a name")
        calls.append(Call(function["name"], parse_json(function.get("arguments"))))
    role = str(message.get("role", "assistant"))
    return Turn(_ROLES.get(role, role), text_of(_content(message), marks), tuple(calls))


def _content(message: Mapping[str, Any]) -> Any:
    """Return a message's content; an answer that was spoken, which stands beside it, is a part of it."""
    content = message.get("content")
    return [content or "", {"type": "audio"}] if message.get("audio") and not isinstance(content, list) else content


def name_in(sources: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the decision point, from the line or the request's metadata."""
    metadata = [source.get("metadata") for source in sources]
    return first_text([sources[0], *metadata], ("point", "decision_point", "name", "agent"))


def episode_in(sources: Sequence[Mapping[str, Any]], fields: Fields) -> str:
    """Return the conversation that the line or the request's metadata names."""
    names = (fields.episode,) if fields.episode else EPISODE_FIELDS
    return first_text([*sources, *(source.get("metadata") for source in sources)], names)


def reward_in(sources: Sequence[Mapping[str, Any]], fields: Fields) -> Any:
    """Return the reward that the line or the request's metadata names, or None."""
    return reward_of([*sources, *(source.get("metadata") for source in sources)], fields.rewards)


def _tools(request: Mapping[str, Any]) -> dict[str, Any] | None:
    given = request.get("tools") or [{"function": one} for one in request.get("functions") or ()]
    tools = {}
    for tool in given if isinstance(given, list) else ():
        function = tool.get("function", tool.get("custom")) if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise DataError("tools: expected a function with a name")
        tools[function["name"]] = function.get("parameters")
    return tools


def _choice(given: Any) -> tuple[str, bool]:
    """Return the tool that the request demands, or '', and whether the model may answer without one."""
    if isinstance(given, Mapping):
        function = given.get("function", given)
        name = function.get("name") if isinstance(function, Mapping) else None
        return (name if isinstance(name, str) else ""), False
    return "", given != "required"


def _structured(request: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the schema of a structured output and its name; None where none was asked for."""
    given = request.get("response_format")
    inner = given.get("json_schema") if isinstance(given, Mapping) else None
    if not isinstance(inner, Mapping):
        return None, ""
    return inner.get("schema"), str(inner.get("name") or "")
